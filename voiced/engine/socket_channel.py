"""The engine's end of the socket to the daemon; blocking, as the engine has one thread and nothing else to wait for."""

import select
import socket

from voiced.engine.framing import Unframer, frame
from voiced.engine.messages import (
    MOST_BYTES_FROM_ENGINE,
    MOST_BYTES_TO_ENGINE,
    FromEngine,
    ToEngine,
    decode_to_engine,
    encode,
)
from voiced.engine.runner import ChannelClosedError

READ_BYTES = 256 * 1024


class SocketChannel:
    """Messages over a connected stream socket."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a blocking socket."""
        self._connection = connection
        self._unframer = Unframer(MOST_BYTES_TO_ENGINE)

    def send(self, message: FromEngine) -> None:
        try:
            self._connection.sendall(frame(encode(message), MOST_BYTES_FROM_ENGINE))
        except OSError as error:
            raise ChannelClosedError from error

    def receive(self, wait_s: float) -> list[ToEngine]:
        messages: list[ToEngine] = []
        while self._is_readable(0.0 if messages else wait_s):
            try:
                data = self._connection.recv(READ_BYTES)
            except OSError as error:
                raise ChannelClosedError from error
            if not data:
                raise ChannelClosedError
            messages += [decode_to_engine(payload) for payload in self._unframer.push(data)]
            wait_s = 0.0
        return messages

    def _is_readable(self, wait_s: float) -> bool:
        return bool(select.select([self._connection], [], [], wait_s)[0])
