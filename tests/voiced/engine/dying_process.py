"""`python -m tests.voiced.engine.dying_process --die-in STAGE`: a real engine, killed where it is told to be.

It kills itself, so that the stage is exactly the one that is meant; to the daemon that is the same SIGKILL as any other.
"""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args

from voiced.engine import messages as m
from voiced.engine.framing import frame
from voiced.engine.lifeline import die_with
from voiced.engine.process import ModelChoice
from voiced.engine.runner import Loaded
from voiced.engine.socket_channel import SocketChannel

Stage = Literal[
    "never",
    "loading",
    "history",  # That is told to the model.
    "prefill",
    "text",
    "sound",  # In the middle of a message.
    "flushing",  # All of the sound was sent, and Ended was not.
    "transcription",
]
# What the stage begins with, and the how manieth of them: a reply before it is made as ever.
ORDERS: dict[str, tuple[type, int]] = {
    "history": (m.Open, 1),
    "transcription": (m.Transcribe, 1),
}
SECOND_REPLY = (m.Prepare, 2)
NUM_TOKENS = 2  # Made before the engine dies in "text".
NUM_SOUNDS = 1  # Sent before it dies in "sound".


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingChannel(SocketChannel):
    """The socket to the daemon, at which some stages are noticed.

    Attributes:
        is_armed: what the stage begins with has come.
    """

    def __init__(self, connection: socket.socket, stage: Stage) -> None:
        super().__init__(connection)
        self._stage = stage
        self._order, self._num_to_come = ORDERS.get(stage, SECOND_REPLY)
        self._num_sounds = 0
        self.is_armed = False

    def receive(self, wait_s: float) -> list[m.ToEngine]:
        messages = super().receive(wait_s)
        self._num_to_come -= sum(isinstance(one, self._order) for one in messages)
        self.is_armed = self._num_to_come <= 0
        return messages

    def send(self, message: m.FromEngine) -> None:
        if self.is_armed:
            self._die_before(message)
        super().send(message)

    def _die_before(self, message: m.FromEngine) -> None:
        match self._stage, message:
            case "flushing", m.Ended():
                die()
            case "sound", m.Sound():
                self._num_sounds += 1
                if self._num_sounds > NUM_SOUNDS:
                    payload = frame(m.encode(message), m.MOST_BYTES_FROM_ENGINE)
                    self._connection.sendall(payload[: len(payload) // 2])
                    die()


class DyingModel:
    """A model, at which the other stages are noticed."""

    def __init__(self, model: Any, stage: Stage, channel: DyingChannel) -> None:
        self._model, self._stage, self._channel = model, stage, channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def conversation(self) -> Any:
        return DyingConversation(self._model.conversation(), self._stage, self._channel)


class DyingConversation:
    """A conversation, whose prefill is a stage, and whose text."""

    def __init__(self, conversation: Any, stage: Stage, channel: DyingChannel) -> None:
        self._conversation, self._stage, self._channel = conversation, stage, channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conversation, name)

    def prefill(self, most: int | None = None) -> bool:
        if self._channel.is_armed and self._stage in {"history", "prefill", "transcription"}:
            die()
        return bool(self._conversation.prefill(most))

    def generate(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for index, step in enumerate(self._conversation.generate(*args, **kwargs)):
            if self._channel.is_armed and self._stage == "text" and index == NUM_TOKENS:
                die()
            yield step


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--device", "--dtype"):
        parser.add_argument(name)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--die-in", choices=get_args(Stage), required=True)
    args = parser.parse_args()
    die_with(args.parent)
    if args.die_in == "loading":
        die()
    from voiced.engine.loading import load
    from voiced.engine.runner import run_engine
    from voiced.timing import SystemClock

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=args.fd) as connection:
        channel = DyingChannel(connection, args.die_in)

        def dying() -> Loaded:
            choice = ModelChoice(model=args.model, device=args.device, dtype=args.dtype)
            loaded = load(choice)
            model = DyingModel(loaded.model, args.die_in, channel)
            return Loaded(model, loaded.ready, loaded.options)

        run_engine(dying, channel, now_s=SystemClock().now_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
