"""Faces where there is no screen: lines for a reader, and JSON lines for programs."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from protocols.events import Event, Noticed, StateChanged, encode_line
from voiced.commands import Command, Quit
from voiced.face.face import Level
from voiced.face.transcript import Line, Transcript
from voiced.text_output import TextOutput

MOST_WAITING = (
    10_000  # Lines for a reader that does not read. When it is full the oldest goes and is counted.
)
PATIENCE_S = 2.0  # For such a reader, when the talk is over.


class LineFace:
    """Writes lines to standard output, from a thread of its own; nobody gives commands here.

    When whoever reads the lines has gone the talk is to end: `commands` yields Quit, and leaving raises the reason.

    Args:
        to_lines: gives the lines of an event.
        last_lines: gives those to write when the talk is over.
    """

    def __init__(
        self,
        to_lines: Callable[[Event], list[str]],
        last_lines: Callable[[], list[str]] = list,
    ) -> None:
        self._to_lines = to_lines
        self._last_lines = last_lines
        self._output = TextOutput(None, on_failure=lambda _: None)
        self._arrived = threading.Condition()
        self._waiting: deque[str] = deque()
        self._num_dropped = 0  # Since it was told last.
        self._is_over = False
        self._failure: Exception | None = None  # Why nothing more can be written.
        self._commands: asyncio.Queue[Command | None] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._write_all, name="lines", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._put(self._last_lines())
        with self._arrived:
            self._is_over = True
            self._arrived.notify()
        await asyncio.to_thread(self._thread.join, PATIENCE_S)
        self._commands.put_nowait(None)
        if self._failure is not None and error is None:
            raise self._failure

    def show(self, what: Event | Level) -> None:
        if not isinstance(what, Level):
            self._put(self._to_lines(what))

    async def commands(self) -> AsyncIterator[Command]:
        while (command := await self._commands.get()) is not None:
            yield command

    def restore(self) -> None:
        """Do nothing: the terminal is as it was."""

    def _put(self, lines: list[str]) -> None:
        with self._arrived:
            if self._is_over or self._failure is not None:
                return
            for line in lines:
                if len(self._waiting) >= MOST_WAITING:
                    self._waiting.popleft()
                    self._num_dropped += 1
                self._waiting.append(line)
            self._arrived.notify()

    def _write_all(self) -> None:
        try:
            while True:
                with self._arrived:
                    self._arrived.wait_for(lambda: self._waiting or self._is_over)
                    lines = list(self._waiting)
                    self._waiting.clear()
                    num_dropped, self._num_dropped = self._num_dropped, 0
                if not lines:
                    return
                if num_dropped:
                    dropped = f"{num_dropped} lines were dropped, as nobody read them"
                    lines[:0] = self._to_lines(Noticed(text=dropped))
                self._output.write("".join(f"{line}\n" for line in lines))
        except Exception as error:  # Raised again by `__aexit__`.
            self._failure = error
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._commands.put_nowait, Quit())


def json_face() -> LineFace:
    """Return a face that writes every event as one JSON object on a line."""
    return LineFace(lambda event: [encode_line(event)])


def plain_face(*, shows_timings: bool) -> LineFace:
    """Return a face that writes what stands of the talk, each line after the time of its beginning.

    It also writes when the talk begins to listen: at the beginning, and whenever it wakes; and when it falls asleep.
    """
    transcript = Transcript(shows_timings=shows_timings)

    listens = False

    def to_lines(event: Event) -> list[str]:
        nonlocal listens
        lines = [_plain(line) for line in transcript.take(event)]
        if event == StateChanged(state="asleep"):
            listens = False
            lines.append("asleep")
        elif event in _AWAKE and not listens:
            listens = True
            lines.append("listening")
        return lines

    return LineFace(to_lines, lambda: [_plain(line) for line in transcript.finish()])


_AWAKE = (StateChanged(state="listening"), StateChanged(state="hearing"))


def _plain(line: Line) -> str:
    if line.speaker == "timing":
        return line.text
    remark = f"  [{line.remark}]" if line.remark else ""
    return f"{_clock(line.at_s)}{line.speaker}: {line.text}{remark}"


def _clock(at_s: float | None) -> str:
    """Return a time as minutes and seconds, with a gap after it; the gap alone where there is none."""
    if at_s is None:
        return f"{'':7}"
    return f"{int(at_s) // 60:02d}:{int(at_s) % 60:02d}  "
