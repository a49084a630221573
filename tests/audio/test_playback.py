import sys
import threading

import numpy as np
import pytest

from audio.chunk import Samples
from audio.errors import OutputError
from audio.playback import TAIL_S, PlaybackBuffer, Pull, Speaker, open_portaudio


def ramp(start: int, stop: int) -> Samples:
    return np.arange(start, stop, dtype=np.float32)


class FakeDevice:
    """A device that takes sound in blocks from a thread of its own, as fast as it can, once started."""

    def __init__(self, rate_hz: int, pull: Pull, *, takes: bool = True) -> None:
        self.samplerate = float(rate_hz)
        self.calls: list[str] = []
        self.heard: list[Samples] = []
        self._pull = pull
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run) if takes else None

    def _run(self) -> None:
        while not self._stopped.is_set():
            block = np.full(480, np.nan, np.float32)
            self._pull(block)
            self.heard.append(block)

    def start(self) -> None:
        self.calls.append("start")
        if self._thread:
            self._thread.start()

    def stop(self) -> None:
        self.calls.append("stop")
        self._end()

    def abort(self) -> None:
        self.calls.append("abort")
        self._end()

    def close(self) -> None:
        self.calls.append("close")

    def _end(self) -> None:
        self._stopped.set()
        if self._thread and self._thread.is_alive():
            self._thread.join()


def test_a_buffer_gives_back_what_it_took_in_order_across_its_end() -> None:
    buffer = PlaybackBuffer(10)
    given = []
    for start in range(0, 70, 7):
        assert buffer.push(ramp(start, start + 7)) == 7
        out = np.empty(7, np.float32)
        buffer.pull(out)
        given += out.tolist()
    assert given == list(range(70))


def test_a_full_buffer_takes_only_what_fits() -> None:
    buffer = PlaybackBuffer(10)
    assert buffer.push(ramp(0, 25)) == 10
    assert buffer.push(ramp(0, 1)) == 0
    assert buffer.num_held == 10


def test_an_empty_buffer_gives_silence_and_counts_it_between_first_sound_and_last() -> None:
    buffer = PlaybackBuffer(10)
    out = np.full(4, np.nan, np.float32)
    buffer.pull(out)
    assert out.tolist() == [0, 0, 0, 0]
    assert buffer.num_missing == 0
    buffer.push(ramp(1, 3))
    buffer.pull(out)
    assert out.tolist() == [1, 2, 0, 0]
    assert buffer.num_missing == 2
    buffer.is_complete = True
    buffer.pull(out)
    assert buffer.num_missing == 2


def test_a_speaker_plays_everything_before_it_is_closed() -> None:
    devices: list[FakeDevice] = []
    sound = ramp(1, 200_001) / np.float32(200_000)  # Longer than the buffer.

    def open_stream(rate_hz: int, pull: Pull) -> FakeDevice:
        devices.append(FakeDevice(rate_hz, pull))
        return devices[0]

    with Speaker(24_000, open_stream=open_stream) as speaker:
        for start in range(0, len(sound), 1920):
            speaker.write(sound[start : start + 1920])
    heard = np.concatenate(devices[0].heard)
    assert np.array_equal(heard[heard > 0], sound)
    assert not heard[-round(TAIL_S * 24_000) :].any()  # For devices that drop what they hold.
    assert devices[0].calls == ["start", "stop", "close"]


def test_sound_is_converted_to_the_rate_of_the_device() -> None:
    devices: list[FakeDevice] = []

    def open_stream(_: int, pull: Pull) -> FakeDevice:
        devices.append(FakeDevice(48_000, pull))
        return devices[0]

    with Speaker(24_000, open_stream=open_stream) as speaker:
        speaker.write(np.full(24_000, 0.5, np.float32))
    heard = np.concatenate(devices[0].heard)
    assert np.count_nonzero(heard > 0.4) == pytest.approx(48_000, rel=0.01)


def test_an_interruption_silences_the_speaker_at_once() -> None:
    devices: list[FakeDevice] = []

    def open_stream(rate_hz: int, pull: Pull) -> FakeDevice:
        devices.append(FakeDevice(rate_hz, pull, takes=False))
        return devices[0]

    def play() -> None:
        with Speaker(24_000, open_stream=open_stream) as speaker:
            speaker.write(np.ones(24_000, np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play()
    assert devices[0].calls == ["start", "abort", "close"]


def test_a_speaker_without_a_sound_is_never_started() -> None:
    devices: list[FakeDevice] = []

    def open_stream(rate_hz: int, pull: Pull) -> FakeDevice:
        devices.append(FakeDevice(rate_hz, pull))
        return devices[0]

    with Speaker(24_000, open_stream=open_stream):
        pass
    assert devices[0].calls == ["stop", "close"]


def test_a_device_that_takes_nothing_is_an_error_and_not_a_wait_for_ever() -> None:
    def open_stream(rate_hz: int, pull: Pull) -> FakeDevice:
        return FakeDevice(rate_hz, pull, takes=False)

    with (
        pytest.raises(OutputError, match=r"took no sound for 0\.01 s"),
        Speaker(24_000, open_stream=open_stream, stall_s=0.01) as speaker,
    ):
        speaker.write(np.ones(24_000 * 3, np.float32))


def test_a_missing_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # As if it were not installed.
    with pytest.raises(OutputError, match=r"PortAudio is missing .* libportaudio2"):
        open_portaudio(24_000, lambda _: None)


@pytest.mark.device
def test_a_real_speaker_takes_a_short_silence() -> None:
    try:
        speaker = Speaker(24_000)
    except OutputError as error:
        pytest.skip(f"no speaker: {error}")
    with speaker:
        speaker.write(np.zeros(2400, np.float32))
