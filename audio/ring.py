"""A bounded memory of the newest sound, between a device's callback that never waits and a reader that comes later."""

import numpy as np

from audio.chunk import Samples
from audio.devices import Block


class SampleRing:
    """The newest `capacity` frames of a stream; when it is full, the oldest are overwritten.

    One thread writes, another reads; nobody waits for the other. Positions count from the first frame ever written.

    Attributes:
        end: position after the newest frame; changed by the writer only, after the frames are in place.
    """

    def __init__(self, capacity: int, num_channels: int = 1) -> None:
        self._frames = np.zeros((capacity, num_channels), np.float32)
        # Position up to which the writer may be writing just now; not below `end`.
        self._claimed = 0
        self.end = 0

    @property
    def oldest(self) -> int:
        """Position of the oldest frame that is still whole."""
        return max(0, self._claimed - len(self._frames))

    def write(self, block: Block) -> None:
        """Copy `block`, shape (frames, channels), behind what is there."""
        capacity = len(self._frames)
        stop = self.end + len(block)
        kept = block[-capacity:]
        first = (stop - len(kept)) % capacity
        head = min(len(kept), capacity - first)
        self._claimed = stop
        self._frames[first : first + head] = kept[:head]
        self._frames[: len(kept) - head] = kept[head:]
        self.end = stop

    def read(self, start: int, stop: int) -> tuple[int, Samples]:
        """Return the position and the mean over all channels of the frames from `start` to `stop` that are still there.

        Frames that were overwritten are missing at the beginning, those not yet written at the end.
        """
        stop = min(stop, self.end)
        start = min(max(start, self.oldest), stop)
        capacity = len(self._frames)
        first = start % capacity
        head = min(stop - start, capacity - first)
        frames = np.concatenate(
            [self._frames[first : first + head], self._frames[: stop - start - head]]
        )
        # The writer may have come round while this was copied.
        num_lost = min(max(0, self.oldest - start), len(frames))
        mono: Samples = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1)
        return start + num_lost, mono[num_lost:]
