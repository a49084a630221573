"""The conductor: what is prepared, played, taken back, cut and told, in which order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.live.conductor import (
    JOIN_GAP,
    LONGEST,
    Action,
    Conductor,
    Cut,
    Discard,
    EndSound,
    HoldSound,
    Play,
    Prepare,
    ReplyOver,
    ReplyTextGrew,
    ResumeSound,
    StopSound,
    Transcribe,
    UserSaid,
)
from voiced.turns import (
    Abandoned,
    BargedIn,
    Ended,
    Paused,
    ReplyHeld,
    ReplyResumed,
    Speech,
    SpeechEvent,
    Started,
    WentOn,
)

SOUND = np.ones(1920, np.float32)


def speech(start: int = 0, num_samples: int = 16_000) -> Speech:
    return Speech(start, np.full(num_samples, 0.5, np.float32))


def started(position: int = 0) -> Started:
    return Started(position=position, decided=position, sound_start=position)


def paused(said: Speech) -> Paused:
    return Paused(position=said.end, decided=said.end, speech=said)


def went_on() -> WentOn:
    return WentOn(position=0, decided=0)


def ended(said: Speech) -> Ended:
    return Ended(position=said.end, decided=said.end, speech=said, why="silence")


def abandoned() -> Abandoned:
    return Abandoned(position=0, decided=0)


def barged_in() -> BargedIn:
    return BargedIn(position=0, decided=0, cause="voice")


def kinds(actions: list[Action]) -> list[type]:
    return [type(action) for action in actions]


@pytest.fixture
def conductor() -> Conductor:
    return Conductor(is_preemptive=True, wants_transcripts=True)


def sounding(conductor: Conductor, said: Speech | None = None) -> None:
    """Bring the conductor to where the reply to `said` sounds."""
    conductor.heard(started())
    conductor.heard(ended(said or speech()))
    conductor.made_sound(conductor.turn, SOUND)
    conductor.sounds(conductor.turn)


def test_reply_is_prepared_at_the_pause_and_its_sound_held_back_until_the_end(
    conductor: Conductor,
) -> None:
    said = speech()
    assert conductor.heard(started()) == []
    (prepare,) = conductor.heard(paused(said))
    assert isinstance(prepare, Prepare)
    assert np.array_equal(prepare.said, said.samples)
    assert conductor.made_text(1, "yes", 0) == []
    assert conductor.made_sound(1, SOUND) == []
    assert kinds(conductor.heard(ended(said))) == [UserSaid, Transcribe, ReplyTextGrew, Play]
    assert kinds(conductor.made_sound(1, SOUND)) == [Play]
    assert kinds(conductor.made_all(1, "end")) == [EndSound]
    assert conductor.played(1) == [ReplyOver(1, "yes", 2 * len(SOUND), "end")]


def test_reply_that_was_ready_before_the_end_is_played_and_ended_at_once(
    conductor: Conductor,
) -> None:
    said = speech()
    conductor.heard(paused(said))
    conductor.made_sound(1, SOUND)
    conductor.made_all(1, "end")
    assert kinds(conductor.heard(ended(said))) == [UserSaid, Transcribe, Play, EndSound]


def test_going_on_after_a_pause_takes_the_prepared_reply_back(conductor: Conductor) -> None:
    conductor.heard(paused(speech()))
    assert conductor.heard(went_on()) == [Discard(1)]
    assert conductor.made_sound(1, SOUND) == []  # Late: it means nothing.
    whole = speech(num_samples=32_000)
    assert kinds(conductor.heard(paused(whole))) == [Prepare]
    assert kinds(conductor.heard(ended(whole))) == [UserSaid, Transcribe]


def test_without_preemption_nothing_is_prepared_before_the_end() -> None:
    conductor = Conductor(is_preemptive=False, wants_transcripts=False)
    assert conductor.heard(paused(speech())) == []
    assert kinds(conductor.heard(ended(speech()))) == [UserSaid, Prepare]


def test_speaking_again_before_the_reply_sounds_answers_both_utterances_together(
    conductor: Conductor,
) -> None:
    first, second = speech(), speech(40_000)
    conductor.heard(ended(first))
    assert conductor.heard(started(40_000)) == [Discard(1)]
    told, prepare, _ = conductor.heard(ended(second))
    assert isinstance(prepare, Prepare)
    assert isinstance(told, UserSaid)
    assert len(prepare.said) == len(first.samples) + JOIN_GAP + len(second.samples)


def test_speaking_before_the_speaker_has_begun_takes_the_reply_back(conductor: Conductor) -> None:
    conductor.heard(ended(speech()))
    conductor.made_sound(1, SOUND)
    assert conductor.heard(started(20_000)) == [Discard(1, len(SOUND))]
    assert conductor.made_sound(1, SOUND) == []


def test_what_was_said_is_answered_when_nothing_comes_after_all(conductor: Conductor) -> None:
    said = speech()
    conductor.heard(ended(said))
    conductor.heard(started())
    told, prepare, transcribe = conductor.heard(abandoned())
    assert isinstance(
        told, UserSaid
    )  # Again: the first time it was told of an exchange that is no more.
    assert isinstance(transcribe, Transcribe)
    assert isinstance(prepare, Prepare)
    assert {told.turn, prepare.turn, transcribe.turn} == {2}
    assert np.array_equal(prepare.said, said.samples)
    assert kinds(conductor.made_sound(2, SOUND)) == [Play]


def test_barge_in_stops_the_sound_and_cuts_at_what_was_heard(conductor: Conductor) -> None:
    sounding(conductor)
    assert conductor.heard(barged_in()) == [StopSound(1)]
    assert conductor.stopped(1, 1000) == [Cut(1, 1000)]
    assert not conductor.is_speaking
    assert conductor.heard(started()) == []


def test_false_alarm_holds_and_resumes_the_sound(conductor: Conductor) -> None:
    sounding(conductor)
    assert conductor.heard(ReplyHeld(position=0, decided=0)) == [HoldSound()]
    assert conductor.heard(ReplyResumed(position=0, decided=0)) == [ResumeSound()]
    assert kinds(conductor.made_sound(1, SOUND)) == [Play]


def test_interrupting_while_it_thinks_keeps_what_the_user_said(conductor: Conductor) -> None:
    conductor.heard(ended(speech()))
    assert conductor.is_thinking
    assert conductor.interrupted() == [Cut(1, 0)]
    assert conductor.interrupted() == []


def test_written_text_is_answered_like_speech(conductor: Conductor) -> None:
    told, prepare = conductor.entered("hello")
    assert told == UserSaid(1, None, "hello")
    assert isinstance(prepare, Prepare)
    assert prepare.said == "hello"
    assert kinds(conductor.made_sound(1, SOUND)) == [Play]


def test_speaking_before_the_reply_to_written_text_sounds_cuts_it_off(
    conductor: Conductor,
) -> None:
    conductor.entered("hello")
    assert conductor.heard(started()) == [Cut(1, 0)]
    said = speech()
    _, prepare, _ = conductor.heard(ended(said))
    assert isinstance(prepare, Prepare)
    assert np.array_equal(prepare.said, said.samples)


def test_of_what_is_said_again_and_again_the_newest_minute_is_answered(
    conductor: Conductor,
) -> None:
    starts = []
    for index in range(4):
        said = speech(index * 500_000, 400_000)  # 25 s.
        conductor.heard(started(said.start))
        conductor.heard(paused(said))
        told, *_ = conductor.heard(ended(said))
        assert isinstance(told, UserSaid)
        assert told.speech is not None
        assert len(told.speech.samples) <= LONGEST
        starts.append(told.speech.start)
    assert starts == [0, 0, 500_000, 1_000_000]


def test_reply_without_sound_is_over_when_it_is_made(conductor: Conductor) -> None:
    conductor.heard(ended(speech()))
    conductor.made_text(1, "quiet", 0)
    assert conductor.made_all(1, "end") == [ReplyOver(1, "quiet", 0, "end")]
    assert not conductor.is_thinking


def test_failed_reply_is_played_as_far_as_it_was_made(conductor: Conductor) -> None:
    sounding(conductor)
    assert conductor.made_all(1, "failed") == [EndSound(1)]
    assert conductor.played(1) == [ReplyOver(1, "", len(SOUND), "failed")]


EVENTS = st.sampled_from(
    "started,paused,went on,ended,abandoned,barged in,text,sound,sounds,all,played,entered".split(
        ","
    )
)


@given(st.lists(EVENTS, max_size=60), st.booleans())
def test_whatever_happens_only_the_newest_wanted_reply_sounds_and_each_is_over_once(
    happened: list[str], is_preemptive: bool
) -> None:
    conductor = Conductor(is_preemptive=is_preemptive, wants_transcripts=True)
    position = 0
    prepared: set[int] = set()
    done: set[int] = set()

    def check(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Prepare(turn=turn):
                    assert turn not in prepared
                    prepared.add(turn)
                case Discard(turn=turn) | Cut(turn=turn) | ReplyOver(turn=turn):
                    assert turn in prepared
                    assert turn not in done
                    done.add(turn)
                case Play(turn=turn) | ReplyTextGrew(turn=turn):
                    assert turn == conductor.turn
                    assert turn not in done
                case StopSound(turn=turn):
                    check(conductor.stopped(turn, 100))

    for event in happened:
        position += 16_000
        said = speech(position)
        heard: dict[str, SpeechEvent] = {
            "started": started(position),
            "paused": paused(said),
            "went on": went_on(),
            "ended": ended(said),
            "abandoned": abandoned(),
            "barged in": barged_in(),
        }
        if event in ("paused", "ended"):  # The turn machine does not say so while a reply sounds.
            check(conductor.heard(barged_in()))
        if event in heard:
            check(conductor.heard(heard[event]))
        elif event == "text":
            check(conductor.made_text(conductor.turn, "a ", 0))
        elif event == "sound":
            check(conductor.made_sound(conductor.turn, SOUND))
        elif event == "sounds":
            conductor.sounds(conductor.turn)
        elif event == "all":
            check(conductor.made_all(conductor.turn, "end"))
        elif event == "played":
            check(conductor.played(conductor.turn))
        elif event == "entered":
            check(conductor.heard(barged_in()))
            check(conductor.interrupted())
            check(conductor.entered("hello"))
    assert prepared - done <= {conductor.turn}
