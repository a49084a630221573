"""Sample-rate conversion of live sound: held back by little more than a millisecond, at a rate that may drift."""

import numpy as np

from audio.chunk import Samples
from audio.errors import FormatError
from audio.interpolation import Interpolator

LOWEST_RATE_HZ = 4_000  # Below a Bluetooth headset's 8 kHz,
HIGHEST_RATE_HZ = 384_000  # above any sound card's.
MAX_DRIFT_PPM = 1000.0


class LiveResampler:
    """Converts a stream of mono sound as it comes; output sample k lies where input sample k * from_hz / to_hz lies.

    Args:
        from_hz: of what is pushed.
        to_hz: of what comes out.
        first_sample: index of the first input sample in its stream; before it there is taken to be silence.

    Attributes:
        position: index of the next output sample in the output's stream.
        delay_s: how long sound is held back.

    Raises:
        FormatError: a rate that no sound device has.
    """

    def __init__(self, from_hz: int, to_hz: int, *, first_sample: int = 0) -> None:
        for rate_hz in (from_hz, to_hz):
            if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
                raise FormatError(
                    f"sample rate {rate_hz} Hz: expected {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz; choose another device"
                )
        self._filter = Interpolator(from_hz, to_hz)
        self._is_same = from_hz == to_hz
        self._step = self._filter.nominal_step
        unit = self._filter.units_per_sample
        # The first output sample that does not lie before the first input sample.
        self.position = -(-first_sample * unit // self._step)
        self._next = self.position * self._step - first_sample * unit  # From `_kept[half - 1]`.
        self._kept = np.zeros(self._filter.half - 1, np.float32)
        self._num_pushed = 0
        self._num_made = 0
        self._rate_ratio = (from_hz, to_hz)
        self.delay_s = self._filter.half / from_hz

    @property
    def drift_ppm(self) -> float:
        """How much faster than nominal the input's clock runs against the output's; 0 until set."""
        return (self._step / self._filter.nominal_step - 1) * 1e6

    @drift_ppm.setter
    def drift_ppm(self, ppm: float) -> None:
        """Take more (or fewer) input samples for the same number of output samples from now on, within ±1000 ppm."""
        limited = min(MAX_DRIFT_PPM, max(-MAX_DRIFT_PPM, ppm))
        self._step = round(self._filter.nominal_step * (1 + limited * 1e-6))
        self._is_same = self._is_same and limited == 0

    def push(self, samples: Samples) -> Samples:
        """Return what is ready after `samples`, float32, shape (n,); may be nothing."""
        self._num_pushed += len(samples)
        if self._is_same:
            self._kept = np.concatenate([self._kept, samples])[-len(self._kept) :]
            return self._count(samples)
        return self._convert(samples)

    def flush(self) -> Samples:
        """Return the rest; the stream ends here. What came out in all is what went in, at the other rate, to a sample."""
        if self._is_same:
            return np.zeros(0, np.float32)
        from_hz, to_hz = self._rate_ratio
        rest = self._convert(np.zeros(self._filter.half, np.float32))
        wanted = round(self._num_pushed * to_hz / from_hz) - (self._num_made - len(rest))
        return rest[: max(0, wanted)] if self.drift_ppm == 0 else rest

    def _convert(self, samples: Samples) -> Samples:
        unit, half = self._filter.units_per_sample, self._filter.half
        sound = np.concatenate([self._kept, samples])
        limit = (len(sound) - 2 * half + 1) * unit  # Positions below it have their whole window.
        num_ready = max(0, -(-(limit - self._next) // self._step))
        positions = self._next + self._step * np.arange(num_ready, dtype=np.int64)
        made = self._filter.at(sound, positions)
        self._next += num_ready * self._step
        num_done = max(0, min(self._next // unit, len(sound) - 2 * half + 1))
        self._kept = sound[num_done:]
        self._next -= num_done * unit
        return self._count(made)

    def _count(self, made: Samples) -> Samples:
        self._num_made += len(made)
        self.position += len(made)
        return made
