"""Sound to files and pipes as 16-bit PCM, written as it comes, so that an interrupted run leaves what it had."""

import errno
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from audio.chunk import Samples
from audio.errors import AudioError, OutputError
from audio.streams import can_rewind

HEADER_BYTES = 44
BYTES_PER_SAMPLE = 2
# A WAV file counts its bytes in 32 bits; just above a day at 24 kHz.
MAX_WAV_SAMPLES = (2**32 - 1 - HEADER_BYTES) // BYTES_PER_SAMPLE
# Where the header cannot be corrected later, the size is given as unknown in the customary way.
UNKNOWN_SIZE = 2**32 - 1


def to_pcm16(samples: Samples) -> tuple[bytes, int]:
    """Return `samples` as little-endian 16-bit PCM, and how many of them lay outside [-1, 1] and were clipped.

    Raises:
        AudioError: a sample is NaN or infinite.
    """
    finite = np.isfinite(samples)
    if not finite.all():
        index = int(np.argmin(finite))
        raise AudioError(
            f"sample {index} of {len(samples)} to be written is {samples[index]}: expected finite numbers; "
            "the model's output is damaged, check its weights with 'voiced doctor'"
        )
    num_clipped = int(np.count_nonzero(np.abs(samples) > 1))
    # 32768 is what readers divide by; +1 itself has no 16-bit number, the largest one stands in for it.
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes(), num_clipped


class RawPcmWriter:
    """Writes mono 16-bit little-endian PCM without a header to an open stream; each write is passed on at once.

    Attributes:
        num_samples: written so far.
        num_clipped: of these, how many lay outside [-1, 1].
    """

    def __init__(self, stream: BinaryIO, *, name: str = "standard output") -> None:
        self._stream = stream
        self._name = name
        self.num_samples = 0
        self.num_clipped = 0

    def write(self, samples: Samples) -> None:
        """Write `samples`, mono float32.

        Raises:
            AudioError: a sample is not finite.
            OutputError: the stream cannot take it: no space, closed, a read-only device.
            BrokenPipeError: whoever read the stream has gone.
        """
        pcm, num_clipped = to_pcm16(samples)
        try:
            self._stream.write(pcm)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: the stream is closed.
            raise cannot_write(self._name, error) from error
        self.num_samples += len(samples)
        self.num_clipped += num_clipped


class WavWriter:
    """Writes a mono 16-bit WAV file; the file is complete and playable after every `write`.

    An existing file is overwritten in place, from the moment of construction. On a pipe or FIFO, where the header cannot
    be corrected, it says that the length is unknown, which players understand.

    Args:
        target: a path, or a stream open for writing bytes, which then stays open.
        rate_hz: samples per second.

    Attributes:
        num_samples: written so far.
        num_clipped: of these, how many lay outside [-1, 1].

    Raises:
        OutputError: the path cannot be written: no folder, no permission, no space.
    """

    def __init__(self, target: Path | BinaryIO, rate_hz: int = 24_000) -> None:
        self.rate_hz = rate_hz
        self.num_samples = 0
        self.num_clipped = 0
        self._owns_stream = isinstance(target, Path)
        self._name = (
            str(target) if isinstance(target, Path) else str(getattr(target, "name", "the output"))
        )
        self._stream = _create(target) if isinstance(target, Path) else target
        self._can_seek = can_rewind(self._stream)
        self._start = self._stream.tell() if self._can_seek else 0
        self._num_bytes = -HEADER_BYTES  # Of sound; rises with every byte the stream takes.
        try:
            self._put(self._header())
        except BaseException:
            self.close()
            raise

    def write(self, samples: Samples) -> None:
        """Append `samples`, mono float32.

        Raises:
            AudioError: a sample is not finite; the file keeps what it had.
            OutputError: no space, or the file has reached the largest size of its format; it keeps what fitted.
            BrokenPipeError: whoever read the pipe has gone.
        """
        pcm, num_clipped = to_pcm16(samples)
        if self.num_samples + len(samples) > MAX_WAV_SAMPLES:
            raise OutputError(
                f"cannot write more than {MAX_WAV_SAMPLES / self.rate_hz / 3600:.1f} h to {self._name}: "
                "a WAV file holds no more; write several files"
            )
        try:
            self._put(pcm)
        finally:
            self.num_samples = self._num_bytes // BYTES_PER_SAMPLE
            self._correct_header()
        self.num_clipped += num_clipped

    def close(self) -> None:
        """Close the file if it was opened here; what was written is complete."""
        if self._owns_stream:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _put(self, data: bytes) -> None:
        """Write all of `data`; an unbuffered file may take a part of it at a time."""
        rest = memoryview(data)
        try:
            while rest:
                num_taken = self._stream.write(rest)
                self._num_bytes += num_taken
                rest = rest[num_taken:]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: the stream is closed.
            kept_s = max(0, self._num_bytes // BYTES_PER_SAMPLE) / self.rate_hz
            raise cannot_write(self._name, error, kept_s=kept_s) from error

    def _correct_header(self) -> None:
        """Make the header say what the file holds; takes no space, so it succeeds on a full disk."""
        if not self._can_seek or self._stream.closed:
            return
        self._stream.seek(self._start)
        self._stream.write(self._header())
        self._num_bytes = (
            self.num_samples * BYTES_PER_SAMPLE
        )  # Half a sample that still fitted is overwritten next.
        self._stream.seek(self._start + HEADER_BYTES + self._num_bytes)
        self._stream.flush()

    def _header(self) -> bytes:
        num_bytes = self.num_samples * BYTES_PER_SAMPLE
        riff_size = HEADER_BYTES - 8 + num_bytes if self._can_seek else UNKNOWN_SIZE
        data_size = num_bytes if self._can_seek else UNKNOWN_SIZE
        bytes_per_s = self.rate_hz * BYTES_PER_SAMPLE
        form = struct.pack(
            "<4sIHHIIHH", b"fmt ", 16, 1, 1, self.rate_hz, bytes_per_s, BYTES_PER_SAMPLE, 16
        )
        return (
            struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE")
            + form
            + struct.pack("<4sI", b"data", data_size)
        )


def cannot_write(
    name: str, error: OSError | ValueError, *, kept_s: float | None = None
) -> OutputError:
    """Return the error to raise when `name` cannot be written, with what to do about it."""
    code = error.errno if isinstance(error, OSError) else None
    kept = f"; the first {kept_s:.2f} s are in it" if kept_s else ""
    match code:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            reason = (
                "no space is left for it (or it reached a size limit); free some or write elsewhere"
            )
        case errno.ENOENT | errno.ENOTDIR:
            reason = f"the folder {Path(name).parent} does not exist; create it or write elsewhere"
        case errno.EISDIR:
            reason = "it is a folder; give the name of a file in it"
        case errno.EACCES | errno.EPERM:
            reason = "no permission; write to a folder of your own"
        case errno.EROFS:
            reason = "the disk is read-only; write elsewhere"
        case _:
            reason = f"{error}; write elsewhere"
    return OutputError(f"cannot write {name}: {reason}{kept}")


def _create(path: Path) -> BinaryIO:
    try:
        # Unbuffered: nothing that was accepted is lost when the process is killed.
        return open(path, "wb", buffering=0)
    except OSError as error:
        raise cannot_write(str(path), error) from error
