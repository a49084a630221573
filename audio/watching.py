"""Watching an open device: that it calls back, often enough, and at the rate that it promised."""

from collections.abc import Callable
from dataclasses import dataclass

from audio.devices import Block, DeviceStream, Direction

# Without a callback. With a poll every 0.1 s or less, loss is told within 0.5 s.
LOST_AFTER_S = 0.4
# Through ALSA to PulseAudio 16.1 an output calls back at once to be filled, and then again after up to 1.5 s (measured).
STARTING_S = 3.0
STEADY_BLOCKS = 30  # From so many callbacks on it runs.
SLEPT_S = 2.0  # A longer gap between two callbacks: the machine slept, and what the device holds is stale.
STALLED_POLL_S = 0.25  # After a longer gap between two polls the callback gets its time anew: perhaps all stood still.
RATE_WINDOW_S = 3.0
MAX_RATE_ERROR = 0.06  # 44.1 and 48 kHz are 8 % apart; blocks of 50 ms make a window 2 % uncertain.

ClockS = Callable[[], float]
OnTimedBlock = Callable[[Block, float], None]


@dataclass(slots=True)
class Gate:
    """Stands between a device's thread and the consumer; silent while there is none."""

    direction: Direction
    clock_s: ClockS
    consumer: OnTimedBlock | None = None
    last_s: float | None = None  # Of the newest callback.
    num_blocks: int = 0
    num_frames: int = 0
    longest_gap_s: float = 0.0

    def __call__(self, block: Block) -> None:
        now_s = self.clock_s()
        if self.last_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self.last_s)
        self.last_s = now_s
        self.num_blocks += 1
        self.num_frames += len(block)
        consumer = self.consumer
        if consumer is not None:
            consumer(block, now_s)
        elif self.direction is Direction.OUTPUT:
            block[:] = 0


class Watch:
    """Says when a stream is to be given up; decides only.

    Args:
        stream: that was started.
        gate: what it calls.
        now_s: when it was found open.
    """

    def __init__(self, stream: DeviceStream, gate: Gate, now_s: float) -> None:
        self._stream = stream
        self._gate = gate
        # A callback is due so long after this, even if none came before.
        self._patient_from_s = now_s
        self._last_poll_s = now_s
        self._window_s: float | None = None  # Where the present window of the rate check began.
        self._window_frames = 0
        self._num_wrong_windows = 0

    def reason_of_loss(self, now_s: float) -> str | None:
        """Return why the stream is lost; None while it is well."""
        if now_s - self._last_poll_s > STALLED_POLL_S:
            self._patient_from_s = now_s
        self._last_poll_s = now_s
        if self._gate.longest_gap_s > SLEPT_S:
            return f"the machine slept for {self._gate.longest_gap_s:.0f} s"
        if not self._stream.is_active:
            return "the device ended the stream"
        heard_from_s = max(self._gate.last_s or self._patient_from_s, self._patient_from_s)
        is_steady = self._gate.num_blocks >= STEADY_BLOCKS
        if now_s - heard_from_s > (LOST_AFTER_S if is_steady else STARTING_S):
            return "the device stopped taking or giving sound"
        return self._wrong_rate(now_s)

    def _wrong_rate(self, now_s: float) -> str | None:
        """Tell when the device runs at another rate than it was opened with, twice in a row."""
        if self._gate.last_s is None:
            return None
        if self._window_s is not None and now_s - self._window_s < RATE_WINDOW_S:
            return None
        num_frames = self._gate.num_frames
        if self._window_s is not None:
            rate_hz = (num_frames - self._window_frames) / (now_s - self._window_s)
            is_wrong = abs(rate_hz / self._stream.rate_hz - 1) > MAX_RATE_ERROR
            self._num_wrong_windows = self._num_wrong_windows + 1 if is_wrong else 0
            if self._num_wrong_windows == 2:
                return f"it runs at about {rate_hz:.0f} Hz and not at {self._stream.rate_hz} Hz"
        self._window_s, self._window_frames = now_s, num_frames
        return None
