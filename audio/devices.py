"""The sound devices of this machine, choosing one of them, and the seam behind which they are opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio.errors import DeviceError, UnknownDeviceError

Block = NDArray[np.float32]  # (frames, channels)
OnBlock = Callable[[Block], None]


class Direction(Enum):
    """Which way sound goes."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Device:
    """One sound device as the operating system names it.

    Attributes:
        index: its number in the list; another one after something was plugged in or out.
        name: stays the same, so devices are found again by it.
        host_api: the part of the system that offers it, such as ALSA.
        num_inputs: channels it records; 0 for a speaker.
        num_outputs: channels it plays; 0 for a microphone.
        rate_hz: its own rate.
        is_default_input: recorded from when nothing else is asked for.
        is_default_output: played to when nothing else is asked for.
    """

    index: int
    name: str
    host_api: str
    num_inputs: int
    num_outputs: int
    rate_hz: int
    is_default_input: bool = False
    is_default_output: bool = False

    def num_channels(self, direction: Direction) -> int:
        """Return how many channels it has in `direction`."""
        return self.num_inputs if direction is Direction.INPUT else self.num_outputs

    def is_default(self, direction: Direction) -> bool:
        """Tell whether it is used in `direction` when nothing else is asked for."""
        return self.is_default_input if direction is Direction.INPUT else self.is_default_output


class DeviceStream(Protocol):
    """An open device that calls back from a thread of its own, from `start` until `close`.

    Attributes:
        rate_hz: samples per second and channel, as the device counts them.
        num_channels: columns of every block.
        latency_s: from the callback to the air for a speaker, from the air to the callback for a microphone.
        num_xruns: how often the device lost sound or had none, because a callback came too late.
    """

    rate_hz: int
    num_channels: int
    latency_s: float
    num_xruns: int

    @property
    def is_active(self) -> bool:
        """False once the device has ended the stream."""

    def start(self) -> None: ...

    def close(self) -> None:
        """Stop at once and give the device back; may be called twice."""


class SoundCard(Protocol):
    """All sound devices: PortAudio's, or a simulation of some."""

    def list_devices(self) -> list[Device]:
        """Return the devices known since the last `refresh`."""

    def look_again(self) -> list[Device]:
        """Return the devices that are there now, without harm to open streams; may take half a second."""

    def refresh(self) -> None:
        """Know the devices that are there now; ends every open stream."""

    def open(
        self, device: Device, direction: Direction, *, rate_hz: int, on_block: OnBlock
    ) -> DeviceStream:
        """Return a stopped stream, at `rate_hz` if the device takes it, else at a rate of its own.

        `on_block` is given what was recorded, or an array to fill with what is to be played. It is called from
        another thread, must not wait, and keeps nothing of the array.

        Raises:
            DeviceError: the device is gone, busy or takes no usable rate.
        """


def choose_device(devices: Sequence[Device], direction: Direction, wanted: str | None) -> Device:
    """Return the device that `wanted` names by its number or a part of its name; None: the default.

    Upper and lower case are the same; a whole name goes before a part of one.

    Raises:
        DeviceError: there is no device in this direction at all.
        UnknownDeviceError: none or several match; the message lists what is there.
    """
    usable = [device for device in devices if device.num_channels(direction)]
    if not usable:
        raise DeviceError(
            f"no {direction.value} device: found none; plug one in, or check the system's sound settings"
        )
    if wanted is None:
        return next((device for device in usable if device.is_default(direction)), usable[0])
    found = _matching(usable, wanted.strip())
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownDeviceError(
            f"{len(found)} {direction.value} devices match {wanted!r}: {_listed(found)}; "
            "give a number or more of the name"
        )
    raise UnknownDeviceError(
        f"no {direction.value} device matches {wanted!r}: found {_listed(usable)}; see 'voiced devices'"
    )


def _matching(devices: Sequence[Device], wanted: str) -> list[Device]:
    if wanted.isdecimal():
        by_number = [device for device in devices if device.index == int(wanted)]
        if by_number:
            return by_number
    text = wanted.casefold()
    if not text:
        return []
    same = [device for device in devices if device.name.casefold() == text]
    return same or [device for device in devices if text in device.name.casefold()]


def _listed(devices: Sequence[Device]) -> str:
    return ", ".join(f"{device.index} {device.name!r}" for device in devices)
