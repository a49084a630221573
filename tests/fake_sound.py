"""Sound devices in simulated time: clocks that drift, devices that are pulled out, busy, or stand still."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from audio.chunk import Samples
from audio.devices import Block, Device, Direction, OnBlock
from audio.errors import DeviceError

BLOCK_S = 0.01
Source = Callable[[float, int, int], Samples]  # Time of the first sample, number of samples, rate.


def silence(_time_s: float, num_samples: int, _rate_hz: int) -> Samples:
    return np.zeros(num_samples, np.float32)


def microphone(name: str = "USB Microphone", index: int = 0, rate_hz: int = 48_000) -> Device:
    return Device(index, name, "Fake", 2, 0, rate_hz, is_default_input=index == 0)


def speaker(name: str = "USB Speaker", index: int = 1, rate_hz: int = 48_000) -> Device:
    return Device(index, name, "Fake", 0, 2, rate_hz, is_default_output=index == 1)


class FakeStream:
    """One open stream; calls back when the simulated time has come."""

    def __init__(
        self, card: "FakeSoundCard", device: Device, direction: Direction, on_block: OnBlock
    ) -> None:
        self.rate_hz = card.rates_hz.get(device.name, device.rate_hz)
        self.num_channels = min(2, device.num_channels(direction))
        self.latency_s = 0.02
        self.num_xruns = 0
        self.device = device
        self.direction = direction
        self.is_open = True
        self.is_frozen = False
        self.next_s = float("inf")
        self.heard: list[Samples] = []  # What an output was given.
        self._card = card
        self._on_block = on_block
        self._num_frames = round(BLOCK_S * self.rate_hz)

    @property
    def is_active(self) -> bool:
        return self.is_open and not np.isinf(self.next_s)

    @property
    def block_s(self) -> float:
        """How long a block really takes by this device's clock."""
        ppm = self._card.drifts_ppm.get(self.device.name, 0.0)
        true_hz = self._card.true_rates_hz.get(self.device.name, self.rate_hz)
        return self._num_frames / (true_hz * (1 + ppm * 1e-6))

    def start(self) -> None:
        self.next_s = self._card.now_s + self.block_s

    def close(self) -> None:
        self.is_open = False

    def call_back(self) -> None:
        begin_s, self.next_s = self.next_s - self.block_s, self.next_s + self.block_s
        if self.is_frozen or not self.is_open:
            return
        block: Block = np.zeros((self._num_frames, self.num_channels), np.float32)
        if self.direction is Direction.INPUT:
            mono = self._card.source(begin_s, self._num_frames, self.rate_hz)
            block[:] = mono[:, None]
            self._on_block(block)
            return
        block[:] = np.nan
        self._on_block(block)
        assert np.array_equal(block[:, 0], block[:, -1])
        self.heard.append(block[:, 0].copy())


class FakeSoundCard:
    """Devices of a simulated machine.

    Attributes:
        now_s: the time; `clock_s` tells it.
        devices: what is plugged in; `unplug` and `plug` change it.
        source: what every microphone hears.
        busy: names of devices that cannot be opened.
        drifts_ppm: how much faster a device's clock runs, by its name.
        rates_hz: what a device is opened with, where that is not its own rate.
        true_rates_hz: what a device really runs at, where that is not what it says.
        streams: all that were ever opened.
        num_refreshes: how often the list was made new.
        ends_streams: a new list ends them, as PortAudio's does in the process where they run.
    """

    def __init__(self, *devices: Device) -> None:
        self.now_s = 1000.0
        self.devices = list(devices or (microphone(), speaker()))
        self.source: Source = silence
        self.busy: set[str] = set()
        self.drifts_ppm: dict[str, float] = {}
        self.rates_hz: dict[str, int] = {}
        self.true_rates_hz: dict[str, int] = {}
        self.streams: list[FakeStream] = []
        self.num_refreshes = 0
        self.ends_streams = True
        self._listed = list(self.devices)

    def clock_s(self) -> float:
        return self.now_s

    def list_devices(self) -> list[Device]:
        return list(self._listed)

    def look_again(self) -> list[Device]:
        return list(self.devices)

    def refresh(self) -> None:
        self.num_refreshes += 1
        self._listed = list(self.devices)
        if self.ends_streams:
            for stream in self.streams:
                stream.close()

    def open(
        self, device: Device, direction: Direction, *, rate_hz: int, on_block: OnBlock
    ) -> FakeStream:
        is_there = any(one.name == device.name for one in self.devices)
        if not is_there or device.name in self.busy:
            raise DeviceError(f"cannot open {direction.value} device {device.name!r}: it is busy")
        stream = FakeStream(self, device, direction, on_block)
        self.streams.append(stream)
        return stream

    def unplug(self, name: str) -> None:
        self.devices = [device for device in self.devices if device.name != name]
        for stream in self.streams:
            if stream.device.name == name:
                stream.is_frozen = True

    def plug(self, device: Device) -> None:
        """Put a device in; all get new numbers, as in reality."""
        self.devices = [replace(one, index=i) for i, one in enumerate([device, *self.devices])]

    def advance(self, seconds: float) -> None:
        """Let time pass with all callbacks that fall into it."""
        until_s = self.now_s + seconds
        while due := [s for s in self.streams if s.is_open and s.next_s <= until_s]:
            first = min(due, key=lambda stream: stream.next_s)
            self.now_s = first.next_s
            first.call_back()
        self.now_s = until_s

    def stream(self, direction: Direction) -> FakeStream:
        """Return the newest stream in `direction`."""
        return next(s for s in reversed(self.streams) if s.direction is direction)

    def played(self) -> Samples:
        """Return all that the newest speaker stream was given."""
        return np.concatenate(self.stream(Direction.OUTPUT).heard)
