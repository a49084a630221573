"""How long a recording's file says it is, where the decoder would not tell that some of it is missing."""

import os
import struct
from typing import BinaryIO

from audio.errors import AudioError

# Programs that write WAV into a pipe do not know its size and give one near 2 or 4 GiB.
UNKNOWN_WAV_BYTES = 0x7FFF_0000
UNCOMPRESSED_WAV_TAGS = (1, 3, 0xFFFE)  # Integers, floats, either with a longer header.
MAX_OGG_PAGE_BYTES = 65_307
MAX_OGG_HEADER_PAGES = 1000  # Comments with pictures may fill many; sound begins after them.


def wav_duration_s(file: BinaryIO) -> float | None:
    """Return the duration that a WAV header promises; None when it is no WAV or does not know.

    libsndfile shortens the promise to what the file holds, so that only this tells a recording that was cut off.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    form, kind = struct.unpack("<4s4x4s", file.read(12).ljust(12, b"\0"))
    if form != b"RIFF" or kind != b"WAVE":
        return None
    bytes_per_s = 0
    while len(head := file.read(8)) == 8:
        chunk, num_bytes = struct.unpack("<4sI", head)
        start = file.tell()
        if chunk == b"data":
            is_known = num_bytes > 0 and (
                num_bytes < UNKNOWN_WAV_BYTES or start + num_bytes <= size
            )
            return num_bytes / bytes_per_s if is_known and bytes_per_s else None
        if chunk == b"fmt ":
            tag, _, rate_hz, _, align = struct.unpack("<HHIIH", file.read(14).ljust(14, b"\0"))
            # The header's own bytes per second are often wrong, and only uncompressed samples need none.
            bytes_per_s = rate_hz * align if tag in UNCOMPRESSED_WAV_TAGS else 0
        file.seek(start + num_bytes + num_bytes % 2)
    return None


def ogg_duration_s(file: BinaryIO, name: str) -> float | None:
    """Return how long an Ogg stream is by the positions in its pages; None when it is not Vorbis or Opus or has no sound.

    Up to a page, about a second, too little. libsndfile stops at a damaged page without a word.

    Raises:
        AudioError: several streams follow one another; the decoder would read only the first.
    """
    first = _ogg_page(file, 0)
    last = _last_ogg_page(file)
    if first is None or last is None:
        return None
    (_, serial, body, position), (last_granule, last_serial, _, _) = first, last
    if last_serial != serial:
        raise AudioError(
            f"{name} holds several Ogg streams one after another: expected one; join them with 'ffmpeg -i OLD NEW.wav'"
        )
    if body.startswith(b"OpusHead"):
        rate_hz = 48_000  # Opus counts at this rate always.
    elif body.startswith(b"\x01vorbis"):
        rate_hz = struct.unpack("<I", body[12:16].ljust(4, b"\0"))[0]
    else:
        return None
    granule = 0
    for _ in range(MAX_OGG_HEADER_PAGES):
        page = _ogg_page(file, position)
        if page is None:
            return None
        granule, _, _, position = page
        if granule > 0:
            break
    return max(0, last_granule - granule) / rate_hz if rate_hz else None


def _ogg_page(file: BinaryIO, position: int) -> tuple[int, int, bytes, int] | None:
    """Return a page's granule position, stream number, first bytes and the position of the next page."""
    file.seek(position)
    head = file.read(27)
    if len(head) < 27 or head[:4] != b"OggS":
        return None
    granule, serial = struct.unpack("<qI", head[6:18])
    num_bytes = sum(file.read(head[26]))
    return granule, serial, file.read(16), position + 27 + head[26] + num_bytes


def _last_ogg_page(file: BinaryIO) -> tuple[int, int, bytes, int] | None:
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 2 * MAX_OGG_PAGE_BYTES)
    file.seek(start)
    tail = file.read()
    index = tail.rfind(b"OggS")
    while index >= 0:
        page = _ogg_page(file, start + index)
        if page is not None and page[0] >= 0:  # -1: no packet ends on this page.
            return page
        index = tail.rfind(b"OggS", 0, index)
    return None
