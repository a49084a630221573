"""Taking the assistant's own voice out of what the microphone hears, with noise suppression and gain control.

WebRTC's audio processing (AEC3), as the package livekit binds it: 0.13 ms a frame of 10 ms; it needs no server and opens no
connection. It finds the echo's delay by itself, up to about half a second.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.chunk import AudioChunk, Samples
from audio.echo_delay import EchoDelay
from audio.echo_presence import EchoPresence
from audio.errors import DeviceError, FormatError

RATES_HZ = (16_000, 32_000, 48_000)
FRAME_S = 0.01
FULL_SCALE = 32_767.0
LONGEST_DELAY_MS = 500
# What is left of an echo must not be made louder: the gain rests while something is played, and as long after it as an echo may
# come. Measured otherwise: 15 dB more of it, at the start of a talk as loud as the echo itself (livekit 1.2.1, November 2026).
PLAYED_RMS = 1e-4
GAIN_RESTS_FRAMES = 50
GAIN_RAMP_FRAMES = 10
PRESENCE_RAMP_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is done to recorded sound; with a headset there is no echo to cancel."""

    echo: bool = True
    noise: bool = True
    gain: bool = True


HEADSET = Cleaning(echo=False)


class EchoCanceller:
    """Cleans recorded sound, given what was played meanwhile; whole frames of 10 ms, the rest waits for the next chunk.

    Args:
        rate_hz: 16,000, 32,000 or 48,000.
        cleaning: what to do.
        expected_delay_s: from the reference to its echo in the recording, as far as the devices tell; a hint.

    Attributes:
        delay: finds out how long the echo takes, for figures.

    Raises:
        FormatError: another rate.
        DeviceError: the package livekit is missing.
    """

    def __init__(
        self,
        rate_hz: int = 16_000,
        *,
        cleaning: Cleaning | None = None,
        expected_delay_s: float = 0.0,
    ) -> None:
        if rate_hz not in RATES_HZ:
            raise FormatError(
                f"sample rate {rate_hz} Hz: expected one of {RATES_HZ} Hz; resample before the echo is cancelled"
            )
        self._rate_hz = rate_hz
        self._cleaning = cleaning or Cleaning()
        self._frame = round(FRAME_S * rate_hz)
        self._expected_delay_ms = min(LONGEST_DELAY_MS, max(0, round(expected_delay_s * 1000)))
        self._waiting = np.zeros((2, 0), np.float32)  # Recorded and reference, less than a frame.
        # Position of the first waiting sample; None before the first.
        self._next: int | None = None
        self._rtc = _load()
        self._module = self._rtc.AudioProcessingModule(
            echo_cancellation=self._cleaning.echo,
            noise_suppression=self._cleaning.noise,
            high_pass_filter=True,
        )
        # For replies that make no echo; it has to know the noise by then.
        self._plain_module = self._rtc.AudioProcessingModule(
            noise_suppression=self._cleaning.noise, high_pass_filter=True
        )
        self._presence = EchoPresence()
        self._echo_share = (
            1.0  # From 0, what the plain module gives, to 1, with the echo cancelled.
        )
        self._gain_module = self._rtc.AudioProcessingModule(auto_gain_control=True)
        self._num_quiet = GAIN_RESTS_FRAMES  # Frames since something was played.
        self._gain_share = 1.0  # From 0, the sound as it is, to 1, with gain.
        self.delay = EchoDelay(rate_hz)

    def push(self, chunk: AudioChunk, reference: Samples) -> AudioChunk | None:
        """Return the frames that `chunk` completes, cleaned, at the positions where they were recorded; None for none.

        Args:
            chunk: recorded.
            reference: what was played meanwhile, as many samples.

        Raises:
            FormatError: another rate than the constructor's, or another length of the reference.
        """
        if chunk.rate_hz != self._rate_hz or len(reference) != len(chunk.samples):
            raise FormatError(
                f"{len(chunk.samples)} samples at {chunk.rate_hz} Hz with a reference of {len(reference)}: "
                f"expected {self._rate_hz} Hz and as many samples in both; resample first"
            )
        if self._next is None or self._next + self._waiting.shape[1] != chunk.start:
            # After a gap the waiting samples, less than 10 ms, have no place before what follows.
            self._waiting, self._next = self._waiting[:, :0], chunk.start
        sound = np.concatenate([self._waiting, np.stack([chunk.samples, reference])], axis=1)
        num_ready = sound.shape[1] // self._frame * self._frame
        start, self._next = self._next, self._next + num_ready
        self._waiting = sound[:, num_ready:]
        if not num_ready:
            return None
        recorded, played = sound[:, :num_ready]
        if self._cleaning.echo:
            self.delay.push(recorded, played)
        return AudioChunk(self._clean(recorded, played), self._rate_hz, start)

    def _clean(self, recorded: Samples, played: Samples) -> Samples:
        near, far = _to_pcm(recorded), _to_pcm(played)
        cleaned = np.empty(len(near), np.float32)
        for start in range(0, len(near), self._frame):
            part = slice(start, start + self._frame)
            if self._cleaning.echo:
                self._module.process_reverse_stream(self._as_frame(far[part]))
                self._module.set_stream_delay_ms(self._expected_delay_ms)
            frame = self._as_frame(near[part])
            self._module.process_stream(frame)
            cleaned[part] = _from_pcm(frame.data)
            if self._cleaning.echo:
                self._presence.push(recorded[part], played[part])
                cleaned[part] = self._with_plain(near[part], cleaned[part])
                frame = self._as_frame(_to_pcm(cleaned[part]))
            if self._cleaning.gain:
                cleaned[part] = self._amplify(frame, cleaned[part], played[part])
        return cleaned

    def _with_plain(self, near: NDArray[np.int16], cancelled: Samples) -> Samples:
        """Return the frame with the echo cancelled, without where there certainly is none, and in between on the way."""
        frame = self._as_frame(near)
        self._plain_module.process_stream(frame)
        before, step = self._echo_share, 1 / PRESENCE_RAMP_FRAMES
        wanted = 0.0 if self._presence.is_absent else 1.0
        self._echo_share += min(step, max(-step, wanted - before))
        if before == self._echo_share == 1:
            return cancelled
        share = np.linspace(before, self._echo_share, len(cancelled), dtype=np.float32)
        plain = _from_pcm(frame.data)
        return plain + share * (cancelled - plain)

    def _amplify(self, frame: Any, plain: Samples, played: Samples) -> Samples:
        """Return the frame with gain, without it while there may be an echo, and in between on the way."""
        is_played = self._cleaning.echo and np.sqrt(np.mean(played**2)) > PLAYED_RMS
        self._num_quiet = 0 if is_played else self._num_quiet + 1
        before = self._gain_share
        wanted = float(self._num_quiet >= GAIN_RESTS_FRAMES)
        step = 1 / GAIN_RAMP_FRAMES
        self._gain_share += min(step, max(-step, wanted - before))
        if before == self._gain_share == 0:
            return plain
        self._gain_module.process_stream(frame)
        share = np.linspace(before, self._gain_share, len(plain), dtype=np.float32)
        return plain + share * (_from_pcm(frame.data) - plain)

    def _as_frame(self, pcm: NDArray[np.int16]) -> Any:
        return self._rtc.AudioFrame(bytearray(pcm.tobytes()), self._rate_hz, 1, len(pcm))


def _load() -> Any:
    try:
        from livekit import rtc
    except ImportError as error:
        raise DeviceError(
            f"cannot clean the microphone's sound: the package livekit is missing ({error}); install it"
        ) from error
    return rtc


def _to_pcm(samples: Samples) -> NDArray[np.int16]:
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.round(np.clip(finite, -1, 1) * FULL_SCALE).astype(np.int16)


def _from_pcm(data: Any) -> Samples:
    return np.frombuffer(data, np.int16).astype(np.float32) / np.float32(FULL_SCALE)
