"""How fast a device's clock really runs, from when its callbacks came and how many samples they carried.

Two devices have two crystals; 200 ppm between them are 0.7 s in an hour. A callback comes late by what the system was busy with,
so single times say little; a delay-locked loop follows their line. Method: F. Adriaensen, "Using a DLL to filter time", 2005.
"""

import math
from collections import deque
from dataclasses import dataclass, field

FAST_HZ = 0.5  # Bandwidth of the loop at first, to find the line,
SLOW_HZ = 0.02  # and in the end, to keep it: a callback that is 10 ms late then moves the rate by less than 10 ppm.
SETTLING_S = 20.0  # How long the bandwidth takes from one to the other.
MAX_LATE_S = 0.3  # Further off the line than this, the stream stood still; the line begins anew.
MAX_RATE_ERROR = 0.001  # Beyond ±1000 ppm of the nominal rate it is no drift; see `Watch`.
MAX_NOTES = 1024  # Callbacks that nobody looked at, 10 s; when full, the oldest are forgotten.


@dataclass(slots=True)
class CallbackNotes:
    """What the callback notes for the clock: a time and the position in its stream; bounded, the oldest go first."""

    notes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=MAX_NOTES))

    def add(self, now_s: float, position: int) -> None:
        """Note that sample `position` is due at `now_s`; called by the device's thread."""
        self.notes.append((now_s, position))

    def take(self) -> list[tuple[float, int]]:
        """Return what was noted since the last call; called by the reader's thread."""
        return [self.notes.popleft() for _ in range(len(self.notes))]


class DeviceClock:
    """Maps monotonic time to sample positions of one device and back.

    Attributes:
        is_running: a line is known.
        num_restarts: how often the line had to begin anew after a gap.
    """

    def __init__(self, nominal_hz: int) -> None:
        self._nominal_hz = nominal_hz
        self._time_s = 0.0  # The line goes through (`_time_s`, `_position`) with slope `rate_hz`.
        self._position = 0.0
        self._rate_hz = float(nominal_hz)
        self._followed_s = 0.0  # Since the line began.
        self.is_running = False
        self.num_restarts = 0

    @property
    def rate_hz(self) -> float:
        """The device's real rate; the nominal one until some callbacks came."""
        return self._rate_hz

    @property
    def drift_ppm(self) -> float:
        """How much faster than nominal the device runs."""
        return (self._rate_hz / self._nominal_hz - 1) * 1e6

    def follow(self, now_s: float, position: float) -> None:
        """Take in that sample `position` was due at `now_s`."""
        if not self.is_running:
            self._begin(now_s, position)
            return
        elapsed_s = now_s - self._time_s
        error = position - self.position_at(
            now_s
        )  # In samples; negative when the callback is late.
        if elapsed_s < 0 or abs(error) > MAX_LATE_S * self._nominal_hz:
            self.num_restarts += 1
            self._begin(now_s, position)
            return
        self._followed_s += elapsed_s
        omega = 2 * math.pi * self._bandwidth_hz() * elapsed_s
        self._position += self._rate_hz * elapsed_s + min(1.0, math.sqrt(2) * omega) * error
        self._time_s = now_s
        if elapsed_s > 0:
            self._rate_hz += min(0.5, omega * omega) * error / elapsed_s
        limit = MAX_RATE_ERROR * self._nominal_hz
        self._rate_hz = min(max(self._rate_hz, self._nominal_hz - limit), self._nominal_hz + limit)

    def position_at(self, time_s: float) -> float:
        """Return the position that is due at `time_s`."""
        return self._position + (time_s - self._time_s) * self._rate_hz

    def time_of(self, position: float) -> float:
        """Return when `position` is due."""
        return self._time_s + (position - self._position) / self._rate_hz

    def _begin(self, now_s: float, position: float) -> None:
        self._time_s, self._position = now_s, position
        self._rate_hz = float(self._nominal_hz)
        self._followed_s = 0.0
        self.is_running = True

    def _bandwidth_hz(self) -> float:
        share = min(1.0, self._followed_s / SETTLING_S)
        return FAST_HZ * math.pow(SLOW_HZ / FAST_HZ, share)
