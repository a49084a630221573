"""Where a command's text goes: standard output or a file, passed on as it comes."""

import contextlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from audio.writing import cannot_write
from voiced.errors import OutputError


class TextOutput:
    """Writes text to standard output, or to a file as UTF-8; every write is passed on at once.

    Should the file refuse a write (a full disk), that text and all that follows goes to standard output, so that nothing
    is lost; `on_failure` is told once.

    Args:
        path: the file, overwritten by the first write; None: standard output.
        on_failure: called with the reason when the file cannot take more.

    Attributes:
        failed: whether the file did not take everything.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, *, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._on_failure = on_failure
        self._file: TextIO | None = None
        self._has_begun = False
        self.failed = False
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8", errors="replace")
            except (OSError, ValueError) as error:
                raise cannot_write(str(path), error) from error

    def begin(self) -> None:
        """Take away what an older file held; the first write does this by itself."""
        if self._file is None or self._has_begun:
            return
        self._has_begun = True
        if self._path is not None and self._path.is_file():  # Not a pipe or a device.
            self._file.truncate(0)

    def write(self, text: str) -> None:
        """Write `text`.

        Raises:
            OutputError: standard output cannot take it.
            BrokenPipeError: whoever read it has gone.
        """
        if not text:
            return
        if self._file is None:
            _print(text)
            return
        try:
            self.begin()
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failed = True
            self._on_failure(
                f"{cannot_write(str(self._path), error)}; the rest goes to standard output"
            )
            self.close()
            _print(text)

    def close(self) -> None:
        """Close the file; standard output stays open."""
        file, self._file = self._file, None
        if file is not None:
            # What is still buffered is what could not be written before.
            with contextlib.suppress(OSError):
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _print(text: str) -> None:
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # A terminal of another encoding.
            encoding = sys.stdout.encoding
            sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What could not be written would be tried once more, and raise, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise cannot_write("standard output", error) from error
    except ValueError as error:  # Closed.
        raise OutputError(
            f"cannot write standard output: {error}; redirect it to a file"
        ) from error


def without_controls(text: str) -> str:
    """Return `text` with line breaks and control characters as spaces, and half characters as question marks.

    What a model writes is not trusted: an escape sequence could change the terminal.
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).encode(errors="replace").decode()
