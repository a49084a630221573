"""What the model is trained on: the losses of the published training, teacher-forced.

Source: `LFM2AudioModel.logits` and `forward` of the package liquid-audio 1.3.0; golden `train.*`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.lfm2_audio.config import Lfm2AudioConfig
from models.lfm2_audio.network import Network

COUNT_GUARD = 1e-6  # Keeps a conversation without one of the kinds from dividing by zero.


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What is to be predicted of a sequence of positions; position 0 cannot be.

    Attributes:
        text_positions: where the supervised text tokens stand, (tokens,).
        text_tokens: their numbers, (tokens,).
        frame_positions: where the supervised audio frames stand, (frames,).
        frame_codes: their codes, (frames, codebooks); where only the first codebooks are given, only they are learned.
    """

    text_positions: Tensor
    text_tokens: Tensor
    frame_positions: Tensor
    frame_codes: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses, each a scalar, and the logits they come from.

    Attributes:
        total: mean over text tokens and audio frames, weighted by kind.
        text: mean over text tokens.
        audio: mean over audio frames, each the weighted mean of its codebooks.
        text_logits: (tokens, vocabulary).
        audio_logits: (frames, codebooks, codes).
    """

    total: Tensor
    text: Tensor
    audio: Tensor
    text_logits: Tensor
    audio_logits: Tensor


def codebook_weights(config: Lfm2AudioConfig, device: torch.device) -> Tensor:
    """Return how much each codebook counts, shape (codebooks,): the first, semantic one the most, the last one 1."""
    if config.codebook_weight == "log":
        return (
            torch.linspace(1, 0, config.codebooks, device=device)
            * math.log(config.semantic_codebook_factor)
        ).exp()
    weights = torch.ones(config.codebooks, device=device)
    weights[0] = config.semantic_codebook_factor
    return weights


def teacher_forced_losses(network: Network, hidden: Tensor, targets: Targets) -> Losses:
    """Return the losses of a sequence whose backbone states are `hidden`, shape (positions, hidden)."""
    text_logits = network.text_logits(hidden[targets.text_positions - 1])
    audio_logits = network.frame_logits(hidden[targets.frame_positions - 1], targets.frame_codes)
    text = functional.cross_entropy(text_logits, targets.text_tokens, reduction="none")
    by_code = functional.cross_entropy(
        audio_logits.flatten(0, 1), targets.frame_codes.flatten(), reduction="none"
    )
    num_books = targets.frame_codes.shape[1]
    weights = codebook_weights(network.config, hidden.device)[:num_books]
    audio = by_code.unflatten(0, targets.frame_codes.shape) @ weights / weights.sum()
    of_text, of_audio = network.config.text_loss_multiplier, network.config.audio_loss_multiplier
    count = of_text * len(text) + of_audio * len(audio)
    return Losses(
        total=(of_text * text.sum() + of_audio * audio.sum()) / (count + COUNT_GUARD),
        text=text.sum() / (len(text) + COUNT_GUARD),
        audio=audio.sum() / (len(audio) + COUNT_GUARD),
        text_logits=text_logits,
        audio_logits=audio_logits,
    )
