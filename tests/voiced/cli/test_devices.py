"""`voiced devices`, as a user and a program see it; the devices are made up."""

import argparse
import json
import sys
from types import SimpleNamespace

import pytest

from audio.errors import DeviceError
from voiced.cli import devices

ROWS = [
    {"name": "HDA Intel", "hostapi": 0, "max_input_channels": 2, "max_output_channels": 2},
    {"name": "Jabra Speak 410", "hostapi": 0, "max_input_channels": 1, "max_output_channels": 0},
]


def sound_library(rows: list[dict[str, object]]) -> SimpleNamespace:
    listed = [row | {"default_samplerate": 48_000.0} for row in rows]
    return SimpleNamespace(
        PortAudioError=OSError,
        query_devices=lambda: listed,
        query_hostapis=lambda: [{"name": "ALSA"}],
        default=SimpleNamespace(device=[1, 0]),
    )


def run(*options: str) -> int:
    parser = argparse.ArgumentParser()
    devices.add_parser(parser.add_subparsers())
    args = parser.parse_args(["devices", *options])
    return int(args.run(args))


def test_devices_are_listed_with_what_they_can_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sound_library(ROWS))
    assert run() == 0
    assert capsys.readouterr().out.splitlines() == [
        "  0  HDA Intel          2 in    2 out   48000 Hz  ALSA  (default output)",
        "  1  Jabra Speak 410    1 in    0 out   48000 Hz  ALSA  (default input)",
    ]


def test_a_program_gets_one_object_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sound_library(ROWS))
    assert run("--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == {
        "index": 1,
        "name": "Jabra Speak 410",
        "host_api": "ALSA",
        "num_inputs": 1,
        "num_outputs": 0,
        "rate_hz": 48_000,
        "is_default_input": True,
        "is_default_output": False,
    }


def test_a_machine_without_devices_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sound_library([]))
    assert run() == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "no sound device was found" in output.err


def test_a_missing_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # As if it were not installed.
    with pytest.raises(DeviceError, match=r"PortAudio is missing .* libportaudio2"):
        run()
