"""Log-mel features, as LFM2-Audio's encoder was trained with."""

from dataclasses import dataclass
from typing import Literal

import torch
import torchaudio
from torch import Tensor

PRE_EMPHASIS = 0.97
LOG_GUARD = 2.0**-24
STD_GUARD = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessorConfig:
    """How a wave becomes log-mel features."""

    sample_rate: Literal[16000]  # What recordings are resampled to.
    features: int
    n_fft: int
    window_size: float  # Seconds.
    window_stride: float  # Seconds.
    normalize: Literal["per_feature"] = "per_feature"
    window: Literal["hann"] = "hann"
    log: Literal[True] = True
    frame_splicing: Literal[1] = 1
    pad_to: Literal[0] = 0
    pad_value: float = 0.0
    dither: float = 0.0  # Training only.

    @property
    def window_samples(self) -> int:
        """Samples in one analysis window."""
        return int(self.window_size * self.sample_rate)

    @property
    def hop_samples(self) -> int:
        """Samples from one mel frame to the next."""
        return int(self.window_stride * self.sample_rate)


class LogMel:
    """Turns a wave into log-mel features.

    Source: the front end of the package liquid-audio 1.3.0 (NeMo's FilterbankFeatures); golden `mel.*`.
    """

    def __init__(self, config: PreprocessorConfig, device: torch.device) -> None:
        self.config = config
        self._window = torch.hann_window(config.window_samples, periodic=False, device=device)
        self._filters = torchaudio.functional.melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=0.0,
            f_max=config.sample_rate / 2,
            n_mels=config.features,
            sample_rate=config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        ).T.to(device)  # (features, n_fft // 2 + 1)

    def __call__(self, samples: Tensor) -> Tensor:
        """Return features of shape (features, 1 + samples // hop), float32.

        Pre-emphasis, power spectrum of centred windows, natural logarithm, and per-feature normalisation over time
        with the sample standard deviation. The last frame hangs over the end of the wave: it is zero and stays in.

        Args:
            samples: mono float32 at the configured rate, shape (n,), n at least one hop.
        """
        hop = self.config.hop_samples
        emphasised = torch.cat((samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]))
        spectrum = torch.stft(
            emphasised,
            n_fft=self.config.n_fft,
            hop_length=hop,
            win_length=self.config.window_samples,
            window=self._window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = torch.view_as_real(spectrum).square().sum(-1)  # (n_fft // 2 + 1, T)
        mel = torch.log(self._filters @ power + LOG_GUARD)
        num_valid = len(samples) // hop
        valid = mel[:, :num_valid]
        mean = valid.mean(1, keepdim=True)
        # One frame alone has no sample deviation; the published front end takes zero for it.
        std = valid.std(1, keepdim=True) if num_valid > 1 else torch.zeros_like(mean)
        features = (mel - mean) / (std + STD_GUARD)
        features[:, num_valid:] = self.config.pad_value
        return features
