"""What an open stream can do."""

import os
import stat
from typing import BinaryIO


def can_rewind(stream: BinaryIO) -> bool:
    """Whether the stream can be read or written again from its beginning: a regular file or memory, no pipe, no device."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, AttributeError):
        return stream.seekable()  # In memory.
