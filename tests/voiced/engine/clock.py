"""A clock that goes when the test says so."""

import asyncio
import heapq
import itertools


class SteppedClock:
    """Tells a time that only `advance` moves; who waits is woken at the right moment, in order."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        return self._now_s

    async def wait_s(self, duration_s: float) -> None:
        if duration_s <= 0:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now_s + duration_s, next(self._order), future))
        await future

    async def advance(self, duration_s: float) -> None:
        """Let so much time pass, and whoever waits do what is due."""
        await settle()
        end_s = self._now_s + duration_s
        while self._waiting and self._waiting[0][0] <= end_s:
            due_s, _, future = heapq.heappop(self._waiting)
            self._now_s = max(self._now_s, due_s)
            if not future.done():
                future.set_result(None)
            await settle()
        self._now_s = end_s


async def settle() -> None:
    """Let all tasks run until each waits for something else."""
    for _ in range(20):
        await asyncio.sleep(0)
