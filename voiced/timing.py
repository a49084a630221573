"""The one place that reads the clock; all else counts samples or is given a clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells time and waits."""

    def now_s(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...

    def wait_s(self, duration_s: float) -> None:
        """Wait for so long."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        return time.monotonic()

    def wait_s(self, duration_s: float) -> None:
        time.sleep(duration_s)
