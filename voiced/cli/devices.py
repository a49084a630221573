"""`voiced devices`: the microphones and speakers of this machine."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audio.devices import Device


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "devices",
        help="list microphones and speakers",
        description="List the microphones and speakers of this machine: number, name, channels in and out, rate, and "
        "which are used when nothing else is asked for.",
        epilog="'voiced run' takes a number or a part of a name with --input-device and --output-device.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line and device")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list; return 0, also when it is empty.

    Raises:
        DeviceError: PortAudio is missing, or cannot list anything.
    """
    from audio.portaudio import PortAudioCard

    devices = PortAudioCard().list_devices()
    if args.json:
        for device in devices:
            print(json.dumps(asdict(device)))
        return 0
    for line in table(devices):
        print(line)
    if not devices:
        print(
            "voiced: no sound device was found; plug one in, or check the system's sound settings",
            file=sys.stderr,
        )
    return 0


def table(devices: "Sequence[Device]") -> list[str]:
    """Return the lines of the list, the defaults marked."""
    width = max((len(device.name) for device in devices), default=0)
    return [
        f"{device.index:3}  {device.name:{width}}  {device.num_inputs:3} in  {device.num_outputs:3} out  "
        f"{device.rate_hz:6} Hz  {device.host_api}{_default(device)}"
        for device in devices
    ]


def _default(device: "Device") -> str:
    kinds = [
        kind
        for kind, is_default in (
            ("input", device.is_default_input),
            ("output", device.is_default_output),
        )
        if is_default
    ]
    return f"  (default {' and '.join(kinds)})" if kinds else ""
