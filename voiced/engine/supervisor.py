"""Keeps an engine running: starts it, notices when it dies or hangs, and starts it again after a while."""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from voiced.engine.link import Launch, Link
from voiced.engine.messages import Alive, FromEngine, Ready, ToEngine, Unfit
from voiced.errors import EngineError, ProtocolError
from voiced.timing import AsyncClock, AsyncSystemClock

log = logging.getLogger("voiced.engine")

# Of messages that the engine has not read. A turn of 30 s takes 1.9 MB; histories are told again after a restart.
FULL_BYTES = 8 * 2**20
OVERFULL_BYTES = 256 * 2**20


class EngineState(Enum):
    """How far the engine is.

    STARTING ──Ready──▶ READY ──died──▶ WAITING ──back-off──▶ STARTING; after too many failures in a row FAILED.
                          └──rest──▶ RESTING ──wake──▶ STARTING
    """

    STARTING = "starting"  # The process runs, its model is being loaded.
    READY = "ready"  # Sessions can be used.
    WAITING = "waiting"  # It has died and is started again after the back-off.
    RESTING = "resting"  # It was ended to give its memory back, and is started when it is needed.
    FAILED = "failed"  # It died too often in a row and was given up.
    CLOSED = "closed"  # Nobody wants it any more.


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When an engine counts as hung or hopeless.

    Attributes:
        silent_s: without a sign of life it is killed. The engine gives one every half second, so that a hang is found
            within 3 s; before a step that takes longer it says for how long.
        check_s: how often that is looked at.
        load_s: a model may take to load.
        first_wait_s: before the second start in a row; the first is made at once, each further one waits twice as long.
        most_wait_s: the longest of these waits.
        stable_s: an engine that was ready for so long is not counted as another failure in the row.
        most_failures: in a row; after that it is given up.
    """

    silent_s: float = 2.5
    check_s: float = 0.25
    load_s: float = 600.0
    first_wait_s: float = 0.5
    most_wait_s: float = 30.0
    stable_s: float = 60.0
    most_failures: int = 5

    def wait_s(self, num_failures: int) -> float:
        """Return how long to wait after so many failures in a row, from 1."""
        if num_failures <= 1:
            return 0.0
        return float(min(self.most_wait_s, self.first_wait_s * 2 ** min(num_failures - 2, 30)))


class Listener(Protocol):
    """What is told of the engine; none of it may wait."""

    def engine_ready(self) -> None:
        """A model is loaded; `Supervisor.ready` tells about it, and `Supervisor.send` reaches it."""

    def engine_said(self, message: FromEngine) -> None:
        """A message came that is not about the engine's own life."""

    def engine_lost(self, reason: str, *, is_final: bool) -> None:
        """The engine is gone with all it knew; it comes back unless this is final."""

    def engine_rests(self) -> None:
        """The engine is gone because nobody needs it; it comes back with `Supervisor.wake`."""


