"""The engine in a thread of this process: for commands that run once, and for tests."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from voiced.engine.link import Launch, Link
from voiced.engine.messages import FromEngine, ToEngine
from voiced.engine.runner import ChannelClosedError, Loaded, run_engine
from voiced.timing import SystemClock


def in_thread(load: Callable[[], Loaded]) -> Launch:
    """Return what starts an engine in a thread; `load` is called there."""

    async def launch() -> Link:
        return ThreadLink(load)

    return launch


class ThreadLink:
    """An engine in a thread. It cannot be killed: one that hangs is left to itself, and dies with the process.

    What waits for the engine is bounded by the supervisor, what waits for the daemon by the sessions' windows.
    """

    def __init__(self, load: Callable[[], Loaded]) -> None:
        """Start the thread; the loop that runs now is told what it says."""
        self._loop = asyncio.get_running_loop()
        self._channel = _ThreadChannel(self._hear)
        self._heard: deque[FromEngine] = deque()
        self._news = asyncio.Event()  # Set while something was heard, or the thread has ended.
        self._has_ended = asyncio.Event()
        self._is_killed = False
        self._how_ended = "the engine's thread ended"
        threading.Thread(target=self._run, args=(load,), name="engine", daemon=True).start()

    @property
    def num_unsent(self) -> int:
        return self._channel.num_bytes

    @property
    def how_ended(self) -> str:
        return self._how_ended

    def send(self, message: ToEngine) -> None:
        self._channel.put(message)

    async def receive(self) -> FromEngine | None:
        while not self._heard:
            if self._has_ended.is_set() or self._is_killed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._heard.popleft()

    def kill(self) -> None:
        self._is_killed = True
        self._heard.clear()
        self._channel.close()
        self._news.set()

    async def close(self) -> None:
        self._channel.close()
        if not self._is_killed:
            await self._has_ended.wait()

    def _run(self, load: Callable[[], Loaded]) -> None:
        try:
            run_engine(load, self._channel, now_s=SystemClock().now_s)
        except Exception as error:  # The thread ends here; the supervisor starts another.
            self._how_ended = f"the engine's thread ended with {type(error).__name__}: {error}"
        self._tell(self._end)

    def _hear(self, message: FromEngine) -> None:
        """Called in the engine's thread."""
        self._tell(self._put, message)

    def _tell(self, *call: object) -> None:
        try:
            self._loop.call_soon_threadsafe(*call)  # type: ignore[arg-type]
        except RuntimeError:  # The loop is closed: nobody listens.
            self._channel.close()

    def _put(self, message: FromEngine) -> None:
        if not self._is_killed:
            self._heard.append(message)
            self._news.set()

    def _end(self) -> None:
        self._has_ended.set()
        self._news.set()


class _ThreadChannel:
    """Messages to a thread, which may wait for them."""

    def __init__(self, hear: Callable[[FromEngine], None]) -> None:
        self._hear = hear
        self._changed = threading.Condition()
        self._messages: deque[ToEngine] = deque()
        self._is_closed = False
        self.num_bytes = 0  # Of the sound in the messages.

    def put(self, message: ToEngine) -> None:
        with self._changed:
            if not self._is_closed:
                self._messages.append(message)
                self.num_bytes += _num_bytes(message)
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    # The engine's side.

    def send(self, message: FromEngine) -> None:
        if self._is_closed:
            raise ChannelClosedError
        self._hear(message)

    def receive(self, wait_s: float) -> list[ToEngine]:
        with self._changed:
            if wait_s and not self._messages and not self._is_closed:
                self._changed.wait(wait_s)
            if self._is_closed:
                raise ChannelClosedError
            messages = list(self._messages)
            self._messages.clear()
            self.num_bytes = 0
        return messages


def _num_bytes(message: ToEngine) -> int:
    history = sum(len(turn.pcm) for turn in getattr(message, "history", ()))
    return 64 + len(getattr(message, "pcm", b"")) + history
