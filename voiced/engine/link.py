"""A running engine as the daemon's event loop sees it: a process, a thread, or a test's own."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from voiced.engine.messages import FromEngine, ToEngine


class Link(Protocol):
    """One engine, from its start to its end."""

    def send(self, message: ToEngine) -> None:
        """Send without waiting; does nothing when the engine has ended.

        Raises:
            ProtocolError: the message is too long.
        """
        ...

    @property
    def num_unsent(self) -> int:
        """Bytes that wait to be read by the engine; the supervisor bounds them."""
        ...

    async def receive(self) -> FromEngine | None:
        """Return the engine's next message; None when it has ended, which `how_ended` then tells.

        Raises:
            ProtocolError: what came is no message; the engine is then of no more use.
        """
        ...

    def kill(self) -> None:
        """End the engine without asking it; `receive` returns None soon after. Does nothing a second time."""
        ...

    async def close(self) -> None:
        """End the engine, if it has not ended, and wait until nothing of it is left. May be called again."""
        ...

    @property
    def how_ended(self) -> str:
        """Why the engine ended, for a person: a signal, an exit status, an error."""
        ...


# Starts an engine; its first message is Ready, once the model is loaded. Raises EngineError where it cannot be started.
Launch = Callable[[], Awaitable[Link]]