class Supervisor:
    """Runs one engine after the other.

    Attributes:
        state: how far the present one is.
        ready: what it said of itself; None unless the state is READY.
        num_restarts: engines after the first.
        num_dropped: messages that were not sent because too much was waiting.
        failure: why it was given up; empty until then.
    """

    def __init__(
        self,
        launch: Launch,
        listener: Listener,
        *,
        clock: AsyncClock | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._launch, self._listener = launch, listener
        self._clock = clock or AsyncSystemClock()
        self._patience = patience or Patience()
        self._link: Link | None = None  # While an engine runs.
        self._silent_s = (
            0.0  # Since the present engine last said anything, as far as it was watched.
        )
        self._allowed_s = 0.0  # So long it may be silent.
        self._ready_since_s: float | None = None
        self._hung: str | None = None  # Why it was killed for being silent.
        self._unfit = ""  # Why an engine said that it cannot start.
        self._is_wanted = asyncio.Event()  # Not set while it rests.
        self._is_wanted.set()
        self.state = EngineState.STARTING
        self.changed = asyncio.Event()  # Set, and made anew, at every change of `state`.
        self.ready: Ready | None = None
        self.num_restarts = 0
        self.num_dropped = 0
        self.failure = ""

    @property
    def is_live(self) -> bool:
        """Whether the engine has just given a sign of life."""
        return self.state is EngineState.READY and self._silent_s <= self._allowed_s

    def send(self, message: ToEngine, *, can_be_dropped: bool = False) -> bool:
        """Send to the engine and return whether it was sent; it is not unless the engine is ready.

        What waits to be sent is bounded in bytes. Over the first bound, what can be dropped is; over the second the engine
        counts as hung, and is killed.
        """
        link = self._link
        if link is None or self.state is not EngineState.READY:
            return False
        if can_be_dropped and link.num_unsent >= FULL_BYTES:
            self.num_dropped += 1
            return False
        link.send(message)
        if link.num_unsent > OVERFULL_BYTES:
            self._hung = (
                f"the engine left {link.num_unsent} bytes unread: expected at most {OVERFULL_BYTES}"
            )
            link.kill()
        return True

    def rest(self) -> None:
        """End the engine and start no other until `wake`; does nothing unless it is ready. What it was doing is lost."""
        link = self._link
        if link is None or self.state is not EngineState.READY:
            return
        self.ready = None
        self._is_wanted.clear()
        self._become(EngineState.RESTING)
        self._listener.engine_rests()
        link.kill()

    def wake(self) -> None:
        """Start an engine if it rests."""
        self._is_wanted.set()

    async def run(self) -> None:
        """Run engines until cancelled, or until one too many has failed."""
        failures = 0
        try:
            while True:
                self._become(EngineState.STARTING)
                reason = await self._run_one()
                if self.state is EngineState.RESTING:
                    failures = 0
                    await self._is_wanted.wait()
                    continue
                failures = 1 if self._was_stable() else failures + 1
                if self._unfit or failures >= self._patience.most_failures:
                    self._give_up(reason, failures)
                    return
                self.num_restarts += 1
                self._become(EngineState.WAITING)
                await self._clock.wait_s(self._patience.wait_s(failures))
        finally:
            if self.state is not EngineState.FAILED:
                self._become(EngineState.CLOSED)

    async def _run_one(self) -> str:
        """Run one engine from its start to its end; return why it ended."""
        self._ready_since_s, self._hung = None, None
        self._silent_s, self._allowed_s = 0.0, self._patience.load_s
        try:
            link = await self._launch()
        except EngineError as error:
            self._lose(str(error))
            return str(error)
        self._link = link
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(link), name="engine watch")
                reason = await self._listen(link)
                watch.cancel()
        finally:
            self._link = None
            await link.close()
        if self.state is EngineState.RESTING:
            return ""
        reason = reason or link.how_ended
        log.warning("engine lost", extra={"reason": reason, "restarts": self.num_restarts})
        return reason

    async def _listen(self, link: Link) -> str:
        """Pass on what the engine says until it has ended; return why, where that is known before it is cleared away."""
        while True:
            try:
                message = await link.receive()
            except ProtocolError as error:
                link.kill()
                return self._lose(f"the engine sent what cannot be read: {error}")
            if self.state is EngineState.RESTING:
                return ""
            if message is None:
                return self._lose(self._hung or self._unfit)
            self._silent_s, self._allowed_s = 0.0, self._patience.silent_s
            match message:
                case Alive(patience_s=patience_s):
                    self._allowed_s = max(self._patience.silent_s, patience_s)
                case Unfit(message=reason):
                    self._unfit = reason
                case Ready():
                    self._ready_since_s = self._clock.now_s()
                    self.ready = message
                    self._become(EngineState.READY)
                    self._listener.engine_ready()
                case _:
                    self._listener.engine_said(message)

    async def _watch(self, link: Link) -> None:
        """Kill the engine when it gives no sign of life."""
        last_s = self._clock.now_s()
        while True:
            await self._clock.wait_s(self._patience.check_s)
            now_s = self._clock.now_s()
            # Where this loop itself stood still, a sign may have come and not been read: that time does not count.
            self._silent_s += min(now_s - last_s, 2 * self._patience.check_s)
            last_s = now_s
            if self._silent_s > self._allowed_s:
                self._hung = (
                    f"the engine gave no sign of life for {self._silent_s:.1f} s: "
                    f"expected one within {self._allowed_s:.1f} s"
                )
                link.kill()
                return

    def _lose(self, reason: str) -> str:
        """Tell at once that the engine is gone, before it is cleared away."""
        self.ready = None
        self._become(EngineState.WAITING)
        self._listener.engine_lost(reason or "the engine ended", is_final=False)
        return reason

    def _give_up(self, reason: str, failures: int) -> None:
        self.failure = (
            reason
            if self._unfit
            else (
                f"the engine ended {failures} times in a row, at last: {reason}; see 'voiced doctor'"
            )
        )
        log.error("engine given up", extra={"failures": failures, "reason": reason})
        self._become(EngineState.FAILED)
        self._listener.engine_lost(self.failure, is_final=True)

    def _was_stable(self) -> bool:
        since_s = self._ready_since_s
        return since_s is not None and self._clock.now_s() - since_s >= self._patience.stable_s

    def _become(self, state: EngineState) -> None:
        if state is not self.state:
            self.state = state
            log.info("engine state", extra={"state": state.value})
            self.changed.set()
            self.changed = asyncio.Event()
