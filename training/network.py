"""The network of voiced-mini before training: the product's own modules with first weights."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn

from models.lfm2_audio.config import Lfm2AudioConfig
from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from training.config import CODEBOOK_SIZE, HIDDEN, LIVE_CODEBOOKS, model_config
from training.state import write_json
from training.tokenizer import TEMPLATE_WORDS, write_tokenizer

EMBEDDING_STD = 0.06  # Rows of about unit length, so that the tied output begins with mild logits.


def build_network(
    words: Sequence[str], device: torch.device, *, seed: int
) -> tuple[Network, TextTokenizer]:
    """Return an untrained network in training mode, float32, and the tokenizer of its vocabulary.

    The text embedding is fixed, so trainers can be run side by side, and go on when the world gets more words.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vocab_size = write_tokenizer(folder, words)
        write_json(folder / "config.json", model_config(vocab_size))
        config = Lfm2AudioConfig.read(folder)
        tokenizer = TextTokenizer(folder, vocab_size)
    network = Network(config)
    materialize(network, device, seed=seed)
    with torch.no_grad():
        network.lfm.embed_tokens.weight.copy_(text_embedding(words, tokenizer, vocab_size))
        for name_, weight in network.named_parameters():
            # What writes into a residual stream begins small, so that a deep stack begins near the identity.
            if name_.endswith(("out_proj.weight", "feed_forward.w2.weight")):
                weight.mul_(0.4)
        # So that CTC begins undecided.
        adapter_output(network).weight.mul_(0.1)
    return network.train(), tokenizer


def adapter_output(network: Network) -> nn.Linear:
    """Return the adapter's last layer, whose outputs lie among the embeddings."""
    layer = network.audio_adapter.model[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def text_embedding(words: Sequence[str], tokenizer: TextTokenizer, vocab_size: int) -> Tensor:
    """Return the text embedding, shape (vocab_size, HIDDEN): each row depends on its word, or its number, alone."""
    every_word = {*words, *TEMPLATE_WORDS}
    names = {row: word for word, row in word_rows(sorted(every_word), tokenizer).items()}
    rows = [
        torch.randn(
            HIDDEN,
            generator=torch.Generator().manual_seed(crc32(names.get(row, str(row)).encode())),
        )
        for row in range(vocab_size)
    ]
    return EMBEDDING_STD * torch.stack(rows)


def word_rows(words: Sequence[str], tokenizer: TextTokenizer) -> dict[str, int]:
    """Return the vocabulary row of each word."""
    rows = {}
    for word in words:
        (rows[word],) = tokenizer.encode(word)
    return rows


def materialize(module: nn.Module, device: torch.device, *, seed: int) -> None:
    """Give every parameter and buffer that is still on the meta device memory and a first value, in place."""
    torch.manual_seed(seed)
    for part in module.modules():
        was_meta = False
        # torch has no other way to put another tensor in the place of one.
        tables: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)  # noqa: SLF001
        for tensors in tables:
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if tensor.is_meta:
                    was_meta = True
                    empty = torch.empty_like(tensor, device=device)
                    tensors[name] = (
                        nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
                    )
                else:
                    tensors[name] = tensor.to(device)
        if was_meta:
            initialize(part)


def initialize(part: nn.Module) -> None:
    """Draw the weights that `part` itself holds: layers as torch has it, embeddings small, norms one."""
    with torch.no_grad():
        if isinstance(part, nn.Embedding):
            part.weight.normal_(0, EMBEDDING_STD)
        elif isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.BatchNorm1d):
            part.reset_parameters()
        else:
            for name, weight in part.named_parameters(recurse=False):
                weight.fill_(0.0 if "bias" in name else 1.0)


def clear_dead_codebooks(network: Network) -> None:
    """Make the codebooks behind the live ones add nothing to a frame, in place."""
    rows = CODEBOOK_SIZE + 1
    with torch.no_grad():
        network.audio_embedding.embedding.weight[LIVE_CODEBOOKS * rows :] = 0
        for embedding in network.codebooks[LIVE_CODEBOOKS:]:
            embedding.embedding.weight.zero_()
