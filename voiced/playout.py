"""What a speaker would have played, as a recording in time with what the microphone heard."""

from typing import Protocol

import numpy as np

from audio.chunk import Samples
from voiced.speech_model import SOUND_RATE_HZ
from voiced.timing import Clock

SILENCE_SAMPLES = SOUND_RATE_HZ  # Written at once at most; bounds the memory of a long silence.


class SampleWriter(Protocol):
    def write(self, samples: Samples) -> None: ...


class Playout:
    """Writes sound at the place where it would have been heard, and silence wherever there was none.

    Time begins at the construction. With a clock, sound that comes late leaves a silence before it, as from a speaker
    that had nothing to play; without one, sound follows sound at once.

    Attributes:
        num_samples: written so far, sound and silence.
        num_late: samples of silence that were written because the clock was ahead of the sound.
    """

    def __init__(self, writer: SampleWriter, clock: Clock | None) -> None:
        self._writer = writer
        self._clock = clock
        self._begun_s = clock.now_s() if clock else 0.0
        self.num_samples = 0
        self.num_late = 0

    def listen(self, duration_s: float) -> None:
        """Be silent for as long as the input lasts; with a clock, wait for it."""
        end = self.num_samples + round(duration_s * SOUND_RATE_HZ)
        while self.num_samples < end:
            num_silent = min(SILENCE_SAMPLES, end - self.num_samples)
            self._put(np.zeros(num_silent, np.float32))
            if self._clock:
                ahead_s = self.num_samples / SOUND_RATE_HZ - (self._clock.now_s() - self._begun_s)
                self._clock.wait_s(max(0.0, ahead_s))

    def play(self, samples: Samples) -> None:
        """Play `samples` now, or right after what is still being played."""
        num_late = 0
        if self._clock:
            now = round((self._clock.now_s() - self._begun_s) * SOUND_RATE_HZ)
            num_late = max(0, now - self.num_samples)
        for start in range(0, num_late, SILENCE_SAMPLES):
            self._put(np.zeros(min(SILENCE_SAMPLES, num_late - start), np.float32))
        self.num_late += num_late
        self._put(samples)

    def _put(self, samples: Samples) -> None:
        self._writer.write(samples)
        self.num_samples += len(samples)
