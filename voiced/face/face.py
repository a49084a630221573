"""The seam between a live talk and whoever watches it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from protocols.events import Event
from voiced.commands import Command


@dataclass(frozen=True, slots=True)
class Level:
    """How loud the microphone hears it, in dB below the loudest possible: about -60 in a quiet room, -20 for speech."""

    dbfs: float


class Face(Protocol):
    """Shows a talk and takes the user's commands, from entering until leaving."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, what: Event | Level) -> None:
        """Show it soon; never waits for the screen."""

    def commands(self) -> AsyncIterator[Command]:
        """Yield what the user asks for, until the face is left."""

    def restore(self) -> None:
        """Give the terminal back as it was, at once; for those who end the program without leaving."""
