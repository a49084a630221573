"""Sample-rate conversion of files and other sound that may wait: soxr at high quality.

Its stream holds sound back by 20 to 40 ms, which is why the live path does not use it.
"""

import numpy as np
import soxr

from audio.chunk import Samples
from audio.errors import FormatError

# From telephone recordings to measuring equipment; outside it a header is damaged rather than unusual.
LOWEST_RATE_HZ = 1_000
HIGHEST_RATE_HZ = 1_536_000


class Resampler:
    """Converts a stream of mono sound; what comes out in all is `round(num_in * to_hz / from_hz)` samples, aligned with the input.

    Raises:
        FormatError: a rate that no recording has.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        for rate_hz in (from_hz, to_hz):
            if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
                raise FormatError(
                    f"sample rate {rate_hz} Hz: expected {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz; "
                    "the recording's header is probably damaged"
                )
        self._stream = (
            None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
        )

    def push(self, samples: Samples) -> Samples:
        """Return what is ready after `samples`, float32, shape (n,); may be nothing."""
        return samples if self._stream is None else self._convert(samples, last=False)

    def flush(self) -> Samples:
        """Return the rest; the stream ends here."""
        nothing = np.zeros(0, np.float32)
        return nothing if self._stream is None else self._convert(nothing, last=True)

    def _convert(self, samples: Samples, *, last: bool) -> Samples:
        assert self._stream is not None
        converted: Samples = self._stream.resample_chunk(np.ascontiguousarray(samples), last=last)
        return converted


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return a whole recording at another rate, `round(len(samples) * to_hz / from_hz)` samples.

    Raises:
        FormatError: a rate that no recording has.
    """
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.push(samples), resampler.flush()])
