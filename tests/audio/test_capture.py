"""The microphone gives mono sound at 16 kHz, each sample at its place in time, and says what is missing."""

import numpy as np
import pytest

from audio.background import at_once
from audio.capture import Microphone
from audio.chunk import AudioChunk, Samples
from audio.devices import Direction
from audio.events import CaptureLost, DeviceClosed, DeviceLost, DeviceOpened, SoundEvent
from tests.fake_sound import FakeSoundCard, microphone

POLL_S = 0.02


def tone(time_s: float, num_samples: int, rate_hz: int) -> Samples:
    times = time_s + np.arange(num_samples) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 500 * times)).astype(np.float32)


class Recorded:
    """A microphone of a simulated machine and all that it gave."""

    def __init__(self, card: FakeSoundCard) -> None:
        card.source = tone
        self.card = card
        self.microphone = Microphone(card, clock_s=card.clock_s, background=at_once)
        self.chunks: list[AudioChunk] = []
        self.events: list[SoundEvent] = []

    def poll(self) -> None:
        chunks, events = self.microphone.poll()
        self.chunks += chunks
        self.events += events

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / POLL_S)):
            self.card.advance(POLL_S)
            self.poll()

    def gaps(self) -> list[tuple[int, int]]:
        pairs = zip(self.chunks, self.chunks[1:], strict=False)
        return [(a.end, b.start - a.end) for a, b in pairs if a.end != b.start]


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000, 192_000])
def test_every_sample_has_its_place_at_every_rate_of_the_device(rate_hz: int) -> None:
    recorded = Recorded(FakeSoundCard(microphone(rate_hz=rate_hz)))
    recorded.microphone.open()
    recorded.run(2.0)
    assert recorded.gaps() == []
    assert recorded.chunks[0].start == 0
    assert all(chunk.rate_hz == 16_000 for chunk in recorded.chunks)
    sound = np.concatenate([chunk.samples for chunk in recorded.chunks])
    began_s = recorded.card.now_s - 2.0 + POLL_S  # The first poll opened it.
    expected = tone(began_s, len(sound), 16_000)
    np.testing.assert_allclose(sound[100:], expected[100:], atol=2e-3)


def test_sound_that_is_not_taken_in_time_is_lost_from_the_oldest_on_and_told() -> None:
    recorded = Recorded(FakeSoundCard())
    recorded.microphone.open()
    recorded.run(1.0)
    recorded.card.advance(5.0)
    recorded.run(1.0)
    ((position, num_samples),) = recorded.gaps()
    assert CaptureLost(position, num_samples) in recorded.events
    assert recorded.microphone.num_lost == num_samples
    assert num_samples == pytest.approx(3.0 * 16_000, rel=0.02)  # Two seconds were kept.
    after = recorded.chunks[
        [chunk.start for chunk in recorded.chunks].index(position + num_samples)
    ]
    began_s = recorded.card.now_s - 7.0 + POLL_S
    expected = tone(began_s + after.start / 16_000, len(after.samples), 16_000)
    np.testing.assert_allclose(after.samples[100:], expected[100:], atol=2e-3)


def test_mute_closes_the_device_and_time_goes_on() -> None:
    recorded = Recorded(FakeSoundCard())
    recorded.microphone.open()
    recorded.run(1.0)
    recorded.microphone.close()
    assert not recorded.card.stream(Direction.INPUT).is_open
    num_before = len(recorded.chunks)
    recorded.run(1.0)
    assert len(recorded.chunks) == num_before
    assert DeviceClosed(Direction.INPUT, "USB Microphone") in recorded.events
    recorded.microphone.open()
    recorded.run(1.0)
    ((_, num_samples),) = recorded.gaps()
    assert num_samples == pytest.approx(16_000, abs=1000)


def test_a_microphone_that_comes_back_at_another_rate_goes_on_in_time() -> None:
    card = FakeSoundCard()
    recorded = Recorded(card)
    recorded.microphone.open()
    recorded.run(1.0)
    card.unplug("USB Microphone")
    recorded.run(3.0)
    card.plug(microphone(rate_hz=8_000))
    recorded.run(6.0)
    names = [type(event) for event in recorded.events]
    assert names[:2] == [DeviceOpened, DeviceLost]
    assert names[-1] is DeviceOpened
    assert len(recorded.gaps()) == 1, "no silence is invented"
    last = recorded.chunks[-1]
    began_s = card.now_s - 10.0 + POLL_S
    expected = tone(began_s + last.start / 16_000, len(last.samples), 16_000)
    np.testing.assert_allclose(last.samples, expected, atol=0.02)  # To a sample of 16 kHz.


def test_the_clock_of_the_microphone_follows_its_drift() -> None:
    card = FakeSoundCard()
    card.drifts_ppm["USB Microphone"] = 150.0
    recorded = Recorded(card)
    recorded.microphone.open()
    recorded.run(40.0)
    assert recorded.microphone.clock.drift_ppm == pytest.approx(150, abs=5)


def test_a_microphone_that_is_not_open_gives_nothing() -> None:
    recorded = Recorded(FakeSoundCard())
    recorded.run(1.0)
    assert recorded.chunks == []
    assert recorded.events == []
    assert not recorded.microphone.is_open
