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

Pcm = NDArray[np.int16]

RATES_HZ = (16_000, 32_000, 48_000)
FRAME_S = 0.01
FULL_SCALE = 32_767.0
LONGEST_DELAY_MS = 500
# What is left of an echo must not be made louder: the gain rests while something is played, and as long after it as an echo may
# come. Measured otherwise: 15 dB more of it, at the start of a talk as loud as the echo itself (livekit 1.2.1, November 2026).
PLAYED_POWER = 1e-8  # -80 dB of full scale.
GAIN_RESTS_FRAMES = 50
GAIN_RAMP_FRAMES = 10
PRESENCE_RAMP_FRAMES = 5
# While nothing is played the canceller rests, which halves what listening costs; before that it has to hear the room for a while.
CANCEL_AFTER_FRAMES = 200
LEARN_FRAMES = 300


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
        num_cancelled: frames that the canceller was given; while nothing is played it rests.

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
        # For replies that make no echo, and while nothing is played.
        self._plain_module = self._rtc.AudioProcessingModule(
            noise_suppression=self._cleaning.noise, high_pass_filter=True
        )
        self._presence = EchoPresence()
        self._num_silent = 0  # Frames since something was played.
        self.num_cancelled = 0
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
            power = _power(played[part])
            if self._cleaning.echo:
                self._presence.push(_power(recorded[part]), power)
                pcm = self._without_echo(near[part], far[part])
            else:
                pcm = self._process(self._plain_module, near[part])
            if self._cleaning.gain:
                pcm = self._amplify(pcm, power)
            cleaned[part] = pcm
        return cleaned / np.float32(FULL_SCALE)

    def _without_echo(self, near: Pcm, far: Pcm) -> Pcm | Samples:
        """Return the frame with the echo cancelled, without where there certainly is none, and in between on the way."""
        self._num_silent = 0 if far.any() else self._num_silent + 1
        is_needed = self._num_silent < CANCEL_AFTER_FRAMES or self.num_cancelled < LEARN_FRAMES
        before, step = self._echo_share, 1 / PRESENCE_RAMP_FRAMES
        wanted = float(is_needed and not self._presence.is_absent)
        self._echo_share += min(step, max(-step, wanted - before))
        plain = self._process(self._plain_module, near)
        if not (is_needed or before):
            return plain
        self.num_cancelled += 1
        self._module.process_reverse_stream(self._as_frame(far))
        self._module.set_stream_delay_ms(self._expected_delay_ms)
        return _mixed(plain, self._process(self._module, near), before, self._echo_share)

    def _amplify(self, pcm: Pcm | Samples, played_power: float) -> Pcm | Samples:
        """Return the frame with gain, without it while there may be an echo, and in between on the way."""
        is_played = self._cleaning.echo and played_power > PLAYED_POWER
        self._num_quiet = 0 if is_played else self._num_quiet + 1
        before, step = self._gain_share, 1 / GAIN_RAMP_FRAMES
        wanted = float(self._num_quiet >= GAIN_RESTS_FRAMES)
        self._gain_share += min(step, max(-step, wanted - before))
        if before == self._gain_share == 0:
            return pcm
        whole = pcm.astype(np.int16)
        return _mixed(pcm, self._process(self._gain_module, whole), before, self._gain_share)

    def _process(self, module: Any, pcm: Pcm) -> Pcm:
        frame = self._as_frame(pcm)
        module.process_stream(frame)
        return np.frombuffer(frame.data, np.int16)

    def _as_frame(self, pcm: Pcm) -> Any:
        return self._rtc.AudioFrame(bytearray(pcm.tobytes()), self._rate_hz, 1, len(pcm))


def _mixed(some: Pcm | Samples, other: Pcm, before: float, after: float) -> Pcm | Samples:
    """Return the one at a share of 0, the other at 1, and in between on the way from the share before to that after."""
    if before == after and after in (0.0, 1.0):
        return other if after else some
    share = np.linspace(before, after, len(other), dtype=np.float32)
    return (some + share * (other.astype(np.float32) - some)).astype(np.float32)


def _load() -> Any:
    try:
        from livekit import rtc
    except ImportError as error:
        raise DeviceError(
            f"cannot clean the microphone's sound: the package livekit is missing ({error}); install it"
        ) from error
    return rtc


def _power(samples: Samples) -> float:
    """Return the mean square of a frame; not finite where the frame is not."""
    return float(np.dot(samples, samples)) / len(samples)


def _to_pcm(samples: Samples) -> Pcm:
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.round(np.clip(finite, -1, 1) * FULL_SCALE).astype(np.int16)
