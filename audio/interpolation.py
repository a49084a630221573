"""Sound between its samples: a windowed sinc, tabulated, at any position.

A short filter is what keeps live sound live. 20 samples of the lower rate on either side delay it by 1.25 ms at 16 kHz and leave
it flat up to 0.41 of that rate (6.6 kHz), 70 dB down from 0.52 on.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audio.chunk import Samples

HALF_SAMPLES = 20  # On either side, of the lower of the two rates.
CUTOFF = 0.465  # Of the lower rate; half of the amplitude is left here.
KAISER_BETA = 7.0  # 70 dB, by Kaiser's formula.
NUM_PHASES = 256  # Between two samples; what lies between two phases is interpolated, 94 dB exact.

Positions = NDArray[np.int64]


class Interpolator:
    """Reads sound of `from_hz` at any position, band-limited for `to_hz`.

    Positions are whole numbers of `units_per_sample`-th parts of a sample, so that no rounding adds up in hours.

    Attributes:
        half: samples needed after (and before) a position.
        units_per_sample: parts of an input sample.
        nominal_step: units from one output sample to the next; exact.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = math.gcd(from_hz, to_hz)
        fine = 2**24  # For steps that drift makes a little longer or shorter.
        self.units_per_sample = to_hz // divisor * fine
        self.nominal_step = from_hz // divisor * fine
        lower = min(1.0, to_hz / from_hz)
        self.half = math.ceil(HALF_SAMPLES / lower)
        self._table = _tabulate(self.half, CUTOFF * lower)  # (NUM_PHASES + 1, 2 * half)

    def at(self, samples: Samples, positions: Positions) -> Samples:
        """Return the sound at `positions`, counted from `samples[half - 1]`.

        `samples` must reach from `half - 1` before the first position to `half` after the last.
        """
        if not len(positions):
            return np.zeros(0, np.float32)
        whole, part = np.divmod(positions, self.units_per_sample)
        phases, rest = np.divmod(part * NUM_PHASES, self.units_per_sample)
        windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * self.half)[whole]
        weights = self._table[phases]
        if rest.any():
            share = (rest / self.units_per_sample).astype(np.float32)[:, None]
            weights = weights + share * (self._table[phases + 1] - weights)
        found: Samples = np.einsum("ij,ij->i", windows, weights)
        return found


@lru_cache(maxsize=8)  # A tenth to half a megabyte each; a talk uses three.
def _tabulate(half: int, cutoff: float) -> Samples:
    """Return the filter at every phase: row p is for positions p / NUM_PHASES after a sample."""
    phases = np.arange(NUM_PHASES + 1)[:, None] / NUM_PHASES
    distance = np.arange(1 - half, half + 1)[None, :] - phases  # (NUM_PHASES + 1, 2 * half)
    inside = np.clip(1 - (distance / half) ** 2, 0, None)
    window = np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA)
    table = 2 * cutoff * np.sinc(2 * cutoff * distance) * window
    table /= table.sum(axis=1, keepdims=True)  # A constant stays what it is at every phase.
    return table.astype(np.float32)
