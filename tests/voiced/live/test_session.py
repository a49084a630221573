"""A live talk in simulated time: a scripted engine, a speaker that plays as time passes, a detector of loudness."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.chunk import AudioChunk, Samples
from protocols.events import Event, Noticed, TextAdded, Transcribed, TurnEnded, TurnTimed
from voiced.engine import messages as m
from voiced.engine.session import Lost
from voiced.errors import RangeError
from voiced.listening import Listener
from voiced.live.conductor import Conductor
from voiced.live.on_files import HEARD_TICK, PLAYED_TICK, FileSpeaker
from voiced.live.session import LiveSession
from voiced.turns import FOLLOW_UP, Opener, TurnMachine
from voiced.voice_activity import RATE_HZ

FRAME = 1920
NUMBER = 1  # Of the session.


class LoudnessDetector:
    """Takes what is loud for a voice."""

    def reset(self) -> None: ...

    def push(self, window: NDArray[np.float32]) -> float:
        return float(np.abs(window).mean() > 0.01)


class CuedWake:
    """Recognises the wake word in the next window after each cue."""

    is_cued = False

    def reset(self) -> None: ...

    def push(self, window: NDArray[np.float32]) -> bool:
        is_heard, self.is_cued = self.is_cued, False
        return is_heard


class ScriptedEngine:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.num_wakes = 0
        self.has_time = True  # For interim transcripts.

    def prepare(self, turn: int, said: str | Samples) -> None:
        self.asked.append(("prepare", turn, said if isinstance(said, str) else len(said)))

    def discard(self, turn: int) -> None:
        self.asked.append(("discard", turn))

    def cut(self, turn: int, heard_samples: int) -> None:
        self.asked.append(("cut", turn, heard_samples))

    def transcribe(self, turn: int, samples: Samples, *, is_final: bool = False) -> bool:
        if not (is_final or self.has_time):
            return False
        self.asked.append(("transcribe", turn, is_final))
        return True

    def wake(self) -> None:
        self.num_wakes += 1

    def take(self) -> list[tuple[object, ...]]:
        """Return what was asked since the last call."""
        asked, self.asked = self.asked, []
        return asked


class Recording:
    """Keeps what was played."""

    def __init__(self) -> None:
        self.played: list[Samples] = []

    def write(self, samples: Samples) -> None:
        self.played.append(samples)

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.played)


class Talk:
    """A session and everything around it; `listen` lets time pass."""

    def __init__(
        self,
        *,
        is_preemptive: bool = True,
        wants_interim: bool = False,
        opener: Opener = "voice",
    ) -> None:
        self.engine, self.recording = ScriptedEngine(), Recording()
        self.speaker = FileSpeaker(self.recording)
        self.events: list[Event] = []
        self.wake = CuedWake()
        machine = TurnMachine(opener=opener)
        self.session = LiveSession(
            engine=self.engine,
            speaker=self.speaker,
            machine=machine,
            listener=Listener(LoudnessDetector(), machine, self.wake),
            conductor=Conductor(is_preemptive=is_preemptive, wants_transcripts=True),
            show=self.events.append,
            wants_interim=wants_interim,
        )
        self._noise = np.random.default_rng(0)

    def listen(self, duration_s: float, *, loud: bool = False) -> None:
        """Let `duration_s` pass, with a voice or without."""
        for _ in range(round(duration_s * RATE_HZ / HEARD_TICK)):
            level = 0.1 if loud else 1e-4
            sound = level * self._noise.standard_normal(HEARD_TICK)
            chunk = AudioChunk(sound.astype(np.float32), RATE_HZ, self.session.position)
            self.session.hear(chunk)
            self.session.tick()
            self.speaker.advance(PLAYED_TICK)
            self.session.tick()

    def say(self, duration_s: float = 1.0) -> None:
        """Speak, and be silent until the turn is over."""
        self.listen(duration_s, loud=True)
        self.listen(1.0)

    def say_wake_word(self, pause_s: float = 0.3) -> None:
        """Say what is recognised 0.2 s after its end; be silent for so long after it, at least for these."""
        self.listen(0.6, loud=True)
        self.listen(0.2)
        self.wake.is_cued = True
        self.listen(pause_s - 0.2)

    def reply(self, turn: int, num_frames: int = 10, *, text: str = "", done: bool = True) -> None:
        """Let the engine make a reply, its sound the numbers of its frames in hundredths."""
        if text:
            self.session.take(m.Text(session=NUMBER, turn=turn, text=text))
        for index in range(num_frames):
            samples = np.full(FRAME, (index + 1) / 100, np.float32)
            self.session.take(m.Sound(session=NUMBER, turn=turn, pcm=m.pack_samples(samples)))
        if done:
            timings = m.Timings(received_s=0.0)
            self.session.take(m.Ended(session=NUMBER, turn=turn, how="end", timings=timings))

    def of_kind(self, kind: type[Event]) -> Iterator[Event]:
        return (event for event in self.events if isinstance(event, kind))

    @property
    def replies(self) -> list[TurnEnded]:
        return [
            event
            for event in self.events
            if isinstance(event, TurnEnded) and event.role == "assistant"
        ]


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.listen(1.5)
    return talk


def test_a_spoken_turn_is_answered_and_played_to_the_end(talk: Talk) -> None:
    talk.say()
    kinds = [asked[0] for asked in talk.engine.take()]
    assert kinds == ["prepare", "transcribe"]  # At the pause, and at the end.
    states = [talk.session.state]
    talk.reply(1, text="hello")
    talk.listen(0.1)
    states.append(talk.session.state)
    talk.listen(1.0)
    assert [*states, talk.session.state] == ["thinking", "speaking", "listening"]
    assert talk.session.is_idle
    (reply,) = talk.replies
    assert (reply.text, reply.ended) == ("hello", "end")
    assert reply.end_s - reply.start_s == pytest.approx(0.8)
    sound = talk.recording.samples
    assert np.array_equal(np.unique(sound[sound > 0]), np.float32(np.arange(1, 11) / 100))


def test_nothing_is_played_before_the_turn_is_over(talk: Talk) -> None:
    talk.listen(1.0, loud=True)
    talk.listen(0.3)  # A pause, and no end yet.
    assert talk.engine.take()[0][:2] == ("prepare", 1)
    talk.reply(1, text="too early")
    talk.listen(0.1)
    assert not talk.recording.samples.any()
    assert not list(talk.of_kind(TextAdded))
    talk.listen(1.0, loud=True)
    assert talk.engine.take() == [("discard", 1)]
    talk.listen(1.0)
    assert [asked[:2] for asked in talk.engine.take()] == [("prepare", 2), ("transcribe", 2)]


def test_an_interruption_cuts_the_reply_where_it_was_heard(talk: Talk) -> None:
    talk.say()
    talk.reply(1, num_frames=50, text="a long story")
    talk.listen(1.0)
    talk.engine.take()
    talk.listen(1.0, loud=True)
    (cut,) = talk.engine.take()[:1]
    name, turn, heard = cut
    assert (name, turn) == ("cut", 1)
    assert isinstance(heard, int)
    sound = talk.recording.samples
    assert heard == np.count_nonzero(sound)
    assert not sound[-RATE_HZ // 4 :].any()
    message = m.WasCut(session=NUMBER, turn=1, heard="a long", num_samples=heard)
    talk.session.take(message)
    (reply,) = talk.replies
    assert (reply.text, reply.ended) == ("a long", "interrupted")


def test_a_short_sound_holds_the_reply_and_it_goes_on_in_the_middle(talk: Talk) -> None:
    talk.say()
    talk.reply(1, num_frames=50)
    talk.listen(1.0)
    talk.engine.take()
    talk.listen(0.2, loud=True)
    talk.listen(5.0)
    assert talk.engine.take() == []
    sound = talk.recording.samples
    heard = sound[sound > 0]
    assert len(heard) == 50 * FRAME  # All of it, in order, with a silence somewhere.
    assert (np.diff(heard) >= 0).all()
    (gap,) = np.flatnonzero(np.diff(np.flatnonzero(sound > 0)) > 1)
    assert 0 < gap < len(heard)
    assert talk.replies[0].ended == "end"


def test_speaking_again_before_the_reply_sounds_is_answered_with_what_was_said_before(
    talk: Talk,
) -> None:
    talk.say(1.0)
    (prepared, _) = talk.engine.take()
    talk.listen(1.0, loud=True)
    assert talk.engine.take() == [("discard", 1)]
    talk.listen(1.5)
    name, turn, num_samples = talk.engine.take()[0]
    assert (name, turn) == ("prepare", 2)
    assert isinstance(num_samples, int)
    assert isinstance(prepared[2], int)
    assert num_samples > 1.9 * prepared[2]


def test_a_key_interrupts_while_it_thinks_and_while_it_speaks(talk: Talk) -> None:
    talk.say()
    talk.engine.take()
    talk.session.interrupt()
    assert talk.engine.take() == [("cut", 1, 0)]
    talk.say()
    talk.reply(2, num_frames=50)
    talk.listen(1.0)
    talk.engine.take()
    talk.session.interrupt()
    ((name, turn, heard),) = talk.engine.take()
    assert (name, turn) == ("cut", 2)
    assert heard == pytest.approx(24_000, abs=FRAME)


def test_written_text_cuts_the_reply_and_is_answered(talk: Talk) -> None:
    talk.say()
    talk.reply(1, num_frames=50)
    talk.listen(0.5)
    talk.engine.take()
    talk.session.enter("stop that")
    assert [asked[:2] for asked in talk.engine.take()] == [("cut", 1), ("prepare", 2)]
    talk.reply(2)
    talk.listen(2.0)
    assert talk.replies[-1].ended == "end"


def test_muted_nothing_is_heard_and_the_reply_goes_on(talk: Talk) -> None:
    talk.say()
    talk.reply(1, num_frames=30)
    talk.listen(0.2)
    talk.session.mute()
    assert talk.session.state == "muted"
    talk.engine.take()
    position = talk.session.position
    for _ in range(200):
        talk.speaker.advance(PLAYED_TICK)
        talk.session.tick()
    assert talk.replies[0].ended == "end"
    talk.session.unmute(position + 4 * RATE_HZ)
    talk.listen(2.0)
    talk.say()
    assert talk.engine.take()[0][:2] == ("prepare", 2)


def test_a_lost_engine_is_told_and_what_was_made_is_played(talk: Talk) -> None:
    talk.say()
    talk.reply(1, num_frames=5, done=False)
    talk.session.take(Lost(turn=1, reason="killed"))
    (notice,) = talk.of_kind(Noticed)
    assert isinstance(notice, Noticed)
    assert "killed" in notice.text
    talk.listen(1.0)
    assert talk.replies[0].ended == "failed"
    assert np.count_nonzero(talk.recording.samples) == 5 * FRAME
    talk.say()
    assert ("prepare", 2) in [asked[:2] for asked in talk.engine.take()]


def test_a_reply_that_fails_leaves_the_talk_going(talk: Talk) -> None:
    talk.say()
    message = "the conversation is as long as the model can hold"
    talk.session.take(
        m.Failed(session=NUMBER, turn=1, request="prepare", code="context_full", message=message)
    )
    assert [event.text for event in talk.of_kind(Noticed) if isinstance(event, Noticed)] == [
        message
    ]
    assert talk.replies[0].ended == "failed"
    assert talk.session.is_idle


def test_interim_words_are_asked_for_while_the_user_speaks_and_shown() -> None:
    talk = Talk(wants_interim=True)
    talk.listen(1.5)
    talk.listen(1.0, loud=True)
    assert talk.engine.take() == [("transcribe", 1, False)]
    talk.listen(1.0, loud=True)
    assert talk.engine.take() == []  # One at a time.
    words = m.Transcript(session=NUMBER, turn=1, text="turn on", num_agreed=4)
    talk.session.take(words)
    (shown,) = talk.of_kind(Transcribed)
    assert shown == Transcribed(turn=1, text="turn on", num_agreed=4)
    talk.listen(0.1, loud=True)
    assert talk.engine.take() == [("transcribe", 1, False)]


def test_unfinished_words_lengthen_the_wait() -> None:
    ends = []
    for text in ("turn on the light", "turn on the"):
        talk = Talk(is_preemptive=False, wants_interim=True)
        talk.listen(1.5)
        talk.listen(2.0, loud=True)
        for _ in range(100):
            talk.listen(0.02)
            num_samples = 10 * RATE_HZ
            for asked in talk.engine.take():
                if asked[0] == "prepare":
                    ends.append(talk.session.position)
                elif asked == ("transcribe", 1, False):
                    talk.session.take(
                        m.Transcript(session=NUMBER, turn=1, text=text, num_samples=num_samples)
                    )
    assert ends[1] - ends[0] == pytest.approx(RATE_HZ, abs=RATE_HZ / 4)


def test_a_machine_that_does_not_keep_up_is_asked_for_no_more_interim_words() -> None:
    talk = Talk(wants_interim=True)
    talk.listen(1.5)
    for _ in range(2):
        talk.listen(2.5, loud=True)
        assert ("transcribe", 1, False) in talk.engine.take()
        talk.session.take(m.Transcript(session=NUMBER, turn=1, text="slow"))
    talk.listen(2.5, loud=True)
    assert talk.engine.take() == []
    (notice,) = talk.of_kind(Noticed)
    assert isinstance(notice, Noticed)
    assert "too slow" in notice.text


def test_a_voice_wakes_the_engine_long_before_the_turn_is_over(talk: Talk) -> None:
    assert talk.engine.num_wakes == 0
    talk.listen(0.3, loud=True)
    assert talk.engine.num_wakes == 1
    assert talk.engine.take() == []


def test_words_that_nobody_has_time_for_are_not_waited_for() -> None:
    talk = Talk(wants_interim=True)
    talk.engine.has_time = False
    talk.listen(1.5)
    talk.listen(1.5, loud=True)
    talk.session.mute()
    assert not talk.session.is_owed_words
    talk.session.unmute(talk.session.position)
    talk.engine.has_time = True
    talk.listen(1.0)
    talk.engine.take()
    talk.listen(1.0, loud=True)
    assert [asked[0] for asked in talk.engine.take()] == ["transcribe"]


def test_written_text_before_the_speaker_has_begun_cuts_the_reply_off() -> None:
    talk = Talk()
    talk.listen(1.5)
    talk.say()
    talk.reply(1)  # Given to the speaker, which has played nothing of it.
    talk.engine.take()
    talk.session.enter("stop that")
    assert [asked[:2] for asked in talk.engine.take()] == [("cut", 1), ("prepare", 2)]


def test_a_cut_that_comes_after_the_reply_has_failed_ends_the_turn_all_the_same(
    talk: Talk,
) -> None:
    talk.say()
    talk.session.interrupt()
    assert talk.engine.take()[-1] == ("cut", 1, 0)
    for request, message in (("prepare", "not finite"), ("cut", "turn 1 cannot be changed")):
        talk.session.take(
            m.Failed(session=NUMBER, turn=1, request=request, code="model", message=message)
        )
    assert [(reply.turn, reply.ended) for reply in talk.replies] == [(1, "interrupted")]
    notices = [event.text for event in talk.of_kind(Noticed) if isinstance(event, Noticed)]
    assert notices == ["not finite"]
    assert not talk.session._ended_starts


def test_words_of_a_turn_that_was_taken_back_leave_nothing(talk: Talk) -> None:
    talk.say()
    talk.listen(1.0, loud=True)
    assert talk.engine.take()[-1] == ("discard", 1)
    assert not talk.session.is_owed_words
    words = m.Transcript(session=NUMBER, turn=1, text="turn on", is_final=True)
    talk.session.take(words)
    assert not talk.session.ledger._open


def test_final_words_come_from_the_next_engine(talk: Talk) -> None:
    talk.say()
    talk.reply(1)
    talk.listen(2.0)
    talk.session.take(Lost(reason="killed"))
    assert not list(talk.of_kind(TurnTimed))
    assert talk.session.is_owed_words
    words = m.Transcript(session=NUMBER, turn=1, text="turn on", is_final=True)
    talk.session.take(words)
    (timed,) = talk.of_kind(TurnTimed)
    assert isinstance(timed, TurnTimed)
    assert timed.transcribed_s is not None


def test_interim_words_that_cannot_be_made_are_asked_for_again() -> None:
    talk = Talk(wants_interim=True)
    talk.listen(1.5)
    talk.listen(1.0, loud=True)
    assert talk.engine.take() == [("transcribe", 1, False)]
    failed = m.Failed(
        session=NUMBER, turn=1, request="transcribe", code="broken_arithmetic", message="not finite"
    )
    talk.session.take(failed)
    assert not talk.session.is_owed_words
    talk.listen(1.0, loud=True)
    assert talk.engine.take() == [("transcribe", 1, False)]


def test_interim_words_of_a_turn_that_is_over_are_not_taken_for_those_of_the_next() -> None:
    talk = Talk(wants_interim=True, is_preemptive=False)
    talk.listen(1.5)
    talk.listen(1.0, loud=True)
    talk.listen(1.0)
    talk.session.interrupt()
    talk.listen(1.0, loud=True)  # For which words were asked too.
    late = m.Transcript(session=NUMBER, turn=1, text="and the", num_samples=16_000)
    talk.listen(0.2)
    talk.session.mute()
    talk.session.take(late)
    assert not list(talk.of_kind(Transcribed))


def test_words_that_cannot_be_asked_for_are_told_and_the_talk_goes_on(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(turn: int, samples: Samples, *, is_final: bool = False) -> bool:
        raise RangeError("1000000 samples of sound: expected at most 960000")

    monkeypatch.setattr(talk.engine, "transcribe", refuse)
    talk.say()
    talk.reply(1)
    talk.listen(2.0)
    assert talk.replies[0].ended == "end"
    (notice,) = talk.of_kind(Noticed)
    assert isinstance(notice, Noticed)
    assert "expected at most 960000" in notice.text
    assert talk.session.is_idle
    assert not talk.session.is_owed_words


def test_that_the_oldest_turns_leave_is_told_once(talk: Talk) -> None:
    for _ in range(3):
        talk.session.take(m.Trimmed(session=NUMBER, num_turns=2, num_positions=100))
    (notice,) = talk.of_kind(Noticed)
    assert isinstance(notice, Noticed)
    assert "from now on its oldest turns leave" in notice.text


# With a wake word


@pytest.fixture
def sleeper() -> Talk:
    talk = Talk(wants_interim=True, opener="wake word")
    talk.listen(1.5)
    return talk


def test_asleep_nothing_reaches_the_engine_and_nothing_is_told(sleeper: Talk) -> None:
    sleeper.say(5.0)
    sleeper.say(0.5)
    sleeper.session.end_input()
    assert sleeper.session.state == "asleep"
    assert sleeper.session.is_idle
    assert (sleeper.engine.asked, sleeper.events) == ([], [])


def test_the_command_after_the_wake_word_is_answered_without_it(sleeper: Talk) -> None:
    sleeper.say_wake_word()
    assert sleeper.engine.asked == []
    states = [sleeper.session.state]
    for duration_s, loud in ((0.5, True), (1.0, False)):
        sleeper.listen(duration_s, loud=loud)
        states.append(sleeper.session.state)
    assert states == ["listening", "hearing", "thinking"]
    (prepared,) = [asked for asked in sleeper.engine.take() if asked[0] == "prepare"]
    assert isinstance(prepared[2], int)
    assert 0.5 * RATE_HZ < prepared[2] < 1.1 * RATE_HZ


def test_a_command_without_a_pause_is_answered_whole(sleeper: Talk) -> None:
    sleeper.listen(0.8, loud=True)  # The wake word, and the first 0.2 s of the command.
    sleeper.wake.is_cued = True
    sleeper.say(2.0)
    (asked, *_) = [asked for asked in sleeper.engine.take() if asked[0] == "prepare"]
    assert isinstance(asked[2], int)
    assert 2.2 * RATE_HZ < asked[2] < 2.6 * RATE_HZ


def test_the_wake_word_alone_reaches_no_engine_and_it_falls_asleep_again(sleeper: Talk) -> None:
    sleeper.say_wake_word()
    woke_at = sleeper.session.position
    while sleeper.session.state == "listening":
        sleeper.listen(0.02)
    assert sleeper.session.state == "asleep"
    assert sleeper.session.position - woke_at == pytest.approx(FOLLOW_UP, abs=RATE_HZ / 5)
    sleeper.say()
    assert sleeper.engine.asked == []


def test_after_the_reply_one_may_go_on_for_a_while_without_the_wake_word(sleeper: Talk) -> None:
    sleeper.say_wake_word()
    sleeper.say()
    states = [sleeper.session.state]
    sleeper.reply(1, num_frames=200)
    sleeper.listen(16.0)
    sleeper.listen(7.0)
    assert len(sleeper.replies) == 1
    sleeper.engine.take()
    sleeper.say()
    assert ("prepare", 2) in [asked[:2] for asked in sleeper.engine.take()]
    sleeper.reply(2)
    sleeper.listen(10.0)
    states.append(sleeper.session.state)
    assert states == ["thinking", "asleep"]
    sleeper.say()
    assert sleeper.engine.asked == []


def test_one_may_go_on_however_long_the_reply_takes(sleeper: Talk) -> None:
    sleeper.say_wake_word()
    sleeper.say()
    sleeper.listen(20.0)
    sleeper.engine.take()
    sleeper.say()
    kinds = [asked[:2] for asked in sleeper.engine.take()]
    assert ("discard", 1) in kinds
    assert ("prepare", 2) in kinds


def test_awake_a_voice_interrupts_and_the_wake_word_too(sleeper: Talk) -> None:
    sleeper.say_wake_word()
    sleeper.say()
    sleeper.reply(1, num_frames=200)
    sleeper.listen(12.0)
    sleeper.engine.take()
    sleeper.say()
    assert ("cut", 1) in [asked[:2] for asked in sleeper.engine.take()]
    sleeper.reply(2, num_frames=200)
    sleeper.listen(1.0)
    sleeper.engine.take()
    sleeper.say_wake_word()
    sleeper.listen(3.0)
    kinds = [asked[0] for asked in sleeper.engine.take()]
    assert "cut" in kinds
    assert kinds.count("prepare") == kinds.count("discard")  # What its pause was taken for.
    assert sleeper.session.state == "listening"


def test_a_reply_that_fails_lets_it_fall_asleep(sleeper: Talk) -> None:
    sleeper.say_wake_word()
    sleeper.say()
    sleeper.session.take(Lost(turn=1, reason="killed"))
    sleeper.listen(9.0)
    assert sleeper.session.state == "asleep"


def test_muted_the_wake_word_is_off(sleeper: Talk) -> None:
    sleeper.session.mute()
    states = [sleeper.session.state]
    sleeper.wake.is_cued = True
    sleeper.session.hear(AudioChunk(np.zeros(RATE_HZ, np.float32), RATE_HZ, 10 * RATE_HZ))
    assert sleeper.wake.is_cued
    sleeper.session.unmute(20 * RATE_HZ)
    states.append(sleeper.session.state)
    assert states == ["muted", "asleep"]


def test_written_text_is_answered_asleep_too_and_wakes(sleeper: Talk) -> None:
    sleeper.session.enter("what time is it")
    assert sleeper.engine.take() == [("prepare", 1, "what time is it")]
    sleeper.reply(1)
    sleeper.listen(3.0)
    assert sleeper.session.state == "listening"
    sleeper.say()
    assert ("prepare", 2) in [asked[:2] for asked in sleeper.engine.take()]
