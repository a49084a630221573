"""The process of a made-up device, which does what its name says; run by the test of devices in processes."""

import itertools
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from audio.devices import Device, Direction, OnBlock
from audio.errors import DeviceError
from audio.stream_child import serve

RATE_HZ = 16_000
NUM_FRAMES, NUM_CHANNELS = 160, 2
NAMES = ("counts", "plays", "is busy", "crashes", "ends", "never opens")


def devices() -> list[Device]:
    """Return one device for each behaviour, and one that is not there when it is opened."""
    names = (*NAMES, "is gone")
    return [
        Device(index, name, "Fake", NUM_CHANNELS, NUM_CHANNELS, RATE_HZ)
        for index, name in enumerate(names)
    ]


class FakeStream:
    """Calls back every millisecond; the n-th recorded block is full of n."""

    def __init__(self, name: str, on_block: OnBlock) -> None:
        self.rate_hz, self.num_channels, self.latency_s = RATE_HZ, NUM_CHANNELS, 0.25
        self.num_xruns = 3
        self.is_active = True
        self._name = name
        self._on_block = on_block

    def start(self) -> None:
        threading.Thread(target=self._call_back, daemon=True).start()

    def close(self) -> None:
        raise AssertionError("its process ends without it")

    def _call_back(self) -> None:
        for number in itertools.count():
            block = np.full((NUM_FRAMES, NUM_CHANNELS), number, np.float32)
            self._on_block(block)
            match self._name:
                case "plays":
                    with Path(os.environ["PLAYED"]).open("ab") as file:
                        file.write(block.tobytes())
                case "ends":
                    self.is_active = False
            time.sleep(0.001)


class FakeCard:
    """The devices as the process sees them."""

    def list_devices(self) -> list[Device]:
        return devices()[: len(NAMES)]

    look_again = list_devices

    def refresh(self) -> None: ...

    def open(
        self, device: Device, direction: Direction, *, rate_hz: int, on_block: OnBlock
    ) -> FakeStream:
        del direction, rate_hz
        match device.name:
            case "is busy":
                raise DeviceError("it is busy")
            case "crashes":
                os._exit(7)
            case "never opens":
                time.sleep(3600)
        return FakeStream(device.name, on_block)


if __name__ == "__main__":
    serve(sys.argv[1:], FakeCard)
