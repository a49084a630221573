"""How many frames an MP3 file really has, and a view of it that says so.

MP3 has no length of its own. Most files begin with a silent frame that holds one (named Xing or Info); without it libsndfile
guesses from the first frame's bit rate and reads no further, and in files put together from several it reads only the
first. Both would lose speech without a word, so the frames are counted here: half a second for an hour of sound.

Source: ISO/IEC 11172-3, 2.4.2.3, and 13818-3 for the lower rates; the length frame as LAME writes it.
"""

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_KBPS_1 = (
    0,
    32,
    40,
    48,
    56,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
    0,
)  # MPEG 1, layer III.
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)  # MPEG 2 and 2.5.
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LENGTH_NAMES = (b"Xing", b"Info")
# Between frames lie tags, pictures and damage; where no frame follows for so long, the sound is over.
MAX_GAP_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the four bytes before a frame's sound say."""

    header: bytes
    num_bytes: int  # With the header.
    num_samples: int
    rate_hz: int

    @property
    def side_bytes(self) -> int:
        """Size of the side information, behind which a length frame has its name."""
        is_mono = self.header[3] >> 6 == 3
        if self.num_samples == 1152:
            return 17 if is_mono else 32
        return 9 if is_mono else 17


@dataclass(frozen=True, slots=True)
class Mp3Layout:
    """What a file's frames add up to.

    Attributes:
        start: offset of the first frame with sound.
        first: its header.
        num_frames: with sound.
        promised_frames: as the file's own length frame says; None without one.
    """

    start: int
    first: _Frame
    num_frames: int
    promised_frames: int | None

    @property
    def duration_s(self) -> float:
        """Of all frames; up to 0.1 s of it is padding that a decoder may leave out."""
        return self.num_frames * self.first.num_samples / self.first.rate_hz


def read_layout(file: BinaryIO) -> Mp3Layout | None:
    """Return what the file's frames add up to; None when it does not begin as an MP3 file does."""
    start = _skip_id3(file, 0)
    frame = _frame_at(file, start)
    if frame is None or _frame_at(file, start + frame.num_bytes) is None:
        return None
    promised = _promised_frames(file, start, frame)
    if promised is not None:
        start += frame.num_bytes
    num_frames = 0
    position: int | None = start
    while position is not None:
        here = _frame_at(file, position)
        if here is None:
            position = _next_frame(file, position, frame)
        else:
            num_frames += 1
            position += here.num_bytes
    return Mp3Layout(start, frame, num_frames, promised)


class CountedMp3(io.RawIOBase):
    """A readable, seekable view of an MP3 file that begins with a length frame of ours, which counts all of its frames."""

    def __init__(self, file: BinaryIO, layout: Mp3Layout) -> None:
        super().__init__()
        self._file = file
        self._offset = layout.start
        self._head = _length_frame(layout)
        self._size = file.seek(0, os.SEEK_END) - layout.start + len(self._head)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # the only two it is given
        view = memoryview(buffer).cast("B")
        if self._position < len(self._head):
            part = self._head[self._position : self._position + len(view)]
        else:
            self._file.seek(self._offset + self._position - len(self._head))
            part = self._file.read(len(view))
        view[: len(part)] = part
        self._position += len(part)
        return len(part)


def _length_frame(layout: Mp3Layout) -> bytes:
    """Return a silent frame that says how many follow it."""
    sync, kind, rate, mode = layout.first.header
    # No checksum; 64 or 40 kbit/s, where the frame has room for the count; no padding byte.
    frame = _parse(bytes([sync, kind | 1, 0x50 | (rate & 0x0C), mode]))
    assert frame is not None
    count = b"Xing" + struct.pack(
        ">II", 1, layout.num_frames
    )  # 1: only the number of frames is given.
    return (frame.header + bytes(frame.side_bytes) + count).ljust(frame.num_bytes, b"\0")


def _parse(header: bytes) -> _Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # Sync, layer III.
        return None
    version = header[1] >> 3 & 3
    rates = _RATES_HZ.get(version)
    rate_index = header[2] >> 2 & 3
    if rates is None or rate_index == 3:
        return None
    kbps = (_KBPS_1 if version == 3 else _KBPS_2)[header[2] >> 4]
    if kbps == 0:
        return None
    num_samples = 1152 if version == 3 else 576
    padding = header[2] >> 1 & 1
    rate_hz = rates[rate_index]
    return _Frame(header, num_samples // 8 * kbps * 1000 // rate_hz + padding, num_samples, rate_hz)


def _frame_at(file: BinaryIO, position: int) -> _Frame | None:
    file.seek(position)
    return _parse(file.read(4))


def _next_frame(file: BinaryIO, position: int, like: _Frame) -> int | None:
    """Return where frames go on after something else, two in a row of the same kind; None at the end of the sound."""
    position = _skip_id3(file, position)
    file.seek(position)
    gap = file.read(MAX_GAP_BYTES)
    index = gap.find(b"\xff")
    while index >= 0:
        frame = _parse(gap[index : index + 4])
        if frame is not None and (frame.rate_hz, frame.num_samples) == (
            like.rate_hz,
            like.num_samples,
        ):
            follower = _frame_at(file, position + index + frame.num_bytes)
            if follower is not None and follower.rate_hz == like.rate_hz:
                return position + index
        index = gap.find(b"\xff", index + 1)
    return None


def _skip_id3(file: BinaryIO, position: int) -> int:
    """Return where the sound begins after tags at `position`."""
    while True:
        file.seek(position)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return position
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        position += 10 + size + (10 if head[5] & 0x10 else 0)


def _promised_frames(file: BinaryIO, start: int, frame: _Frame) -> int | None:
    """Return the count in a length frame; None when `frame` is no such frame or gives none."""
    checksum_bytes = 0 if frame.header[1] & 1 else 2
    file.seek(start + 4 + checksum_bytes + frame.side_bytes)
    name, flags, count = struct.unpack(">4sII", file.read(12).ljust(12, b"\0"))
    return count if name in _LENGTH_NAMES and flags & 1 else None
