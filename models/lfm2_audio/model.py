"""An LFM2-Audio model: loaded from a folder, the root of conversations and decoders."""

import logging
import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio.errors import AudioError
from models.checkpoint import (
    check_finite,
    index_weights,
    load_weights,
    stored_dtype,
)
from models.decoding import FrameDecoder
from models.detokenizer import Detokenizer
from models.errors import CheckpointError, RangeError
from models.folder import require_folder
from models.lfm2_audio.config import Lfm2AudioConfig
from models.lfm2_audio.conversation import Conversation
from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from models.mel import LogMel
from models.mimi import WEIGHTS_FILE as MIMI_FILE
from models.mimi import Mimi

log = logging.getLogger("voiced.models")

# Shorter sound has fewer than two whole mel frames, of which no deviation over time can be taken.
MIN_AUDIO_S = 0.02


class Lfm2Audio:
    """LFM2-Audio in one of its published versions, or any other checkpoint in the same layout."""

    def __init__(
        self,
        folder: Path,
        config: Lfm2AudioConfig,
        network: Network,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.folder, self.name = folder, folder.name
        self.config, self.network = config, network
        self.device, self.dtype = device, dtype
        self.tokenizer = TextTokenizer(folder, config.lfm.vocab_size)
        self._log_mel = LogMel(config.preprocessor, device)
        self._codec: Detokenizer | Mimi | None = None  # Loaded when a decoder is first asked for.
        self._codec_lock = threading.Lock()

    @classmethod
    def load(
        cls, folder: Path, *, device: str = "cpu", dtype: torch.dtype | None = None
    ) -> "Lfm2Audio":
        """Return the model in `folder`, its weights mapped from the files where they need no change.

        Args:
            folder: in the published layout, see `docs/architecture.md`.
            device: "cpu", "cuda" or "cuda:N".
            dtype: to compute in; None: the checkpoint's own.

        Raises:
            CheckpointError: a file is missing, damaged, or of another model.
            NonFiniteError: a weight is NaN or infinite.
        """
        require_folder(folder)
        config = Lfm2AudioConfig.read(folder)
        weights = index_weights(folder)
        network = Network(config)
        dtype = dtype or stored_dtype(weights, "lfm.embed_tokens.weight")
        where = torch.device(device)
        load_weights(network, weights, device=where, dtype=dtype, ignored=network.is_unused)
        network.lfm.rotary_emb.to(where)
        model = cls(folder, config, network, where, dtype)
        if not (folder / "audio_detokenizer").is_dir() and not (folder / MIMI_FILE).is_file():
            raise CheckpointError(
                f"{folder}: has neither the folder audio_detokenizer nor {MIMI_FILE}: one is needed to make sound of "
                "codes; fetch the model again with 'voiced pull'"
            )
        log.info("model loaded", extra={"model": model.name, "device": device, "dtype": str(dtype)})
        return model

    @property
    def max_positions(self) -> int:
        """Positions of text, sound heard and sound made that one conversation can hold."""
        return int(self.config.lfm.max_position_embeddings)

    @property
    def sample_rate_hz(self) -> int:
        """The rate at which this model hears."""
        return self.config.preprocessor.sample_rate

    def conversation(self) -> Conversation:
        """Return a fresh conversation, which holds only the start-of-text token."""
        return Conversation(self)

    def decoder(self) -> FrameDecoder:
        """Return a fresh decoder of frames to sound: the LFM2 detokenizer where the folder has one, else Mimi.

        Raises:
            CheckpointError: its files are damaged.
        """
        with self._codec_lock:
            if self._codec is None:
                detokenizer = self.folder / "audio_detokenizer"
                if detokenizer.is_dir():
                    self._codec = self._load_detokenizer(detokenizer)
                else:
                    self._codec = Mimi.load(self.folder, device=str(self.device))
            return self._codec.decoder()

    def _load_detokenizer(self, folder: Path) -> Detokenizer:
        detokenizer = Detokenizer.load(folder, device=str(self.device))
        if detokenizer.codebook_size != self.config.codebook_size:
            raise CheckpointError(
                f"{folder / 'config.json'}: codebook_size is {detokenizer.codebook_size}, that of "
                f"{self.folder / 'config.json'} is {self.config.codebook_size}: expected the same"
            )
        return detokenizer

    def log_mel(self, samples: NDArray[np.float32]) -> Tensor:
        """Return log-mel features of mono sound at `sample_rate_hz`, shape (features, 1 + samples // hop), float32.

        Raises:
            RangeError: the sound is shorter than 20 ms, or longer than a conversation can hold.
            AudioError: it is not one dimension of finite float32 samples.
        """
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise AudioError(
                f"samples of shape {samples.shape}, {samples.dtype}: expected one dimension of float32"
            )
        least = round(MIN_AUDIO_S * self.sample_rate_hz)
        if len(samples) < least:
            raise RangeError(
                f"{len(samples)} samples of sound ({1000 * len(samples) / self.sample_rate_hz:.0f} ms): "
                f"expected at least {least} ({1000 * MIN_AUDIO_S:.0f} ms)"
            )
        most = (
            self.max_positions
            * self.config.encoder.subsampling_factor
            * self.config.preprocessor.hop_samples
        )
        if len(samples) > most:
            raise RangeError(
                f"{len(samples) / self.sample_rate_hz:.0f} s of sound at once: a conversation holds at most "
                f"{most / self.sample_rate_hz:.0f} s; cut it first"
            )
        if not np.isfinite(samples).all():
            raise AudioError(
                f"sample {int(np.argmin(np.isfinite(samples)))} is NaN or infinite: expected finite numbers"
            )
        return self._log_mel(torch.from_numpy(samples).to(self.device))

    def encode_audio(self, samples: NDArray[np.float32]) -> Tensor:
        """Return what the backbone gets of mono sound at `sample_rate_hz`: one embedding for each 80 ms, (T, hidden).

        Raises:
            RangeError, AudioError: as `log_mel`.
            NonFiniteError: the encoder's output is not finite.
        """
        embeddings = self.network.audio_adapter(self.network.encode(self.log_mel(samples)))
        check_finite(embeddings, "output of the audio encoder")
        return embeddings
