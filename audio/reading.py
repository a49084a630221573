"""Recordings as a stream of mono chunks at one rate, in constant memory, whatever file they lie in."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio.chunk import AudioChunk, Samples
from audio.errors import AudioError, OutputError
from audio.formats import KINDS, decoder_message, open_sound
from audio.resampling import Resampler
from audio.streams import can_rewind

# Values (samples times channels) decoded at once: a second of 8 channels at 96 kHz, 3 MB.
MAX_BLOCK_VALUES = 768_000
# Samples stored as floats may exceed 1 (some files hold 16-bit or 32-bit numbers as floats); beyond this no scale is known
# and their squares no longer fit the arithmetic of the front end.
MAX_MAGNITUDE = 2.0**31
# A header may promise a little more than there is without a cut: writers count padding, MP3 lengths are rounded to frames.
TOLERATED_SHORTFALL_S = 0.1


class AudioReader:
    """A recording being read: iterate over it once for its chunks, each of at most about a second.

    Channels are averaged. Samples are neither scaled nor clipped nor freed of an offset: the models take them raw.

    Attributes:
        name: what messages call it.
        rate_hz: of the chunks.
        source_rate_hz: of the recording.
        num_channels: of the recording.
        duration_s: as its header says; None where only reading to the end tells.
    """

    def __init__(self, file: BinaryIO, name: str, rate_hz: int, *, closes_file: bool) -> None:
        self._file = file
        self._closes_file = closes_file
        self.name = name
        self.rate_hz = rate_hz
        self._sound, self.duration_s = open_sound(file, name)
        self.source_rate_hz: int = self._sound.samplerate
        self.num_channels: int = self._sound.channels
        self._resampler = Resampler(self.source_rate_hz, rate_hz)

    def __iter__(self) -> Iterator[AudioChunk]:
        """Yield the chunks; together they hold `round(num_source_samples * rate_hz / source_rate_hz)` samples.

        Raises:
            AudioError: no samples, damaged in the middle, cut off before its promised end, NaN, infinite or absurdly large
                samples. What came before the fault has been yielded, except up to a second where the decoder gave up.
        """
        start = 0
        fault: AudioError | None = None
        try:
            for block in self._blocks():
                chunk = AudioChunk(self._resampler.push(block), self.rate_hz, start)
                start = chunk.end
                if len(chunk.samples):
                    yield chunk
        except AudioError as error:
            fault = error
        chunk = AudioChunk(self._resampler.flush(), self.rate_hz, start)
        if len(chunk.samples):
            yield chunk
        if fault is not None:
            raise fault

    def close(self) -> None:
        """Close the file, and remove the copy that was made of a pipe. A stream given by the caller stays open."""
        self._sound.close()
        if self._closes_file:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _blocks(self) -> Iterator[Samples]:
        """Yield the recording at its own rate, its channels averaged; raise when something is wrong with it."""
        num_read = 0
        block_samples = max(1, min(self.source_rate_hz, MAX_BLOCK_VALUES // self.num_channels))
        while len(block := self._decode(block_samples, num_read)):
            num_usable = _count_usable(block)
            if num_usable:
                yield _mix(block[:num_usable])
            if num_usable < len(block):
                raise AudioError(
                    f"{self.name} has samples {block[num_usable].tolist()} at "
                    f"{(num_read + num_usable) / self.source_rate_hz:.4f} s: "
                    "expected finite numbers, nominally in [-1, 1]; export the recording again"
                )
            num_read += len(block)
        self._check_length(num_read)

    def _decode(self, num_samples: int, num_read: int) -> NDArray[np.float32]:
        """Return the next samples, shape (n, channels); none at the end."""
        try:
            block: NDArray[np.float32] = self._sound.read(
                num_samples, dtype="float32", always_2d=True
            )
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{self.name} is damaged between {num_read / self.source_rate_hz:.2f} and "
                f"{(num_read + num_samples) / self.source_rate_hz:.2f} s "
                f"({decoder_message(error)}): expected sound to the end; copy it or export it again"
            ) from error
        return block

    def _check_length(self, num_read: int) -> None:
        read_s = num_read / self.source_rate_hz
        if self.duration_s is not None and read_s < self.duration_s - TOLERATED_SHORTFALL_S:
            raise AudioError(
                f"{self.name} ends after {read_s:.2f} s, but its file promises {self.duration_s:.2f} s: it was cut off; "
                "copy it again if there is more of it"
            )
        if num_read == 0:
            raise AudioError(
                f"{self.name} has no samples: expected a recording of at least 20 ms; if its recorder was killed before it "
                "wrote the length, 'ffmpeg -i OLD NEW.wav' may rescue it, else record it again"
            )


def open_audio(
    source: Path | BinaryIO, *, rate_hz: int = 16_000, name: str | None = None
) -> AudioReader:
    """Open a recording of any rate and number of channels; iterate over the result for mono chunks at `rate_hz`.

    What cannot be read twice (standard input, a FIFO) is first copied to a temporary file, which waits for its end.

    Args:
        source: a path, or a stream open for reading bytes. A stream that can be rewound is read from its beginning.
        rate_hz: of the chunks.
        name: for messages; otherwise the path or the stream's own name.

    Raises:
        AudioError: missing, not readable, empty, not a recording.
        FormatError: a sample rate that no recording has.
        OutputError: no room for the temporary copy.
    """
    name = name or str(
        source if isinstance(source, Path) else getattr(source, "name", "the stream")
    )
    file = _open_path(source, name) if isinstance(source, Path) else source
    closes_file = isinstance(source, Path)
    try:
        if not can_rewind(file):
            original, file = file, _spool(file, name)
            if closes_file:
                original.close()
            closes_file = True
        if file.seek(0, os.SEEK_END) == 0:
            raise AudioError(
                f"{name} is empty (0 bytes): expected {KINDS}; record or copy it again"
            )
        return AudioReader(file, name, rate_hz, closes_file=closes_file)
    except BaseException:
        if closes_file:
            file.close()
        raise


def _open_path(path: Path, name: str) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise AudioError(f"{name} is a device: expected {KINDS}")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise AudioError(f"{name} does not exist: expected {KINDS}; check the name") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name} is a folder: expected {KINDS}; name the files in it") from error
    except PermissionError as error:
        raise AudioError(
            f"{name} may not be read: no permission; change it with chmod or copy the file"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        raise AudioError(f"{name} cannot be opened: {error}; expected {KINDS}") from error


def _spool(stream: BinaryIO, name: str) -> BinaryIO:
    """Return a temporary file with all that `stream` still has; it vanishes when it is closed."""
    if stream.isatty():
        raise AudioError(
            f"{name} is a terminal: expected {KINDS} on it; redirect a file or pipe one in"
        )
    copy = tempfile.TemporaryFile()  # noqa: SIM115  the reader closes it
    try:
        shutil.copyfileobj(stream, copy)
        copy.flush()
    except OSError as error:
        copy.close()
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputError(
                f"no room in {tempfile.gettempdir()} for a copy of {name}: set TMPDIR to a larger disk or give a file"
            ) from error
        raise AudioError(f"{name} cannot be read: {error}; expected {KINDS}") from error
    except BaseException:
        copy.close()
        raise
    return cast(BinaryIO, copy)


def _count_usable(block: NDArray[np.float32]) -> int:
    """Return how many samples come before the first that is not finite or beyond any scale."""
    usable = (np.abs(block) <= MAX_MAGNITUDE).all(axis=1)  # A NaN compares as False.
    return len(block) if usable.all() else int(np.argmin(usable))


def _mix(block: NDArray[np.float32]) -> Samples:
    """Return the mean of the channels, shape (n,)."""
    mono: Samples = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    return mono
