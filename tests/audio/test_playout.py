"""A reply can be held in the middle of a word, cut off, and asked how far it was played."""

import numpy as np
import pytest

from audio.background import at_once
from audio.chunk import AudioChunk, Samples
from audio.device_clock import DeviceClock
from audio.devices import Direction
from audio.events import DeviceLost, DeviceOpened, PlayoutDropped, PlayoutUnderrun, SoundEvent
from audio.playout import BUFFER_S, Playout
from tests.fake_sound import BLOCK_S, FakeSoundCard, speaker

RATE_HZ = 24_000
POLL_S = 0.02


def tone(seconds: float) -> Samples:
    phase = 2 * np.pi * 300 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.5 * np.sin(phase)).astype(np.float32)


class Played:
    """A playout on a simulated machine and what happened to it."""

    def __init__(self, card: FakeSoundCard | None = None) -> None:
        self.card = card or FakeSoundCard(speaker(index=1))
        self.playout = Playout(
            self.card, rate_hz=RATE_HZ, clock_s=self.card.clock_s, background=at_once
        )
        self.events: list[SoundEvent] = []
        self.playout.open()
        self.run(0.1)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / POLL_S)):
            self.card.advance(POLL_S)
            self.events += self.playout.poll()

    def say(self, sound: Samples) -> None:
        self.playout.begin()
        assert self.playout.write(sound) == len(sound)
        self.playout.finish()

    def loud_s(self) -> float:
        """Return how long the speaker was not silent."""
        return (
            float(np.count_nonzero(self.card.played())) / self.card.stream(Direction.OUTPUT).rate_hz
        )


@pytest.mark.parametrize("device_hz", [8_000, 24_000, 44_100, 48_000, 192_000])
def test_a_reply_is_played_whole_at_every_rate_of_the_device(device_hz: int) -> None:
    played = Played(FakeSoundCard(speaker(rate_hz=device_hz)))
    begin = len(played.card.played())
    played.say(tone(1.0))
    played.run(1.5)
    found = played.card.played()[begin : begin + device_hz]
    expected = 0.5 * np.sin(2 * np.pi * 300 * np.arange(device_hz) / device_hz)
    np.testing.assert_allclose(found[100:-400], expected[100:-400], atol=0.01)
    assert played.playout.is_finished
    assert played.playout.num_played == RATE_HZ
    assert played.playout.num_underruns == 0


def test_the_position_is_known_at_any_time() -> None:
    played = Played()
    played.say(tone(2.0))
    for _ in range(20):
        before = played.playout.num_played
        played.run(POLL_S)
        assert played.playout.num_played - before == POLL_S * RATE_HZ


def test_a_flush_silences_within_one_callback_and_returns_what_was_played() -> None:
    played = Played()
    played.say(tone(2.0))
    played.run(0.5)
    expected = played.playout.num_played
    blocks = played.card.stream(Direction.OUTPUT).heard
    num_before = len(blocks)
    assert played.playout.flush() == expected == round(0.5 * RATE_HZ)
    played.run(0.5)
    assert np.count_nonzero(blocks[num_before]) <= 0.0025 * 48_000  # It fades.
    assert not np.concatenate(blocks[num_before + 1 :]).any()
    assert played.playout.is_finished


def test_a_flush_before_the_first_sound_returns_nothing_played() -> None:
    played = Played()
    played.playout.begin()
    assert played.playout.flush() == 0


def test_a_flush_while_held_returns_where_it_was_held() -> None:
    played = Played()
    played.say(tone(2.0))
    played.run(0.5)
    played.playout.hold()
    played.run(0.5)
    assert played.playout.flush() == round(0.5 * RATE_HZ)
    played.say(tone(0.1))
    played.run(0.2)
    assert played.playout.num_played == round(0.1 * RATE_HZ), "the next reply is not held"


def test_a_held_reply_goes_on_with_the_very_next_sample() -> None:
    held, plain = Played(), Played()
    for played in (held, plain):
        played.say(tone(1.0))
        played.run(0.5)
    held.playout.hold()
    num_blocks = len(held.card.stream(Direction.OUTPUT).heard)
    held.run(0.3)
    assert held.playout.num_played == round(0.5 * RATE_HZ)
    held.playout.resume()
    for played in (held, plain):
        played.run(1.0)
    fade = round(0.0025 * 48_000)
    heard, expected = held.card.played(), plain.card.played()
    cut = num_blocks * round(BLOCK_S * 48_000)
    again = cut + round(0.3 * 48_000)
    np.testing.assert_array_equal(heard[:cut], expected[:cut])
    assert not heard[cut + fade : again].any()
    rest = expected[cut : cut + 24_000]
    np.testing.assert_allclose(heard[again + fade : again + 24_000], rest[fade:24_000], atol=1e-6)
    assert held.playout.num_underruns == 0


def test_cuts_do_not_click() -> None:
    played = Played()
    played.say(tone(2.0))
    played.run(0.205)
    played.playout.hold()
    played.run(0.1)
    played.playout.resume()
    played.run(0.2)
    played.playout.flush()
    played.run(0.1)
    steps = np.abs(np.diff(played.card.played()))
    assert steps.max() < 1.5 * 0.5 * 2 * np.pi * 300 / 48_000  # Hardly more than the tone's own.


def test_a_full_buffer_takes_only_what_fits() -> None:
    played = Played()
    played.playout.begin()
    num_taken = played.playout.write(tone(10.0))
    assert num_taken == pytest.approx(BUFFER_S * RATE_HZ, abs=100)
    assert played.playout.write(tone(1.0)) < 64  # What the resampler held back.
    played.run(1.0)
    assert played.playout.write(tone(10.0)) == pytest.approx(RATE_HZ, abs=100)


def test_an_underrun_is_counted_told_and_makes_the_next_start_wait_for_more() -> None:
    played = Played()
    played.playout.begin()
    played.playout.write(tone(0.08))
    played.run(0.04)
    assert played.loud_s() > 0.02, "the first sound does not wait"
    played.run(0.1)
    assert played.playout.num_underruns == 1
    assert PlayoutUnderrun(1) in played.events
    played.playout.write(tone(0.05))
    played.run(0.1)
    assert played.loud_s() < 0.085, "waits for 80 ms"
    played.playout.write(tone(0.05))
    played.run(0.2)
    assert played.loud_s() > 0.17


def test_calm_replies_take_the_waiting_back() -> None:
    played = Played()
    played.playout.begin()
    played.playout.write(tone(0.08))
    played.run(0.2)
    played.playout.finish()
    for _ in range(6):
        played.say(tone(0.1))
        played.run(0.2)
    num_before = played.loud_s()
    played.playout.begin()
    played.playout.write(tone(0.03))
    played.run(0.02)
    assert played.loud_s() > num_before
    assert played.playout.num_underruns == 1


def test_the_end_of_a_reply_is_no_underrun_however_short_it_is() -> None:
    played = Played()
    played.say(tone(0.001))
    played.run(0.2)
    assert played.playout.num_underruns == 0
    assert played.playout.num_played == 24


def test_a_reply_goes_on_when_the_speaker_comes_back_soon_at_another_rate() -> None:
    played = Played()
    played.say(tone(2.0))
    played.run(0.5)
    played.card.stream(Direction.OUTPUT).close()
    played.card.rates_hz["USB Speaker"] = 44_100
    played.run(3.0)
    assert [type(event) for event in played.events] == [DeviceOpened, DeviceLost, DeviceOpened]
    assert played.playout.num_played == 2 * RATE_HZ
    assert played.loud_s() == pytest.approx(1.5, abs=0.02)


def test_a_reply_is_dropped_and_told_when_the_speaker_stays_away() -> None:
    played = Played()
    played.say(tone(2.0))
    played.run(0.5)
    played.card.unplug("USB Speaker")
    played.run(5.0)
    dropped = [event for event in played.events if isinstance(event, PlayoutDropped)]
    assert sum(event.num_samples for event in dropped) == pytest.approx(1.5 * RATE_HZ, abs=2)
    assert played.playout.num_played == pytest.approx(0.5 * RATE_HZ, abs=2)
    assert played.playout.is_finished


def test_the_reference_is_what_was_really_played_in_time_with_the_recording() -> None:
    played = Played()
    recorded = DeviceClock(16_000)
    played.say(tone(2.0))
    found = []
    for i in range(1, 100):
        recorded.follow(played.card.now_s, i * 160)
        if i == 50:
            played.playout.flush()
        chunk = AudioChunk(np.zeros(160, np.float32), 16_000, (i - 1) * 160)
        found.append(played.playout.reference(chunk, recorded))
        played.card.advance(0.01)
        played.events += played.playout.poll()
    sound = np.concatenate(found)
    assert np.abs(sound[2_000:7_500]).max() == pytest.approx(0.5, abs=0.01)
    assert not sound[9_000:].any(), "what was flushed was not played"


def test_a_closed_speaker_plays_nothing_and_is_given_back() -> None:
    played = Played()
    played.say(tone(2.0))
    played.run(0.5)
    stream = played.card.stream(Direction.OUTPUT)
    num_blocks = len(stream.heard)
    played.playout.close()
    played.run(0.5)
    assert not stream.is_open
    assert len(stream.heard) == num_blocks
    assert not played.playout.is_open
