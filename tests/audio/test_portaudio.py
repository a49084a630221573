"""Devices through PortAudio, with a made-up library in its place: rates are tried, errors translated, lists made new."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audio.devices import Direction
from audio.errors import DeviceError
from audio.portaudio import BLOCK_S, PortAudioCard

ROWS = [
    {
        "name": "Headset",
        "hostapi": 0,
        "max_input_channels": 1,
        "max_output_channels": 2,
        "default_samplerate": 8000.0,
    }
]


class FakeLibraryError(Exception):
    """Stands for PortAudioError."""


class FakeStream:
    """A stream that calls back when the test does."""

    def __init__(
        self, *, samplerate: int, blocksize: int, callback: Callable[..., None], **settings: Any
    ) -> None:
        self.samplerate = float(samplerate)
        self.latency = 0.06
        self.active = False
        self.is_closed = False
        self.blocksize = blocksize
        self.settings = settings
        self.call_back = callback

    def start(self) -> None:
        self.active = True

    def close(self, *, ignore_errors: bool) -> None:
        self.is_closed = True


class FakeLibrary:
    """What is used of sounddevice; takes only what `accepts` says."""

    PortAudioError = FakeLibraryError

    def __init__(self) -> None:
        self.default = type("Default", (), {"device": [0, 0]})
        self.accepts: Callable[[int, int], bool] = lambda rate, channels: True
        self.streams: list[FakeStream] = []
        self.calls: list[str] = []
        self.failure: str | None = None

    def query_devices(self) -> list[dict[str, Any]]:
        return ROWS

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def check_input_settings(self, *, samplerate: int, channels: int, **_: Any) -> None:
        if not self.accepts(samplerate, channels):
            raise FakeLibraryError("Invalid sample rate")

    check_output_settings = check_input_settings

    def InputStream(self, **settings: Any) -> FakeStream:
        if self.failure:
            raise FakeLibraryError(self.failure)
        self.streams.append(FakeStream(**settings))
        return self.streams[-1]

    OutputStream = InputStream

    def _terminate(self) -> None:
        self.calls.append("terminate")

    def _initialize(self) -> None:
        self.calls.append("initialize")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    library = FakeLibrary()
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


def test_the_rate_that_is_asked_for_is_taken_where_the_device_takes_it(
    library: FakeLibrary,
) -> None:
    card = PortAudioCard()
    (device,) = card.list_devices()
    stream = card.open(device, Direction.INPUT, rate_hz=16_000, on_block=lambda _: None)
    assert (stream.rate_hz, stream.num_channels) == (16_000, 1)
    assert library.streams[0].blocksize == round(BLOCK_S * 16_000)


def test_otherwise_the_device_has_its_own_rate_and_channels(library: FakeLibrary) -> None:
    library.accepts = lambda rate, channels: (rate, channels) == (8000, 2)
    card = PortAudioCard()
    (device,) = card.list_devices()
    stream = card.open(device, Direction.OUTPUT, rate_hz=24_000, on_block=lambda _: None)
    assert (stream.rate_hz, stream.num_channels) == (8000, 2)


def test_a_device_that_takes_no_rate_says_what_was_tried(library: FakeLibrary) -> None:
    library.accepts = lambda rate, channels: False
    card = PortAudioCard()
    (device,) = card.list_devices()
    with pytest.raises(
        DeviceError, match=r"'Headset': expected it to take 16000 Hz, its own 8000 Hz"
    ):
        card.open(device, Direction.INPUT, rate_hz=16_000, on_block=lambda _: None)


def test_a_busy_device_is_an_error_of_ours(library: FakeLibrary) -> None:
    library.failure = "Device unavailable"
    card = PortAudioCard()
    (device,) = card.list_devices()
    with pytest.raises(DeviceError, match=r"cannot open input device 'Headset': Device unavail"):
        card.open(device, Direction.INPUT, rate_hz=16_000, on_block=lambda _: None)


def test_blocks_reach_the_reader_and_xruns_are_counted(library: FakeLibrary) -> None:
    card = PortAudioCard()
    (device,) = card.list_devices()
    blocks: list[Any] = []
    stream = card.open(device, Direction.INPUT, rate_hz=16_000, on_block=blocks.append)
    stream.start()
    library.streams[0].call_back(np.zeros((160, 1), np.float32), 160, None, "input overflow")
    library.streams[0].call_back(np.zeros((160, 1), np.float32), 160, None, "")
    assert len(blocks) == 2
    assert stream.num_xruns == 1
    assert stream.is_active


def test_a_new_list_ends_the_streams_first(library: FakeLibrary) -> None:
    card = PortAudioCard()
    (device,) = card.list_devices()
    stream = card.open(device, Direction.INPUT, rate_hz=16_000, on_block=lambda _: None)
    stream.start()
    card.refresh()
    assert library.streams[0].is_closed
    assert library.calls == ["terminate", "initialize"]
    assert not stream.is_active
    stream.close()  # Once more does no harm.


def test_a_list_that_cannot_be_had_is_an_error_of_ours(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = PortAudioCard()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(DeviceError, match="expected a list from a process of its own"):
        card.look_again()


def test_a_process_of_its_own_sees_the_devices_as_they_are_now() -> None:
    try:
        card = PortAudioCard()
    except DeviceError as error:
        pytest.skip(str(error))
    listing = "import sounddevice; print(len(sounddevice.query_devices()))"
    found = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    assert len(card.look_again()) == int(found.stdout)
