"""Where a command's sound goes, checked before anything is computed."""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from voiced.errors import OutputError, UsageError

if TYPE_CHECKING:
    from audio.chunk import Samples
    from audio.writing import WavWriter

_OTHER_FORMATS = {".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"}


class Sink(Protocol):
    """Takes sound at 24 kHz; may wait, and raises OutputError when it can take no more."""

    def write(self, samples: "Samples") -> None: ...


class SoundFile:
    """A WAV file that begins with its first sound, so that a failure before it leaves an older file as it was.

    Attributes:
        path: of the file.
        num_samples: written so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: WavWriter | None = None  # From the first sound on.

    @property
    def num_samples(self) -> int:
        return self._writer.num_samples if self._writer else 0

    def write(self, samples: "Samples") -> None:
        """Append mono float32 samples at 24 kHz; the file is complete after every call.

        Raises:
            OutputError: the file cannot be written, or no longer.
        """
        if self._writer is None:
            from audio.writing import WavWriter
            from voiced.speech_model import SOUND_RATE_HZ

            self._writer = WavWriter(self.path, SOUND_RATE_HZ)
        self._writer.write(samples)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def check_sound_path(path: Path, inputs: list[Path]) -> None:
    """Check that a WAV file can be written to `path` without harm, as far as that can be known without writing.

    Raises:
        UsageError: the name asks for another format, or is that of an input.
        OutputError: a folder, in no folder, no permission, or a name that is too long.
    """
    from audio.writing import cannot_write

    if path.suffix.lower() in _OTHER_FORMATS:
        raise UsageError(
            f"cannot write {path}: expected the name of a WAV file; write {path.with_suffix('.wav').name} and convert it"
        )
    if any(_is_same_file(path, other) for other in inputs):
        raise UsageError(f"{path} is both input and output: expected another name for the output")
    try:
        there = _exists(path)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no folder")
        if not os.access(path if there else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(
                f"cannot write {str(path)[:40]}…: the name has {len(str(path))} characters, more than the disk takes; "
                "give a shorter one"
            ) from error
        raise cannot_write(str(path), error) from error


def check_is_utf8(text: str, what: str) -> None:
    """Check that text from the command line was encoded as the system's locale says.

    Raises:
        UsageError: it holds bytes that are no characters.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{what} is not valid UTF-8 (character {error.start}): expected text in UTF-8; check the terminal's encoding"
        ) from error


def _exists(path: Path) -> bool:
    """Tell whether there is something; unlike Path.exists, raise OSError on every Python where it cannot be known."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False
