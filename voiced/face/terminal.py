"""A terminal that gives every key at once and shows none of them, and is given back as it was."""

import contextlib
import os
import select
import termios

PASTE_ON, PASTE_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
SHOW_CURSOR = b"\x1b[?25h"


class RawTerminal:
    """The terminal's mode. Ctrl-C and Ctrl-Z stay signals; Ctrl-S no longer stops the output.

    Args:
        input_fd: where keys come from; a terminal.
        output_fd: where the screen is.
    """

    def __init__(self, input_fd: int, output_fd: int) -> None:
        self._input_fd = input_fd
        self._output_fd = output_fd
        self._before: list[int | list[bytes | int]] | None = None  # While it is raw.

    def enter(self) -> None:
        """Take the terminal; does nothing when it is taken already.

        Raises:
            OSError: it is gone.
        """
        if self._before is None:
            try:
                self._before = termios.tcgetattr(self._input_fd)
            except termios.error as error:
                raise OSError(*error.args) from error
        mode = [list(part) if isinstance(part, list) else part for part in self._before]
        self._set(_raw(mode))
        self._tell(PASTE_ON)

    def leave(self) -> None:
        """Give the terminal back; does nothing when it was given back, is gone, or is the shell's already."""
        before, self._before = self._before, None
        if before is not None and is_in_foreground(
            self._input_fd
        ):  # Else it would stop the program.
            with contextlib.suppress(OSError):
                self._set(before)
            self._tell(PASTE_OFF + SHOW_CURSOR)

    def _set(self, mode: "list[int | list[bytes | int]]") -> None:
        try:
            # At once: to wait for what is still to be shown could be for ever.
            termios.tcsetattr(self._input_fd, termios.TCSANOW, mode)
        except termios.error as error:
            raise OSError(*error.args) from error

    def _tell(self, codes: bytes) -> None:
        """Send codes to the screen, unless it takes nothing."""
        with contextlib.suppress(OSError):
            if select.select([], [self._output_fd], [], 0)[1]:
                os.write(self._output_fd, codes)


def is_in_foreground(fd: int) -> bool:
    """Tell whether this program may use the terminal: the shell has not put it into the background."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True  # It is no terminal of a shell's.


def _raw(mode: "list[int | list[bytes | int]]") -> "list[int | list[bytes | int]]":
    input_flags, local_flags, controls = mode[0], mode[3], mode[6]
    assert isinstance(input_flags, int)
    assert isinstance(local_flags, int)
    assert isinstance(controls, list)
    mode[0] = input_flags & ~termios.IXON
    mode[3] = local_flags & ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    controls[termios.VMIN], controls[termios.VTIME] = 1, 0
    return mode
