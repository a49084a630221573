"""How long a step may take on this machine, so that a slow one is not mistaken for a hang."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

Kind = Literal["encoding", "prefill", "reading"]

UNKNOWN_S: Final = 30.0  # For the first step of a kind.
TOLD_ABOVE_S: Final = (
    0.5  # A shorter step lies within what a sign of life every half second allows.
)
MARGIN: Final = (
    3.0  # A step may take so much longer than the longest of its kind so far, and a second more.
)
FORGOTTEN: Final = 0.9  # Of the longest, at each step: one slow step is not expected for ever.


class Pace:
    """Tells before a long step how long it may take, and after it that it is over."""

    def __init__(self, now_s: Callable[[], float], announce: Callable[[float], None]) -> None:
        """Know nothing yet.

        Args:
            now_s: tells the time.
            announce: takes the seconds that the next step may take; 0 when it is over.
        """
        self._now_s, self._announce = now_s, announce
        self._longest_s: dict[Kind, float] = {}  # For an amount of 1.

    @contextmanager
    def step(self, kind: Kind, amount: float = 1.0) -> Iterator[None]:
        """Measure a step of `amount`, announced if it may take long."""
        known_s = self._longest_s.get(kind)
        patience_s = UNKNOWN_S if known_s is None else MARGIN * known_s * amount
        is_told = patience_s > TOLD_ABOVE_S
        if is_told:
            self._announce(patience_s + 1)
        begun_s = self._now_s()
        try:
            yield
        finally:
            took_s = (self._now_s() - begun_s) / amount
            self._longest_s[kind] = max(took_s, FORGOTTEN * (known_s or 0.0))
            if is_told:
                self._announce(0.0)
