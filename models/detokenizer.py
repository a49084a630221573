"""The LFM2 detokenizer: turns audio frames into sound, whole or while they are still being generated.

A small LFM2 backbone with a sliding window runs at six positions a frame; each position gives one spectrum of an
inverse short-time Fourier transform. Always computed in float32, as published.
Source: the package liquid-audio 1.3.0, detokenizer.py; the "same" padding is that of Siuzdak 2023 (Vocos),
https://arxiv.org/abs/2306.00814; golden `detok.*`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Lfm2Config

from models.backbone import BackboneCache, backbone_config, build_backbone, forward
from models.checkpoint import check_finite, index_weights, load_weights
from models.config import check_value
from models.errors import CheckpointError, RangeError
from models.folder import read_json, require_folder

CODEBOOK_SIZE = 2048  # Codes a codebook, where config.json does not say.
NUM_CODEBOOKS = 8
POSITIONS_PER_FRAME = 6
HOP_SAMPLES = 320
WINDOW_SAMPLES = 1280
DEFAULT_WINDOW = 30  # Positions that attention sees, where config.json does not say.
FRAME_SAMPLES = POSITIONS_PER_FRAME * HOP_SAMPLES
# "Same" padding: so many samples at either end are covered by fewer windows than the rest and are cut off.
TRIMMED_SAMPLES = (WINDOW_SAMPLES - HOP_SAMPLES) // 2


class Detokenizer:
    """Frames of eight codes to 24 kHz sound, 1,920 samples a frame."""

    def __init__(self, network: "DetokenizerNetwork", device: torch.device) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> "Detokenizer":
        """Return the detokenizer in `folder`, the one called `audio_detokenizer` in a model folder.

        Raises:
            CheckpointError: a file is missing, damaged, or of another model.
            NonFiniteError: a weight is NaN or infinite.
        """
        require_folder(folder)
        network = DetokenizerNetwork.read(folder)
        where = torch.device(device)
        load_weights(
            network,
            index_weights(folder),
            device=where,
            dtype=torch.float32,
            # The backbone is given embeddings only, and the window is computed.
            ignored=lambda name: name in ("lfm.embed_tokens.weight", "istft.window"),
        )
        network.lfm.rotary_emb.to(where)
        network.analysis_window = network.analysis_window.to(where)
        return cls(network, where)

    @property
    def codebook_size(self) -> int:
        """How many codes each codebook has."""
        return self.network.emb.codebook_size

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the sound of a whole utterance, shape (1920 * frames,), from codes (8, frames), each below `codebook_size`.

        Raises:
            RangeError: no frames, another number of codebooks, or a code out of range.
        """
        if codes.ndim != 2 or codes.shape[0] != NUM_CODEBOOKS or not codes.shape[1]:
            raise RangeError(
                f"codes of shape {tuple(codes.shape)}: expected ({NUM_CODEBOOKS}, frames), 1 or more frames"
            )
        if not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise RangeError(
                f"audio codes from {int(codes.min())} to {int(codes.max())}: expected 0 to {self.codebook_size - 1}"
            )
        pieces = self.network.windowed(codes.to(self.device), self.network.cache())
        overlap = OverlapAdd(self.network.analysis_window)
        return torch.cat((overlap.push(pieces), overlap.flush()))

    def decoder(self) -> "DetokenizerStream":
        """Return a fresh streaming decoder."""
        return DetokenizerStream(self)


class DetokenizerStream:
    """Sound of frames that come one at a time; equal to the whole utterance's within 1e-5. Carries all its state."""

    def __init__(self, detokenizer: Detokenizer) -> None:
        self._network = detokenizer.network
        self._codebook_size = detokenizer.codebook_size
        self._device = detokenizer.device
        self.reset()

    def reset(self) -> None:
        """Forget all frames; the next one begins an utterance."""
        self._cache = self._network.cache()
        self._overlap = OverlapAdd(self._network.analysis_window)

    @torch.inference_mode()
    def push(self, codes: Sequence[int]) -> NDArray[np.float32]:
        """Return the sound that one frame completes: 1,920 samples at 24 kHz, 1,440 for the first frame.

        Args:
            codes: eight numbers, each below the detokenizer's `codebook_size`.

        Raises:
            RangeError: another number of codes, or one out of range.
        """
        if len(codes) != NUM_CODEBOOKS or not all(
            0 <= code < self._codebook_size for code in codes
        ):
            raise RangeError(
                f"audio frame {tuple(codes)}: expected {NUM_CODEBOOKS} codes of 0 to {self._codebook_size - 1}; "
                "a frame that ends the sound has none"
            )
        frame = torch.tensor(codes, device=self._device)[:, None]
        return self._overlap.push(self._network.windowed(frame, self._cache)).cpu().numpy()

    @torch.inference_mode()
    def flush(self) -> NDArray[np.float32]:
        """Return the last 480 samples, none if there was no frame, and reset."""
        rest = self._overlap.flush().cpu().numpy()
        self.reset()
        return rest


