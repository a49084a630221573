"""Drawing a token from logits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import RangeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How text tokens and audio codes are drawn; greedy where a temperature is unset or 0.

    Attributes:
        text_temperature: divides the text logits before the softmax.
        text_top_k: only so many likeliest tokens may be drawn; unset: all.
        audio_temperature: as `text_temperature`, for each code of a frame.
        audio_top_k: as `text_top_k`, for each code of a frame.
        seed: the same seed on the same input draws the same reply.
    """

    text_temperature: float | None = None
    text_top_k: int | None = None
    audio_temperature: float | None = None
    audio_top_k: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("text_temperature", "audio_temperature"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise RangeError(
                    f"{name} is {value}: expected 0 (greedy) or a finite number above it"
                )
        for name in ("text_top_k", "audio_top_k"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RangeError(f"{name} is {value}: expected 1 or more")


class StepGenerator:
    """Randomness that depends on the seed and the step alone, so that a rolled-back reply draws the same again."""

    STEPS_PER_SEED = 2**20  # More than any context holds, so no two seeds share a step's state.

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._generator = torch.Generator(device)

    def at(self, step: int) -> torch.Generator:
        """Return the generator set to the beginning of `step`."""
        # The generator takes 64 bits; any Python integer is a valid seed.
        return self._generator.manual_seed((self._seed * self.STEPS_PER_SEED + step) % 2**63)


def draw(
    logits: Tensor, *, temperature: float | None, top_k: int | None, generator: torch.Generator
) -> Tensor:
    """Return the index drawn from logits of shape (vocabulary,), as a tensor of shape (1,)."""
    if not temperature or top_k == 1:
        return logits.argmax(keepdim=True)
    scaled = logits.float() / temperature
    if top_k is not None and top_k < len(scaled):
        least = scaled.topk(top_k).values[-1]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    return torch.multinomial(scaled.softmax(0), 1, generator=generator)
