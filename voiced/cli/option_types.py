"""Values of options, checked while the command line is parsed."""

import argparse
from collections.abc import Callable

DEFAULT_MAX_REPLY_S = 60.0


def seed(text: str) -> int:
    """Return the value of `--seed`; for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 to 2**63 - 1")
    return value


def seconds(text: str) -> float:
    """Return the value of an option in seconds; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a number of seconds above 0 and at most 3600"
        )
    return value


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return what reads an option's whole number within these limits; for argparse."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r}: expected a whole number from {least} to {most}"
            )
        return value

    return read
