"""Sound devices that each run in a process of their own, because PortAudio does not outlive everything that happens to a device.

When the sound server is started again, PortAudio up to 19.7 may stay in an endless loop that fills standard error, cannot
be closed, and takes the program down as it ends (measured: 19.6 through ALSA to PulseAudio 16.1; mended after 19.7 by
PortAudio's change 87e35e7). A process can be ended whatever goes on in it, and what PortAudio and ALSA print is not seen.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from audio.devices import Device, DeviceStream, Direction, OnBlock, SoundCard
from audio.errors import DeviceError
from audio.stream_child import NUM_XRUNS, receive

HOME = Path(__file__).resolve().parents[1]  # The folder that the packages lie in.
OPEN_TIMEOUT_S = 10.0
MOST_HEADER_BYTES = 4096


class ProcessCard:
    """The devices of `card`; a stream that is opened runs in a process of its own.

    Args:
        card: lists the devices; no stream is opened in this process.
        module: that the process runs; another one in tests.
        open_timeout_s: a device that takes longer to open is given up.
    """

    def __init__(
        self,
        card: SoundCard,
        *,
        module: str = "audio.stream_child",
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        self._card = card
        self._module = module
        self._open_timeout_s = open_timeout_s

    def list_devices(self) -> list[Device]:
        return list(self._card.list_devices())

    def look_again(self) -> list[Device]:
        return list(self._card.look_again())

    def refresh(self) -> None:
        """Know the devices that are there now; open streams go on."""
        self._card.refresh()

    def open(
        self, device: Device, direction: Direction, *, rate_hz: int, on_block: OnBlock
    ) -> DeviceStream:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = self._launch(theirs, device, direction, rate_hz)
            except OSError as error:
                ours.close()
                raise DeviceError(
                    f"cannot open {direction.value} device {device.name!r}: no process for it can be started "
                    f"({error.strerror or error}); free memory or processes"
                ) from error
        stream = ProcessStream(process, ours, direction, on_block)
        try:
            stream.wait_until_open(device.name, self._open_timeout_s)
        except BaseException:
            stream.close()
            raise
        return stream

    def _launch(
        self, theirs: socket.socket, device: Device, direction: Direction, rate_hz: int
    ) -> "subprocess.Popen[bytes]":
        fd = theirs.fileno()
        arguments = (fd, direction.value, device.index, device.name, rate_hz)
        path = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            # Nothing is imported from the folder that the program was started in.
            [sys.executable, "-P", "-m", self._module, *map(str, arguments)],
            stdin=subprocess.PIPE,  # Its end tells that this process is gone.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(fd,),
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C in a terminal is not for it.
        )


class ProcessStream:
    """One open stream in its process; blocks are given and taken in a thread here."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        connection: socket.socket,
        direction: Direction,
        on_block: OnBlock,
    ) -> None:
        self.rate_hz = 0  # From `wait_until_open` on, as all that follows.
        self.num_channels = 0
        self.latency_s = 0.0
        self.num_xruns = 0
        self._num_frames = 0  # Of a block.
        self._process = process
        self._socket = connection
        self._direction = direction
        self._on_block = on_block
        self._is_over = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._exchange, name="voiced-sound", daemon=True)

    @property
    def is_active(self) -> bool:
        return not self._is_over

    def wait_until_open(self, name: str, timeout_s: float) -> None:
        """Learn what was opened of the device of this name.

        Raises:
            DeviceError: nothing was, or it takes longer than `timeout_s`.
        """
        self._socket.settimeout(timeout_s)
        try:
            header = self._read_line()
        except TimeoutError as error:
            raise DeviceError(
                f"cannot open {self._direction.value} device {name!r}: it does not answer within "
                f"{timeout_s:.0f} s; plug it out and in again"
            ) from error
        self._socket.settimeout(None)
        if not header:
            raise DeviceError(
                f"cannot open {self._direction.value} device {name!r}: its process ended with status "
                f"{self._process.wait()}; try again, or choose another device with 'voiced devices'"
            )
        opened = json.loads(header)
        if "error" in opened:
            raise DeviceError(opened["error"])
        self.rate_hz, self.num_channels = opened["rate_hz"], opened["num_channels"]
        self.latency_s, self._num_frames = opened["latency_s"], opened["num_frames"]

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._closing:
            self._is_over = True
            self._process.kill()
            self._process.wait()
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._thread.is_alive():
                self._thread.join()
            self._socket.close()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _read_line(self) -> bytes:
        """Return a line without what follows it; nothing where the process ends before."""
        line = bytearray()
        while not line.endswith(b"\n") and len(line) < MOST_HEADER_BYTES:
            byte = self._socket.recv(1)
            if not byte:
                return b""
            line += byte
        return bytes(line)

    def _exchange(self) -> None:
        head = bytearray(NUM_XRUNS.size)
        block = np.zeros((self._num_frames, self.num_channels), np.float32)
        sound = block.data.cast("B")
        try:
            while receive(self._socket, memoryview(head)):
                (self.num_xruns,) = NUM_XRUNS.unpack(head)
                if self._direction is Direction.INPUT and not receive(self._socket, sound):
                    break
                self._on_block(block)
                if self._direction is Direction.OUTPUT:
                    self._socket.sendall(sound)
        except OSError:
            pass  # The process is gone.
        finally:
            self._is_over = True
