"""A terminal for tests: a pseudo terminal on one side, what a person would see and type on the other."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pyte


class FakeTerminal:
    """Its screen is what was written to it; the program's side is the file descriptor `program_fd`."""

    def __init__(self, *, columns: int = 80, rows: int = 24) -> None:
        self._person_fd, self.program_fd = open_terminal(columns, rows)
        os.set_blocking(self._person_fd, False)
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = asyncio.Event()
        self.output = open(os.dup(self.program_fd), "w", encoding="utf-8")  # noqa: SIM115 - closed below.

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._person_fd, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.read_rest()
        asyncio.get_running_loop().remove_reader(self._person_fd)
        self.output.close()
        os.close(self.program_fd)
        os.close(self._person_fd)

    @property
    def rows(self) -> list[str]:
        """What is to be read, from the oldest row that has left the screen; without empty rows."""
        old = [
            "".join(row[column].data for column in range(self._screen.columns))
            for row in self._screen.history.top
        ]
        return [row.rstrip() for row in [*old, *self._screen.display] if row.strip()]

    @property
    def has_cursor(self) -> bool:
        return not self._screen.cursor.hidden

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._person_fd, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self._screen.resize(rows, columns)
        set_size(self.program_fd, columns, rows)
        os.kill(os.getpid(), signal.SIGWINCH)

    async def until(self, is_so: Callable[[list[str]], bool]) -> list[str]:
        """Return what is to be read as soon as this holds for it; the suite's timeout is the guard."""
        while not is_so(self.rows):
            self._changed.clear()
            await self._changed.wait()
        return self.rows

    async def until_shown(self, text: str) -> list[str]:
        """Return what is to be read as soon as a row has `text`."""
        return await self.until(lambda rows: any(text in row for row in rows))

    def mode(self) -> list[object]:
        """Return the mode of the program's side."""
        return list(termios.tcgetattr(self.program_fd))

    def read_rest(self) -> None:
        """Take what the program has written and nobody has read."""
        while self._read():
            pass

    def _read(self) -> bool:
        try:
            data = os.read(self._person_fd, 65_536)
        except OSError:  # There is nothing.
            return False
        self._stream.feed(data)
        self._changed.set()
        return bool(data)


def open_terminal(columns: int, rows: int) -> tuple[int, int]:
    """Return the person's and the program's side of a new terminal."""
    person_fd, program_fd = pty.openpty()
    set_size(program_fd, columns, rows)
    return person_fd, program_fd


def set_size(fd: int, columns: int, rows: int) -> None:
    """Set the size of the window."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
