"""Doing something without root's rights, so that permission tests mean something where tests run as root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65_534


@contextmanager
def without_root() -> Iterator[None]:
    """Act as a user who owns nothing, where the tests run as root; otherwise change nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
