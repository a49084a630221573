"""One seed for a whole command, another one for each piece of it."""

_STRIDE = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, odd: neighbouring seeds share no piece's seed.


def derived_seed(seed: int, index: int) -> int:
    """Return the seed of piece `index` (from 0) under `seed`; that of piece 0 is `seed` itself."""
    return (seed + index * _STRIDE) % 2**63
