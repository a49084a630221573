"""What was really played, in step with what is being recorded: the reference of the echo canceller.

The two devices run by two clocks. The played sound is read at the place where the speaker's clock was when the microphone recorded
a sample, so that the echo keeps one delay however long they run, and neither side runs full or empty.
"""

import math
from dataclasses import dataclass

import numpy as np

from audio.chunk import AudioChunk, Samples
from audio.device_clock import DeviceClock
from audio.interpolation import Interpolator
from audio.live_resampling import MAX_DRIFT_PPM
from audio.ring import SampleRing

# The reference lies this far behind, so that a callback that comes late has still written it. Sound takes longer than that
# from the callback to the air and back.
LAG_S = 0.005
# A difference between where reading is and where it should be is made up in about so long,
CATCH_UP_S = 4.0
# a larger one than this at once: the devices have just begun, or stood still.
MAX_OFF_S = 0.02


@dataclass(slots=True)
class Pace:
    """Where to read the played sound, and how fast; decides only, so that hours can be simulated in seconds.

    Attributes:
        position: in the played stream, in samples; None until both clocks run.
        correction_ppm: how much longer than nominal the present steps are.
        num_jumps: how often reading moved at once.
    """

    played_hz: int
    recorded_hz: int
    position: float | None = None
    correction_ppm: float = 0.0
    num_jumps: int = 0

    def plan(self, played: DeviceClock, recorded: DeviceClock, start: float) -> bool:
        """Set position and correction for sound recorded from `start` on; False when a clock does not run yet."""
        if not (played.is_running and recorded.is_running):
            self.position = None
            return False
        due = played.position_at(recorded.time_of(start) - LAG_S)
        if self.position is None or abs(due - self.position) > MAX_OFF_S * self.played_hz:
            self.num_jumps += self.position is not None
            self.position = due
        drift = (played.rate_hz / self.played_hz) / (recorded.rate_hz / self.recorded_hz) - 1
        off_s = (due - self.position) / self.played_hz
        limit = MAX_DRIFT_PPM * 1e-6
        self.correction_ppm = 1e6 * min(limit, max(-limit, drift + off_s / CATCH_UP_S))
        return True


class Reference:
    """Reads from a ring of played sound what was played while a chunk was recorded.

    Args:
        ring: filled by the speaker's callback, with silence where nothing was played.
        played_hz: of the ring.
        to_hz: of the chunks.

    Attributes:
        num_missing: samples given as silence although something was played: it was not written yet, or overwritten.
    """

    def __init__(self, ring: SampleRing, played_hz: int, to_hz: int) -> None:
        self._ring = ring
        self._filter = Interpolator(played_hz, to_hz)
        self._pace = Pace(played_hz, to_hz)
        self.num_missing = 0

    @property
    def pace(self) -> Pace:
        """Where reading is; for figures."""
        return self._pace

    def during(self, chunk: AudioChunk, played: DeviceClock, recorded: DeviceClock) -> Samples:
        """Return what was played while `chunk` was recorded, as many samples as it has.

        Args:
            chunk: recorded sound at the rate `to_hz`.
            played: the speaker's clock; its positions are the ring's.
            recorded: the microphone's clock; its positions are `chunk`'s.
        """
        if not len(chunk.samples) or not self._pace.plan(played, recorded, chunk.start):
            return np.zeros(len(chunk.samples), np.float32)
        assert self._pace.position is not None
        unit, half = self._filter.units_per_sample, self._filter.half
        step = round(self._filter.nominal_step * (1 + self._pace.correction_ppm * 1e-6))
        whole = math.floor(self._pace.position)
        begin = round((self._pace.position - whole) * unit)
        positions = begin + step * np.arange(len(chunk.samples), dtype=np.int64)
        first, stop = whole - half + 1, whole + int(positions[-1]) // unit + half + 1
        self._pace.position += len(positions) * step / unit
        sound = self._read(first, stop)
        if not sound.any():  # Mostly nothing is played.
            return np.zeros(len(positions), np.float32)
        return self._filter.at(sound, positions)

    def _read(self, first: int, stop: int) -> Samples:
        start, found = self._ring.read(max(0, first), max(0, stop))
        if len(found) == stop - first:
            return found
        sound = np.zeros(stop - first, np.float32)
        if len(found):
            sound[start - first : start - first + len(found)] = found
        if self._ring.end:
            self.num_missing += stop - max(0, first) - len(found)
        return sound
