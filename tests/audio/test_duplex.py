"""Microphone, speaker and echo canceller as one, in a simulated room."""

import numpy as np
import pytest

from audio.background import at_once
from audio.capture import Microphone
from audio.chunk import Samples
from audio.devices import Direction
from audio.duplex import Duplex
from audio.echo import HEADSET, Cleaning
from audio.events import DeviceLost, DeviceOpened
from audio.playout import Playout
from benchmarks.room import speech_like
from tests.fake_sound import FakeSoundCard

pytest.importorskip("livekit.rtc", reason="the package livekit is not installed")

ECHO_S = 0.1  # From the callback of the speaker to that of the microphone.


class Talk:
    """A duplex on a simulated machine whose microphone hears its speaker."""

    def __init__(self, cleaning: Cleaning | None = None) -> None:
        card = self.card = FakeSoundCard()
        card.drifts_ppm = {"USB Microphone": -200.0, "USB Speaker": 200.0}
        card.source = self._echo
        self.duplex = Duplex(
            Microphone(card, clock_s=card.clock_s, background=at_once),
            Playout(card, rate_hz=24_000, clock_s=card.clock_s, background=at_once),
            cleaning=cleaning,
        )
        self.heard: list[Samples] = []
        self.events: list[object] = []
        self.duplex.open()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.card.advance(0.02)
            chunks, events = self.duplex.poll()
            self.heard += [chunk.samples for chunk in chunks]
            self.events += events

    def say(self, seconds: float) -> None:
        voice = speech_like(seconds, seed=1, pitch_hz=200)
        times = np.arange(round(seconds * 24_000)) / 24_000
        sound = np.interp(times, np.arange(len(voice)) / 16_000, voice).astype(np.float32)
        self.duplex.playout.begin()
        while len(sound):
            sound = sound[self.duplex.playout.write(sound) :]
            self.run(0.1)
        self.duplex.playout.finish()

    def level_db(self, seconds: float) -> float:
        newest = np.concatenate(self.heard)[-round(seconds * 16_000) :]
        return float(10 * np.log10(np.mean(newest**2) + 1e-12))

    def _echo(self, time_s: float, num_samples: int, rate_hz: int) -> Samples:
        """Return what the speaker played `ECHO_S` before, at a third of its level."""
        speakers = [s for s in self.card.streams if s.direction is Direction.OUTPUT and s.heard]
        if not speakers or not speakers[-1].is_open:
            return np.zeros(num_samples, np.float32)
        stream = speakers[-1]
        blocks = stream.heard[-40:]
        played = np.concatenate(blocks)
        # The newest sample ends one block after the newest callback.
        end_s = stream.next_s
        times = end_s - (len(played) - np.arange(len(played))) * stream.block_s / len(blocks[0])
        wanted = time_s - ECHO_S + np.arange(num_samples) / rate_hz
        return 0.3 * np.interp(wanted, times, played, left=0, right=0).astype(np.float32)


def test_a_drifting_pair_of_devices_does_not_hear_itself() -> None:
    talk, plain = Talk(), Talk(HEADSET)
    talk.run(0.5)
    plain.run(0.5)
    talk.say(12.0)
    plain.say(12.0)
    assert talk.level_db(4.0) < plain.level_db(4.0) - 25
    # The two callbacks are half a block apart on the mean, and the reference lies 5 ms behind.
    assert talk.duplex.echo_delay_s == pytest.approx(ECHO_S, abs=0.015)
    assert talk.duplex.playout.num_underruns == 0
    assert talk.duplex.microphone.num_lost == 0


def test_the_microphone_is_heard_while_the_speaker_is_away() -> None:
    talk = Talk()
    talk.run(0.5)
    talk.card.unplug("USB Speaker")
    talk.run(2.0)
    num_before = sum(len(part) for part in talk.heard)
    talk.run(1.0)
    assert sum(len(part) for part in talk.heard) - num_before == pytest.approx(16_000, abs=400)
    assert [type(event) for event in talk.events[:3]] == [DeviceOpened, DeviceOpened, DeviceLost]


def test_closing_gives_both_devices_back() -> None:
    talk = Talk()
    talk.run(0.5)
    talk.duplex.close()
    talk.run(0.1)
    assert not any(stream.is_open for stream in talk.card.streams)
