"""What computes: features, encoders, backbones, codecs, caches, sampling. No asyncio, no sockets, no network."""
