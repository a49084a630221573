"""The step loop: messages are looked at between steps, and a sign of life is given while it goes round."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from voiced.engine.core import Engine, EngineOptions
from voiced.engine.messages import Alive, FromEngine, Ready, ToEngine, Unfit
from voiced.engine.model import EngineModel
from voiced.errors import VoicedError

SIGN_S: Final = 0.5  # Between two signs of life.


class ChannelClosedError(Exception):
    """The daemon is gone, or wants the engine to end."""


class Channel(Protocol):
    """The engine's side of what lies between it and the daemon."""

    def send(self, message: FromEngine) -> None:
        """Send; waits where the daemon does not read.

        Raises:
            ChannelClosedError: nobody is there.
        """

    def receive(self, wait_s: float) -> list[ToEngine]:
        """Return the messages that have come; waits for the first of them, but no longer than `wait_s`.

        Raises:
            ChannelClosedError: nobody is there.
            ProtocolError: what came is no message.
        """
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready, what is said of it, and what is particular about it."""

    model: EngineModel
    ready: Ready
    options: EngineOptions


def run_engine(load: Callable[[], Loaded], channel: Channel, *, now_s: Callable[[], float]) -> None:
    """Load a model and serve it until the channel is closed.

    Raises:
        ProtocolError: the daemon sent what is no message.
    """
    try:
        try:
            loaded = load()
        except VoicedError as error:
            channel.send(Unfit(str(error)))
            return
        engine = Engine(loaded.model, channel.send, now_s=now_s, options=loaded.options)
        channel.send(loaded.ready)
        _serve(engine, channel, now_s)
    except ChannelClosedError:
        return


def _serve(engine: Engine, channel: Channel, now_s: Callable[[], float]) -> None:
    sign_s = now_s()  # When the next sign of life is due.
    has_work = False
    while True:
        for message in channel.receive(0.0 if has_work else max(0.0, sign_s - now_s())):
            engine.take(message)
        if now_s() >= sign_s:
            channel.send(Alive(engine.num_steps, engine.num_jobs))
            sign_s = now_s() + SIGN_S
        has_work = engine.step()
