"""How long the echo takes from the reference to the recording; for figures and for finding what is wrong with a machine."""

import numpy as np

from audio.chunk import Samples

WINDOW_S = 2.0  # Looked at together, and so often.
LONGEST_S = 0.6
SILENCE = 1e-3  # RMS of a reference that makes no echo, -60 dB.
# Height of the correlation's peak over its mean, from which on it is an echo: noise alone reaches 5 to 6.
CLEAR_PEAK = 9.0


class EchoDelay:
    """Compares recorded with played sound by phase (GCC-PHAT), every two seconds in which something was played.

    Costs about 3 ms every two seconds. What is waiting is at most one window.

    Attributes:
        delay_s: of the echo; None until one was found.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._window = round(WINDOW_S * rate_hz)
        self._parts: list[tuple[Samples, Samples]] = []
        self._num_waiting = 0
        self.delay_s: float | None = None

    def push(self, recorded: Samples, played: Samples) -> None:
        """Take in two pieces of the same length and time."""
        self._parts.append((recorded, played))
        self._num_waiting += len(recorded)
        if self._num_waiting >= self._window:
            recorded, played = (np.concatenate(side) for side in zip(*self._parts, strict=True))
            self._parts, self._num_waiting = [], 0
            found = self._compare(recorded, played)
            self.delay_s = self.delay_s if found is None else found

    def _compare(self, recorded: Samples, played: Samples) -> float | None:
        if np.sqrt(np.mean(played**2)) < SILENCE:
            return None
        size = 1 << (2 * len(played) - 1).bit_length()
        cross = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(played, size))
        weights = np.abs(cross) + 1e-12
        likeness = np.abs(np.fft.irfft(cross / weights, size))[: round(LONGEST_S * self._rate_hz)]
        best = int(np.argmax(likeness))
        return best / self._rate_hz if likeness[best] > CLEAR_PEAK * likeness.mean() else None
