"""Settings that change while a talk goes on, on simulated devices."""

from pathlib import Path

import pytest

from audio.background import at_once
from audio.capture import Microphone
from audio.devices import Direction
from audio.duplex import Duplex
from audio.playout import Playout
from protocols.events import Event, Noticed
from tests.fake_sound import FakeSoundCard, microphone, speaker
from tests.voiced.live.test_resting import IdleTalk
from tests.voiced.live.test_session import Talk
from voiced.configuration import SETTINGS, Loaded, load_configuration
from voiced.live.reloading import AT_ONCE, Reloading
from voiced.live.resting import Rest

pytest.importorskip("livekit.rtc", reason="the package livekit is not installed")


class Stage:
    """A talk on two microphones and two speakers, and the file with its settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.talk = Talk()
        self.card = FakeSoundCard(
            microphone(), speaker(), microphone("Desk", 2), speaker("Kitchen", 3)
        )
        self.devices = Duplex(
            Microphone(self.card, clock_s=self.card.clock_s, background=at_once),
            Playout(self.card, rate_hz=24_000, clock_s=self.card.clock_s, background=at_once),
        )
        self.devices.open()
        idle = IdleTalk()
        self.rest = Rest(idle, idle.rest, after_s=None, now_s=lambda: 0.0, show=print)
        self.shown: list[Event] = []
        self.reloading = Reloading(
            self._load(),
            self._load,
            session=self.talk.session,
            devices=self.devices,
            rest=self.rest,
            show=self.shown.append,
        )
        self.run(0.5)

    def _load(self) -> Loaded:
        return load_configuration(self.path, environment={}, options={})

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.card.advance(0.02)
            self.devices.poll()

    def reload(self, text: str) -> list[str]:
        """Change the file and return what was told."""
        self.path.write_text(text)
        self.shown.clear()
        self.reloading.reload()
        self.run(0.5)
        return [event.text for event in self.shown if isinstance(event, Noticed)]

    def open_names(self, direction: Direction) -> list[str]:
        return [s.device.name for s in self.card.streams if s.is_open and s.direction is direction]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "config.toml")


def test_another_microphone_and_speaker_are_used_at_once(stage: Stage) -> None:
    assert stage.open_names(Direction.INPUT) == ["USB Microphone"]
    told = stage.reload('[sound]\ninput_device = "desk"\noutput_device = "kitchen"')
    assert told == ["from now on as set: sound.input_device, sound.output_device"]
    assert stage.open_names(Direction.INPUT) == ["Desk"]
    assert stage.open_names(Direction.OUTPUT) == ["Kitchen"]
    stage.reload("")  # The defaults again.
    assert stage.open_names(Direction.INPUT) == ["USB Microphone"]


def test_replies_are_prepared_no_more(stage: Stage) -> None:
    stage.reload("[reply]\npreemptive = false\ntranscripts = 'off'")
    stage.talk.listen(1.0)
    stage.talk.listen(1.0, loud=True)
    stage.talk.listen(0.4)
    assert stage.talk.engine.take() == []
    stage.talk.listen(1.0)
    assert [asked[0] for asked in stage.talk.engine.take()] == ["prepare"]


def test_a_shorter_longest_turn_cuts_the_next_one(stage: Stage) -> None:
    stage.reload("[turns]\nlongest_turn_s = 2")
    stage.talk.listen(1.0)
    stage.talk.listen(4.0, loud=True)
    assert sum(asked[0] == "transcribe" for asked in stage.talk.engine.take()) >= 1


def test_the_model_leaves_memory_after_the_new_time(stage: Stage) -> None:
    stage.reload("[engine]\nunload_after_s = 60")
    assert stage.rest.after_s == 60


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[turns]\nlongest_turn_s = 'x'", "the settings stay as they were"),
        ("[engine]\nmodel = 'other'", "only from the next start of voiced on: engine.model"),
        ("", "none has changed"),
    ],
)
def test_what_cannot_be_taken_over_is_told(stage: Stage, text: str, message: str) -> None:
    [told] = stage.reload(text)
    assert message in told
    assert stage.talk.session.state == "listening"


def test_what_waits_for_the_next_start_is_told_once(stage: Stage) -> None:
    stage.reload("[engine]\nthreads = 2")
    told = stage.reload("[engine]\nthreads = 2\n[sound]\nheadset = true")
    assert told == ["from now on as set: sound.headset"]


def test_every_setting_that_is_taken_over_exists() -> None:
    assert {setting.key for setting in SETTINGS.values()} >= AT_ONCE
