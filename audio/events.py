"""What may happen to live sound besides sound."""

from dataclasses import dataclass

from audio.devices import Direction


@dataclass(frozen=True, slots=True)
class DeviceOpened:
    """A device runs, for the first time or again."""

    direction: Direction
    name: str
    rate_hz: int
    num_channels: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """A device stopped by itself; it is opened again as soon as it is back."""

    direction: Direction
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceUnavailable:
    """A device could not be opened; said once, and tried again until it works."""

    direction: Direction
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceClosed:
    """A device was given back because that was asked for; `name` is what was asked for if it never ran, "" for the default."""

    direction: Direction
    name: str


@dataclass(frozen=True, slots=True)
class DeviceXrun:
    """A device had no sound, or no room for it, so many times since the last event: a click at most."""

    direction: Direction
    num_times: int


@dataclass(frozen=True, slots=True)
class CaptureLost:
    """Recorded sound is missing: `num_samples` from `position` on, in samples of the chunks."""

    position: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class PlayoutUnderrun:
    """The sound to play came too late so many times since the last event; the reply has pauses there."""

    num_times: int


@dataclass(frozen=True, slots=True)
class PlayoutDropped:
    """So many samples of a reply were thrown away because the speaker was away for too long."""

    num_samples: int


DeviceEvent = DeviceOpened | DeviceLost | DeviceUnavailable | DeviceClosed | DeviceXrun
SoundEvent = DeviceEvent | CaptureLost | PlayoutUnderrun | PlayoutDropped
