"""A device is chosen by its number or a part of its name, and who asks for one that is not there learns what is."""

import pytest

from audio.devices import Device, Direction, choose_device
from audio.errors import DeviceError, UnknownDeviceError

DEVICES = [
    Device(0, "HDA Intel PCH", "ALSA", 2, 2, 48_000, is_default_input=True),
    Device(1, "Jabra Speak 410", "ALSA", 1, 2, 16_000),
    Device(2, "HDMI Output", "ALSA", 0, 8, 48_000, is_default_output=True),
    Device(3, "Jabra", "ALSA", 1, 0, 16_000),
    Device(4, "7 Seas", "ALSA", 1, 0, 16_000),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 0),
        ("1", 1),
        ("speak", 1),
        ("JABRA SPEAK", 1),
        ("jabra", 3),  # A whole name goes before a part of another.
        ("7", 4),  # No device has this number, so that it is a part of a name.
        (" intel ", 0),
    ],
)
def test_a_device_is_chosen_by_number_or_part_of_its_name(wanted: str | None, index: int) -> None:
    assert choose_device(DEVICES, Direction.INPUT, wanted).index == index


def test_the_default_of_the_direction_is_chosen() -> None:
    assert choose_device(DEVICES, Direction.OUTPUT, None).name == "HDMI Output"


def test_without_a_default_the_first_usable_device_is_chosen() -> None:
    assert choose_device(DEVICES[1:2], Direction.INPUT, None).index == 1


@pytest.mark.parametrize("wanted", ["usb", "", "2", "99"])  # 2 is a speaker.
def test_an_unknown_device_is_an_error_that_lists_what_is_there(wanted: str) -> None:
    with pytest.raises(UnknownDeviceError, match=r"no input .* found 0 'HDA .*, 1 'Jabra Speak"):
        choose_device(DEVICES, Direction.INPUT, wanted)


def test_a_name_that_fits_several_devices_is_an_error_that_lists_them() -> None:
    with pytest.raises(UnknownDeviceError, match=r"2 output devices match 'h': 0 'HDA .* 2 'HDMI"):
        choose_device([DEVICES[0], DEVICES[2]], Direction.OUTPUT, "h")


def test_a_machine_without_devices_says_so() -> None:
    with pytest.raises(DeviceError, match="no input device: found none; plug one in"):
        choose_device([DEVICES[2]], Direction.INPUT, None)
