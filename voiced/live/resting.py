"""Giving the model's memory back while nobody talks."""

from collections.abc import Callable
from typing import Protocol

from protocols.events import Event, Noticed


class Talk(Protocol):
    """What is needed of voiced.live.session.LiveSession."""

    @property
    def is_idle(self) -> bool: ...
    @property
    def is_owed_words(self) -> bool: ...


class Rest:
    """Lets the engine rest when it was not needed for so long; the talk wakes it when somebody speaks.

    Args:
        talk: which uses the engine.
        rest: ends the engine; returns whether it could be.
        after_s: of idleness; None for never.
        now_s: seconds on a clock that does not go back.
        show: is told.
    """

    def __init__(
        self,
        talk: Talk,
        rest: Callable[[], bool],
        *,
        after_s: float | None,
        now_s: Callable[[], float],
        show: Callable[[Event], None],
    ) -> None:
        self.after_s = after_s
        self._talk = talk
        self._rest = rest
        self._now_s = now_s
        self._show = show
        self._needed_s = now_s()  # When the engine was needed last.
        self._is_resting = False

    def look(self) -> None:
        """See whether it is time; to be called every now and then."""
        if not self._talk.is_idle or self._talk.is_owed_words:
            self._needed_s, self._is_resting = self._now_s(), False
        elif (
            self.after_s is not None
            and not self._is_resting
            and self._now_s() - self._needed_s >= self.after_s
            and self._rest()
        ):
            self._is_resting = True
            self._show(Noticed(text="the model has left memory; it comes back when you speak"))
