"""The engine as the daemon uses it: sessions that are asked without waiting, and events that are waited for.

    async with EngineClient(launch) as client:
        session = client.open(seed=5)
        session.prepare(1, samples)
        async for event in session:
            ...

Nothing here computes, and torch is not imported. Asking never waits and may be done at any time: while the engine is being
started, what was asked waits in the session's record, and a new engine is told the conversation before it is asked anything.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from voiced.engine import messages as m
from voiced.engine.checks import checked_text
from voiced.engine.link import Launch
from voiced.engine.session import EngineSession
from voiced.engine.supervisor import EngineState, Patience, Supervisor
from voiced.errors import EngineBusyError, EngineError, ProtocolError, RangeError
from voiced.timing import AsyncClock, AsyncSystemClock

MOST_SESSIONS: Final = 64


class EngineClient:
    """An engine that is kept running, and the sessions on it. Used from one event loop, as a context."""

    def __init__(
        self,
        launch: Launch,
        *,
        clock: AsyncClock | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Prepare to run engines.

        Args:
            launch: starts one; see `thread.py` and `process.py`.
            clock: for tests.
            patience: when an engine counts as hung, and when as hopeless.
        """
        self._clock = clock or AsyncSystemClock()
        self._supervisor = Supervisor(launch, self, clock=self._clock, patience=patience)
        self._sessions: dict[int, EngineSession] = {}
        self._num_sessions = 0  # That were ever opened; numbers are not used twice.
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._num_pings = 0
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = (
            None  # Runs the supervisor, while the context is open.
        )

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._task = self._group.create_task(self._supervisor.run(), name="engine supervisor")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        # An error of the body is the body's to raise, as it is; only a cancellation is the group's business.
        cancelled = isinstance(error, asyncio.CancelledError)
        await self._group.__aexit__(
            kind if cancelled else None, error if cancelled else None, traceback
        )

    @property
    def state(self) -> EngineState:
        """How far the engine is."""
        return self._supervisor.state

    @property
    def ready(self) -> m.Ready | None:
        """What the present engine says of its model; None unless it is ready."""
        return self._supervisor.ready

    @property
    def is_live(self) -> bool:
        """Whether the engine is ready and has just given a sign of life."""
        return self._supervisor.is_live

    @property
    def num_restarts(self) -> int:
        """How often an engine was started after the first."""
        return self._supervisor.num_restarts

    async def wait_ready(self) -> m.Ready:
        """Wait until the engine is ready, waking it if it rests, and return what it says of its model.

        Raises:
            EngineError: it cannot be started, or was given up, or the client is closed.
        """
        self.wake()
        while self.ready is None:
            if self.state in {EngineState.FAILED, EngineState.CLOSED}:
                raise EngineError(self._supervisor.failure or "the engine is closed")
            await self.wait_change()
        return self.ready

    async def wait_change(self) -> EngineState:
        """Wait until `state` is another and return it; a state between may be missed."""
        await self._supervisor.changed.wait()
        return self.state

    def rest(self) -> bool:
        """End the engine until it is needed again, and give its memory back; return whether it could be.

        It cannot be unless it is ready and owes no session anything. The conversations stay: the next engine is told them.
        """
        if self.ready is None or not all(session.is_quiet for session in self._sessions.values()):
            return False
        self._supervisor.rest()
        return True

    async def ping(self) -> float:
        """Ask the engine whether it answers and return how many seconds that took.

        Raises:
            EngineError: there is no engine, or it died meanwhile.
        """
        if self.ready is None:
            raise EngineError(f"the engine is {self.state.value}: expected it to be ready")
        self._num_pings += 1
        number, begun_s = self._num_pings, self._clock.now_s()
        answer = self._pings[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(m.Ping(number))
            await answer
        finally:
            del self._pings[number]
        return self._clock.now_s() - begun_s

    def open(
        self,
        *,
        instructions: str = "",
        seed: int = 0,
        sampling: m.SamplingOptions | None = None,
        max_reply_s: float = 60.0,
        history: Sequence[m.PastTurn] = (),
    ) -> EngineSession:
        """Begin a session; its first event is Opened, as soon as there is an engine.

        Args:
            instructions: follow the system prompt that the model was trained with.
            seed: of all replies.
            sampling: None: as the model has it.
            max_reply_s: of sound, up to 600; a longer reply is cut off there.
            history: oldest first.

        Raises:
            RangeError: something is too long or out of range.
            EngineError: the engine was given up or the client is closed.
            EngineBusyError: as many sessions are open as are allowed.
        """
        if self.state in {EngineState.FAILED, EngineState.CLOSED}:
            raise EngineError(self._supervisor.failure or "the engine is closed")
        if len(self._sessions) >= MOST_SESSIONS:
            raise EngineBusyError(
                f"{MOST_SESSIONS} sessions are open: expected fewer; close one first"
            )
        opening = m.Open(
            self._num_sessions + 1,
            checked_text(instructions),
            seed,
            sampling or m.SamplingOptions(),
            max_reply_s,
            tuple(history),
        )
        try:
            m.decode_to_engine(m.encode(opening))
        except ProtocolError as error:
            raise RangeError(f"a session cannot be opened like this: {error.__cause__}") from error
        self._num_sessions += 1
        session = EngineSession(self, opening)
        self._sessions[session.number] = session
        if self.ready is not None:
            session.engine_ready()
        return session

    # What sessions ask of the client.

    def send(self, message: m.ToEngine) -> None:
        """Send to the engine; nothing happens when there is none."""
        self._supervisor.send(message)

    def send_if_free(self, message: m.ToEngine) -> bool:
        """Send to the engine unless much waits for it already; return whether it was sent."""
        return self._supervisor.send(message, can_be_dropped=True)

    def wake(self) -> None:
        """Start the engine if it rests."""
        self._supervisor.wake()

    def forget(self, session: EngineSession) -> None:
        """Take a session off the list that is over."""
        self._sessions.pop(session.number, None)

    # What the supervisor tells the client.

    def engine_ready(self) -> None:
        for session in list(self._sessions.values()):
            session.engine_ready()

    def engine_said(self, message: m.FromEngine) -> None:
        if isinstance(message, m.Pong):
            answer = self._pings.get(message.number)
            if answer is not None and not answer.done():
                answer.set_result(None)
        elif isinstance(message, m.OfSession):
            session = self._sessions.get(message.session)
            if session is not None:
                session.deliver(message)
                if isinstance(message, m.Closed):
                    self.forget(session)

    def engine_lost(self, reason: str, *, is_final: bool) -> None:
        for answer in self._pings.values():
            if not answer.done():
                answer.set_exception(EngineError(reason))
        for session in list(self._sessions.values()):
            session.engine_lost(reason, is_final=is_final)

    def engine_rests(self) -> None:
        for session in list(self._sessions.values()):
            session.engine_rests()
