"""A ring keeps the newest sound and says what is gone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audio.ring import SampleRing


def ramp(start: int, stop: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.arange(start, stop, dtype=np.float32)[:, None]


@given(st.lists(st.integers(0, 25), max_size=30), st.integers(0, 200), st.integers(0, 200))
def test_what_is_read_is_what_was_written_there(sizes: list[int], start: int, stop: int) -> None:
    ring = SampleRing(10)
    for size in sizes:
        ring.write(ramp(ring.end, ring.end + size))
    first, found = ring.read(start, max(start, stop))
    end = sum(sizes)
    assert ring.end == end
    wanted = [i for i in range(start, stop) if max(0, end - 10) <= i < end]
    assert found.tolist() == wanted
    if wanted:
        assert first == wanted[0]


def test_channels_are_mixed_to_their_mean() -> None:
    ring = SampleRing(10, 2)
    ring.write(np.array([[1, 0], [0.5, 0.5]], np.float32))
    assert ring.read(0, 2)[1].tolist() == [0.5, 0.5]
