"""The one type in which sound travels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.errors import FormatError

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A piece of mono sound and its place in its stream.

    Attributes:
        samples: float32, shape (n,), nominally in [-1, 1].
        rate_hz: samples per second.
        start: index of the first sample, counted from the start of the stream at this rate.
    """

    samples: Samples
    rate_hz: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise FormatError(
                f"samples of shape {self.samples.shape} and type {self.samples.dtype}: "
                "expected one dimension of float32; mix the channels down and convert first"
            )
        if self.rate_hz <= 0 or self.start < 0:
            raise FormatError(
                f"rate {self.rate_hz} Hz, start {self.start}: expected a rate above and a start not below 0"
            )

    @property
    def end(self) -> int:
        """Index of the sample after the last one."""
        return self.start + len(self.samples)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz
