"""The face in a terminal: the talk as it goes, and keys."""

import asyncio
import atexit
import contextlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console

from protocols.events import Event, State, StateChanged
from voiced.commands import Command, Quit
from voiced.face.drawing import QUIET_DBFS, View
from voiced.face.entry import Entry
from voiced.face.face import Level
from voiced.face.keys import KeyReader
from voiced.face.screen import INTERVAL_S, Screen
from voiced.face.terminal import RawTerminal, is_in_foreground
from voiced.face.transcript import Line, Transcript
from voiced.text_output import without_controls

# How long an escape or a letter may wait for what follows: keys typed in a row are closer together.
SETTLE_S = 0.3
MOST_COMMANDS = 64  # That nobody took; further ones are dropped, as nobody can mean so many.


def stop_program() -> None:
    """Stop this program until the shell continues it."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, before)


class TerminalFace:
    """See `Face`. Only for the main thread's event loop, as it takes signals.

    Args:
        push_to_talk: the space bar begins and ends talking; otherwise it interrupts the reply.
        shows_timings: show the latency ledger of every exchange.
        input_fd: where keys come from; None: there are none.
        output: a terminal.
        settle_s: how long a letter may wait for what follows.
        interval_s: the least time between two drawings.
        suspend: stops the program, and returns when it is continued.
    """

    def __init__(
        self,
        *,
        push_to_talk: bool,
        shows_timings: bool,
        input_fd: int | None,
        output: TextIO,
        settle_s: float = SETTLE_S,
        interval_s: float = INTERVAL_S,
        suspend: Callable[[], None] = stop_program,
    ) -> None:
        self._input_fd = input_fd
        self._output = output
        self._settle_s = settle_s
        self._interval_s = interval_s
        self._suspend = suspend
        self._push_to_talk = push_to_talk
        self._transcript = Transcript(shows_timings=shows_timings)
        self._entry = Entry(push_to_talk=push_to_talk)
        self._reader = KeyReader()
        self._state: State = "loading"
        self._level_dbfs = QUIET_DBFS
        self._commands: asyncio.Queue[Command | None] = asyncio.Queue(MOST_COMMANDS)
        self._settling: asyncio.TimerHandle | None = None  # While a key waits for what follows.
        self._raw = None if input_fd is None else RawTerminal(input_fd, output.fileno())
        self._screen: Screen | None = None  # From entering to leaving,
        self._own_output: TextIO | None = None  # where it is drawn.
        self._is_away = False  # The shell has the terminal.
        self._stderr: TextIO | None = None  # The one that is put back on leaving.

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        atexit.register(self.restore)
        try:
            self._take_keys()
            loop.add_signal_handler(signal.SIGWINCH, self._redraw)
            loop.add_signal_handler(signal.SIGTSTP, self._stop)
            loop.add_signal_handler(signal.SIGCONT, self._continue)
            self._own_output = _open_again(self._output)
            console = Console(
                file=self._own_output, force_terminal=True, highlight=False, emoji=False
            )
            self._screen = Screen(
                console, size_fd=self._output.fileno(), interval_s=self._interval_s
            )
            if sys.stderr is not None and sys.stderr.isatty():
                self._stderr, sys.stderr = sys.stderr, _Notes(self._screen)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def show(self, what: Event | Level) -> None:
        if self._screen is None:
            return
        if isinstance(what, Level):
            self._level_dbfs = what.dbfs
        elif isinstance(what, StateChanged):
            self._state = what.state
            if what.state == "muted":
                self._entry.is_talking = False
        else:
            self._screen.tell(*self._transcript.take(what))
        self._draw()

    async def commands(self) -> AsyncIterator[Command]:
        while (command := await self._commands.get()) is not None:
            yield command

    def restore(self) -> None:
        if self._raw is not None:
            self._raw.leave()
        atexit.unregister(self.restore)

    # Keys

    def _read(self) -> None:
        assert self._input_fd is not None
        try:
            data = os.read(self._input_fd, 4096)
        except BlockingIOError:
            return
        except OSError:  # The terminal is gone.
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._input_fd)
            self._send(Quit())
            return
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        for key in self._reader.push(data):
            self._send(*self._entry.take(key))
        if self._reader.is_undecided or self._entry.is_undecided:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(self._settle_s, self._settle)
        self._draw()

    def _settle(self) -> None:
        self._settling = None
        for key in self._reader.settle():
            self._send(*self._entry.take(key))
        self._send(*self._entry.settle())
        self._draw()

    def _send(self, *commands: Command) -> None:
        for command in commands:
            with contextlib.suppress(asyncio.QueueFull):
                self._commands.put_nowait(command)

    # The screen

    def _draw(self) -> None:
        if self._is_away and is_in_foreground(self._output.fileno()):
            self._continue()
        if self._screen is not None:
            self._screen.show(
                View(
                    lines=tuple(self._transcript.open_lines()),
                    state=self._state,
                    level_dbfs=self._level_dbfs,
                    entry=self._entry.text,
                    push_to_talk=self._push_to_talk,
                    is_talking=self._entry.is_talking,
                    has_keys=self._input_fd is not None,
                )
            )

    def _redraw(self) -> None:
        if self._screen is not None:
            self._screen.redraw()

    def _stop(self) -> None:
        """Stop as the shell asks (Ctrl-Z), with the terminal as it was."""
        self._put_away()
        if self._raw is not None:
            self._raw.leave()
        self._suspend()
        # `suspend` set a handler of its own, which took the loop's away.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._stop)
        self._continue()

    def _continue(self) -> None:
        """Take the terminal again; if the shell keeps it, as soon as it is ours and there is something to show."""
        if self._screen is None:
            return
        if not is_in_foreground(self._output.fileno()):
            self._put_away()
            return
        self._is_away = False
        with contextlib.suppress(OSError):
            self._take_keys()
        self._screen.resume()

    def _put_away(self) -> None:
        """Neither read keys nor draw: in the background either would stop the program."""
        self._is_away = True
        if self._input_fd is not None:
            asyncio.get_running_loop().remove_reader(self._input_fd)
        if self._screen is not None:
            self._screen.pause()

    def _take_keys(self) -> None:
        if self._raw is not None and self._input_fd is not None:
            self._raw.enter()
            asyncio.get_running_loop().add_reader(self._input_fd, self._read)

    def _leave(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stderr is not None:
            sys.stderr, self._stderr = self._stderr, None
        if self._settling is not None:
            self._settling.cancel()
        if self._input_fd is not None:
            loop.remove_reader(self._input_fd)
        for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT):
            loop.remove_signal_handler(number)
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.tell(*self._transcript.finish())
            if screen.stop() and self._own_output is not None:
                with contextlib.suppress(
                    OSError
                ):  # What the terminal, which is gone, did not take.
                    self._own_output.close()
        self.restore()
        while self._commands.full():
            self._commands.get_nowait()
        self._commands.put_nowait(None)


def _open_again(output: TextIO) -> TextIO:
    """Return a file of its own on the same terminal: a thread that waits for it then holds up no one who prints."""
    return open(os.dup(output.fileno()), "w", encoding=output.encoding, errors="replace")


class _Notes(io.TextIOBase):
    """Stands in for standard error, so that what is said there does not run into the region."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            shown = without_controls(line)
            self._screen.tell(Line(speaker="note", text=shown, num_sure=len(shown)))
        return len(text)
