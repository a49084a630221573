"""The one place that reads the clock; all else counts samples or is given a clock."""

import asyncio
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


class AsyncClock(Protocol):
    """Tells time and waits, in an event loop."""

    def now_s(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...

    async def wait_s(self, duration_s: float) -> None:
        """Let others run for so long."""
        ...


class AsyncBootClock:
    """The machine's own clock in an event loop, where the system has one that also counts while it sleeps."""

    def now_s(self) -> float:
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    async def wait_s(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


class AsyncSystemClock:
    """The machine's own clock, in an event loop."""

    def now_s(self) -> float:
        return time.monotonic()

    async def wait_s(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