class DetokenizerNetwork(nn.Module):
    """The parts that hold weights, under the names of the published checkpoints; built on the meta device."""

    def __init__(self, config: Lfm2Config, *, codebook_size: int = CODEBOOK_SIZE) -> None:
        super().__init__()
        self.config = config
        self.window = int(config.sliding_window or DEFAULT_WINDOW)
        self.lfm = build_backbone(config)
        del self.lfm.embed_tokens
        with torch.device("meta"):
            self.emb = FusedEmbedding(config.hidden_size, codebook_size)
            self.lin = nn.Linear(config.hidden_size, WINDOW_SAMPLES + 2)
        self.analysis_window = torch.hann_window(WINDOW_SAMPLES)
        self.eval()

    @classmethod
    def read(cls, folder: Path) -> "DetokenizerNetwork":
        """Return the network that `folder/config.json` describes, without weights.

        Raises:
            CheckpointError: the file is missing, or asks for something that cannot be or is not supported.
        """
        path = folder / "config.json"
        values = read_json(path)
        codebook_size = check_value(
            values.pop("codebook_size", CODEBOOK_SIZE), int, f"{path}: codebook_size"
        )
        if not 2 <= codebook_size <= CODEBOOK_SIZE:
            raise CheckpointError(
                f"{path}: codebook_size is {codebook_size}: expected 2 to {CODEBOOK_SIZE}"
            )
        config = backbone_config(values, str(path), windowed=True)
        output_size = WINDOW_SAMPLES + 2
        if values.get("output_size", output_size) != output_size:
            raise CheckpointError(
                f"{path}: output_size must be {output_size}, one log magnitude and phase a frequency"
            )
        return cls(config, codebook_size=codebook_size)

    def cache(self) -> BackboneCache:
        """Return an empty cache for one utterance."""
        return BackboneCache(self.config, window=self.window)

    def windowed(self, codes: Tensor, cache: BackboneCache) -> Tensor:
        """Return windowed pieces of sound, shape (6 * frames, 1280), each 320 samples after the one before."""
        positions = self.emb(codes).repeat_interleave(POSITIONS_PER_FRAME, dim=0)
        hidden = forward(self.lfm, positions, cache, window=self.window)
        log_magnitude, phase = self.lin(hidden).chunk(2, dim=-1)
        spectrum = torch.polar(log_magnitude.exp(), phase)
        pieces = torch.fft.irfft(spectrum, WINDOW_SAMPLES, dim=-1) * self.analysis_window
        check_finite(pieces, "sound of the detokenizer")
        return pieces


class FusedEmbedding(nn.Module):
    """One row for each code of each codebook; a frame is the mean of its codes' rows."""

    def __init__(self, dim: int, codebook_size: int) -> None:
        super().__init__()
        self.codebook_size = codebook_size
        self.emb = nn.Embedding(NUM_CODEBOOKS * codebook_size, dim)

    def forward(self, codes: Tensor) -> Tensor:
        """Return shape (frames, dim) from codes (8, frames)."""
        offsets = torch.arange(NUM_CODEBOOKS, device=codes.device)[:, None] * self.codebook_size
        return self.emb(codes + offsets).mean(0)


class OverlapAdd:
    """Sums windowed pieces, divides by the sum of squared windows, and gives out what no later piece can change."""

    def __init__(self, window: Tensor) -> None:
        self._squared = window.square()
        self._sum = window.new_zeros(
            0
        )  # What later pieces still add to, from the next sample to give out.
        self._weight = window.new_zeros(0)
        self._skip = TRIMMED_SAMPLES  # Samples at the start still to be cut off.

    def push(self, pieces: Tensor) -> Tensor:
        """Return the samples that `pieces`, shape (n, window), complete."""
        if not len(pieces):
            return pieces.new_zeros(0)
        span = (len(pieces) - 1) * HOP_SAMPLES + WINDOW_SAMPLES
        sums, weights = fold(pieces, span), fold(self._squared.expand(len(pieces), -1), span)
        held = len(self._sum)
        sums[:held] += self._sum
        weights[:held] += self._weight
        done = len(pieces) * HOP_SAMPLES
        self._sum, self._weight = sums[done:], weights[done:]
        skipped = min(self._skip, done)
        self._skip -= skipped
        return sums[skipped:done] / weights[skipped:done]

    def flush(self) -> Tensor:
        """Return the samples that were still waiting, without those that are cut off at the end."""
        kept = len(self._sum) - TRIMMED_SAMPLES
        return self._sum[:kept] / self._weight[:kept] if kept > 0 else self._sum[:0]


def fold(pieces: Tensor, span: int) -> Tensor:
    """Return the sum of pieces, shape (n, window), each HOP_SAMPLES after the one before, as (span,)."""
    return nn.functional.fold(
        pieces.T[None],
        output_size=(1, span),
        kernel_size=(1, WINDOW_SAMPLES),
        stride=(1, HOP_SAMPLES),
    ).flatten()
