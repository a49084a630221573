"""The process in which one device runs: `python -m audio.stream_child`, started by `audio.stream_process`.

It first says in a line of JSON what it opened, or why it could not. Then, for every block, it sends the number of xruns so
far and what was recorded, or is sent what to play. It ends when its standard input or the socket does.
"""

import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence

from audio.devices import Block, Device, Direction, SoundCard
from audio.errors import DeviceError
from audio.portaudio import BLOCK_S, PortAudioCard

NUM_XRUNS = struct.Struct("<I")
LOOK_S = 0.1  # How often it is looked whether the device has ended the stream.


def serve(arguments: Sequence[str], make_card: Callable[[], SoundCard]) -> None:
    """Run one device; does not return.

    Args:
        arguments: descriptor of the socket, direction, number and name of the device, and the rate that is asked for.
        make_card: returns the devices.
    """
    threading.Thread(target=_end_with_input, daemon=True).start()
    fd, way, index, name, rate_hz = arguments
    direction = Direction(way)
    exchange = _Exchange(socket.socket(fileno=int(fd)), direction)
    try:
        card = make_card()
        device = _find(card.list_devices(), direction, int(index), name)
        stream = card.open(device, direction, rate_hz=int(rate_hz), on_block=exchange)
        stream.start()
    except DeviceError as error:
        exchange.tell({"error": str(error)})
        os._exit(1)
    exchange.tell(
        {
            "rate_hz": stream.rate_hz,
            "num_channels": stream.num_channels,
            "num_frames": round(BLOCK_S * stream.rate_hz),
            "latency_s": stream.latency_s,
        }
    )
    exchange.num_xruns = lambda: stream.num_xruns
    while stream.is_active:
        time.sleep(LOOK_S)
    os._exit(0)  # PortAudio may not be able to end any more.


class _Exchange:
    """What the device calls with each block."""

    def __init__(self, connection: socket.socket, direction: Direction) -> None:
        self.num_xruns: Callable[[], int] | None = None  # Of the stream, from when it was told of.
        self._socket = connection
        self._direction = direction

    def tell(self, message: dict[str, object]) -> None:
        """Send what was opened, or why nothing was."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def __call__(self, block: Block) -> None:
        is_output = self._direction is Direction.OUTPUT
        if self.num_xruns is None:
            block[:] = 0
            return
        head = NUM_XRUNS.pack(self.num_xruns())
        try:
            self._socket.sendall(head if is_output else head + block.tobytes())
            if is_output and not receive(self._socket, block.data.cast("B")):
                os._exit(0)
        except OSError:
            os._exit(0)


def receive(connection: socket.socket, buffer: memoryview) -> bool:
    """Fill `buffer`; False when the other end was closed before."""
    num_bytes = 0
    while num_bytes < len(buffer):
        num_new = connection.recv_into(buffer[num_bytes:])
        if not num_new:
            return False
        num_bytes += num_new
    return True


def _find(devices: Sequence[Device], direction: Direction, index: int, name: str) -> Device:
    """Return the device of that name; where several have it, the one of that number if it is among them."""
    found = [one for one in devices if one.name == name and one.num_channels(direction)]
    if not found:
        raise DeviceError(
            f"{direction.value} device {name!r} is not there: plug it in again, or choose another one"
        )
    return next((device for device in found if device.index == index), found[0])


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1:], PortAudioCard)
