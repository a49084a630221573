"""What holds for all tests."""

import os
import signal
from collections.abc import Iterator

import pytest

# Before anything imports torch. The models of the tests are tiny: more threads save nothing, and where other programs
# compute too, threads that wait for each other made a test take 51 s instead of 4 (2 cores, November 2026).
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts what it puts into the background with Ctrl-C ignored, and every child inherits that: tests that interrupt
# a program would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests and the programs they start folders of their own for data and caches, and no hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield
