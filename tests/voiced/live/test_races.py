"""Interruptions that race with every stage of a reply: a live talk on the engine's own scheduler, in simulated time.

Everything is real but the model, the microphone and the speaker. Hypothesis draws what the user does, how fast the engine
is, when it dies, and how much the speaker takes; each reply has a level of its own, so that what was played tells whose it is.
"""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio.chunk import AudioChunk, Samples
from models.errors import NonFiniteError
from protocols.events import Event, TurnEnded, TurnTimed
from tests.fakes import END_OF_AUDIO, ScriptStep, frame
from tests.voiced.engine.fakes import EngineFake, FakeEngineModel
from tests.voiced.live.test_session import LoudnessDetector
from voiced.engine import messages as m
from voiced.engine.core import Engine, EngineOptions
from voiced.engine.held import HeldSession
from voiced.engine.session import EngineSession, SessionEvent
from voiced.engine.talk import MOST_POSITIONS
from voiced.listening import Listener
from voiced.live.conductor import Conductor
from voiced.live.on_files import HEARD_TICK, PLAYED_TICK, TICK_S, FileSpeaker
from voiced.live.session import LiveSession
from voiced.turns import LONGEST_TURN, SHORTEST_LONGEST_TURN, Opener, TurnMachine
from voiced.voice_activity import RATE_HZ

SAME_START_S = 0.05  # As where a transcript is shown: what begins there is said again.
SETTLED_S = 60.0  # By then everything is over.
AWAY_TICKS = 100  # A speaker that is away for 2 s drops what it holds.


class Recording:
    """Counts what was played of each level."""

    def __init__(self) -> None:
        self.levels: list[int] = []  # In the order in which they began to be played.
        self.num_samples: Counter[int] = Counter()
        self.newest: list[int] = []  # Of the last write.

    def write(self, samples: Samples) -> None:
        levels, counts = np.unique(
            np.rint(samples[samples > 0] * END_OF_AUDIO).astype(int), return_counts=True
        )
        self.newest = levels.tolist()
        for level, count in zip(self.newest, counts.tolist(), strict=True):
            if not self.levels or self.levels[-1] != level:
                self.levels.append(level)
            self.num_samples[level] += count


class SmallSpeaker(FileSpeaker):
    """A speaker that has little room, and may be away."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self.room = PLAYED_TICK
        self.num_away = 0  # Ticks.

    def write(self, samples: Samples) -> int:
        taken = samples[: max(0, self.room - self.num_held)]
        if self.num_away >= AWAY_TICKS:
            return len(samples)
        return super().write(taken) if len(taken) else 0

    def pass_tick(self, *, is_away: bool) -> None:
        self.num_away = self.num_away + 1 if is_away else 0
        if self.num_away >= AWAY_TICKS:
            self._held.clear()
        if is_away:
            held, self._held = self._held, deque()
            was_complete, self._is_complete = self._is_complete, True
            self.advance(PLAYED_TICK)
            self._held, self._is_complete = held, was_complete
        else:
            self.advance(PLAYED_TICK)


class ScriptedWakeWord:
    """Hears the wake word when it is told to."""

    def __init__(self) -> None:
        self.is_said = False

    def reset(self) -> None: ...

    def push(self, window: Samples) -> bool:
        is_said, self.is_said = self.is_said, False
        return is_said


class Talk:
    """A talk, its engine and its user; every method but `tick` takes no time."""

    def __init__(
        self,
        replies: Sequence[tuple[int, int, bool]],
        *,
        is_preemptive: bool = True,
        wants_words: bool = True,
        opener: Opener = "voice",
        longest: int = LONGEST_TURN,
        most_positions: int = MOST_POSITIONS,
    ) -> None:
        self._options = EngineOptions(most_positions=most_positions)
        self._replies = replies
        self._num_begun = 0
        self._opening = m.Open(1)
        self._to_engine: deque[m.ToEngine] = deque()
        self._from_engine: deque[m.FromEngine] = deque()
        self.model = FakeEngineModel(self._reply)
        self._core: Engine | None = None
        self.engine = EngineSession(self, self._opening)
        self.steps, self.reads = 10, 100  # Of the engine and of its events, in a tick.
        self.is_busy = self.is_away = self.is_muted = self.is_pressed = False
        self._num_unheard = 0  # Samples that passed while muted.
        self.recording = Recording()
        self.speaker = SmallSpeaker(self.recording)
        self.events: list[Event] = []
        self.asked: dict[str, Counter[int]] = {
            "prepare": Counter(),
            "discard": Counter(),
            "cut": Counter(),
        }
        self._turns: dict[int, int] = {}  # Of each level.
        self.opener = opener
        self.wake_word = ScriptedWakeWord()
        machine = TurnMachine(longest=longest, opener=opener)
        self.conductor = Conductor(is_preemptive=is_preemptive, wants_transcripts=wants_words)
        self.session = LiveSession(
            engine=self,
            speaker=self.speaker,
            machine=machine,
            listener=Listener(LoudnessDetector(), machine, self.wake_word),
            conductor=self.conductor,
            show=self.events.append,
            wants_interim=wants_words,
            now_s=self.now_s,
        )
        self._noise = np.random.default_rng(0)
        self.revive()

    def now_s(self) -> float:
        return max(self.speaker.now_s(), self.session.position / RATE_HZ)

    # The engine, seen from the talk

    def prepare(self, turn: int, said: str | Samples) -> None:
        self.asked["prepare"][turn] += 1
        self.engine.prepare(turn, said)

    def discard(self, turn: int) -> None:
        self.asked["discard"][turn] += 1
        self.engine.discard(turn)

    def cut(self, turn: int, heard_samples: int) -> None:
        self.asked["cut"][turn] += 1
        played = [self.recording.num_samples[level] for level in self._levels(turn)]
        assert heard_samples == sum(played)
        self.engine.cut(turn, heard_samples)

    def transcribe(self, turn: int, samples: Samples, *, is_final: bool = False) -> bool:
        return self.engine.transcribe(turn, samples, is_final=is_final)

    # The client, seen from the engine's session

    def send(self, message: m.ToEngine) -> None:
        if self._core is not None:
            self._to_engine.append(message)

    def send_if_free(self, message: m.ToEngine) -> bool:
        if self._core is None or self.is_busy:
            return False
        self._to_engine.append(message)
        return True

    def wake(self) -> None: ...

    def forget(self, session: EngineSession) -> None: ...

    # What may happen

    def lose(self) -> None:
        """Let the engine die, with all that is on its way in both directions."""
        if self._core is not None:
            self._core = None
            self._to_engine.clear()
            self._from_engine.clear()
            self.engine.engine_lost("killed", is_final=False)

    def revive(self) -> None:
        """Start another engine, if there is none."""
        if self._core is None:
            self._core = Engine(
                self.model, self._emit, now_s=self.speaker.now_s, options=self._options
            )
            self.engine.engine_ready()

    def mute(self) -> None:
        if not self.is_muted:
            self.is_muted, self._num_unheard = True, 0
            self.session.mute()

    def unmute(self) -> None:
        if self.is_muted:
            self.is_muted = False
            self.session.unmute(self.session.position + self._num_unheard)

    def tick(self, *, is_loud: bool = False) -> None:
        """Let 20 ms pass."""
        if self.is_muted:
            self._num_unheard += HEARD_TICK
        else:
            level = 0.1 if is_loud else 1e-4
            sound = level * self._noise.standard_normal(HEARD_TICK)
            self.session.hear(AudioChunk(sound.astype(np.float32), RATE_HZ, self.session.position))
        self.session.tick()
        self._compute()
        self._read()
        self.session.tick()
        self.speaker.pass_tick(is_away=self.is_away)
        self._check_played()
        self.session.tick()

    def _compute(self) -> None:
        if self._core is None:
            return
        while self._to_engine:
            self._core.take(self._to_engine.popleft())
        for _ in range(self.steps):
            if not self._core.step():
                break

    def _read(self) -> None:
        while self._from_engine:
            message = self._from_engine.popleft()
            if isinstance(message, m.OfSession):
                self.engine.deliver(message)
        for _ in range(min(self.reads, self.engine.num_waiting)):
            if self.engine.num_waiting:  # Taking one may take back others.
                self.session.take(next_event(self.engine))

    def _emit(self, message: m.FromEngine) -> None:
        if isinstance(message, m.Sound):
            self._turns[round(float(message.samples[0]) * END_OF_AUDIO)] = message.turn
        self._from_engine.append(message)

    def _reply(self, fake: EngineFake) -> list[ScriptStep]:
        """Return the next reply, all of its frames with a level of its own."""
        num_words, num_frames, is_broken = self._replies[self._num_begun % len(self._replies)]
        self._num_begun += 1
        steps: list[ScriptStep] = []
        for index in range(max(num_words, num_frames)):
            steps += [f" word{index}"] * (index < num_words)
            steps += [frame(self._num_begun)] * (index < num_frames)
        return [*steps, NonFiniteError("not finite")] if is_broken else steps

    def _levels(self, turn: int) -> list[int]:
        return [level for level, its_turn in self._turns.items() if its_turn == turn]

    # What must hold

    def _check_played(self) -> None:
        turns = {self._turns[level] for level in self.recording.newest}
        assert len(turns) <= 1
        for turn in turns:
            assert not self.asked["cut"][turn], "it was cut"
            assert not self.asked["discard"][turn], "it was discarded"

    def check_all(self) -> None:
        """Check what must hold of the whole talk, once nothing goes on any more."""
        assert self.recording.levels == sorted(set(self.recording.levels))
        ended = [e for e in self.events if isinstance(e, TurnEnded)]
        users = [e for e in ended if e.role == "user"]
        replies = Counter(e.turn for e in ended if e.role == "assistant")
        cut = Counter(e.turn for e in ended if e.ended == "interrupted")
        over = replies - cut
        assert cut == self.asked["cut"]
        assert set(self.asked["prepare"].values()) <= {1}
        assert over + self.asked["cut"] + self.asked["discard"] == self.asked["prepare"]
        for index, user in enumerate(users):
            if not replies[user.turn]:
                later = users[index + 1 : index + 2]
                assert later, f"{user} was never answered"
                assert later[0].start_s <= user.start_s + SAME_START_S
        assert set(replies) <= {user.turn for user in users}
        assert Counter(user.turn for user in users) == Counter({u.turn for u in users})
        self._check_order(ended)
        self._check_moments([e for e in self.events if isinstance(e, TurnTimed)], replies)

    def _check_order(self, ended: list[TurnEnded]) -> None:
        said: set[int] = set()
        for event in ended:
            if event.role == "user":
                said.add(event.turn)
            else:
                assert event.turn in said
            assert event.end_s >= event.start_s

    def _check_moments(self, timed: list[TurnTimed], replies: Counter[int]) -> None:
        assert Counter(timed_turn.turn for timed_turn in timed) == replies
        for turn in timed:
            in_order(turn.speech_ended_s, turn.decided_s, turn.first_sound_s, turn.silent_s)
            in_order(turn.first_token_s, turn.first_frame_s, turn.first_sound_s)
            in_order(turn.barged_in_s, turn.silent_s)
            in_order(turn.decided_s, turn.transcribed_s)
            in_order(turn.decided_s, turn.barged_in_s)

    def check_nothing_is_kept(self) -> None:
        """Check that what was done with is gone."""
        session, engine = self.session, self.engine
        assert not session._waiting
        assert not session._owed_words
        assert not session._over
        assert not session._ended_starts
        assert session._asked_at is None
        assert not session.ledger._open
        assert self.conductor._reply is None
        assert not self.conductor._unanswered
        assert not engine._cuts
        assert not engine._transcriptions
        assert not engine._discards.total()
        assert not engine._own_discards.total()
        assert not engine.num_waiting
        assert engine._working is None

    def held(self) -> HeldSession:
        """Return what the engine holds of the talk."""
        assert self._core is not None
        [held] = self._core._sessions.values()
        return held

    def check_model_knows_what_was_heard(self) -> None:
        """Check that the engine's history is the daemon's: no discarded turn, and each reply as far as it was heard."""
        kept = {turn.turn: len(turn.made) for turn in self.engine._record._turns}
        for turn in self.held().talk.turns:
            assert kept[turn.number] == len(turn.made)

    def settle(self) -> None:
        """Let everything come to its end: the user is silent, the engine there, the speaker at work."""
        self.release()
        self.unmute()
        self.revive()
        self.steps, self.reads, self.speaker.room = 10, 100, 1920 * 50
        self.is_busy = self.is_away = False
        self.model.fault = None
        for _ in range(round(SETTLED_S / TICK_S)):
            self.tick()
            if self.session.is_idle and not self.session.is_owed_words and not self._has_news():
                break
        self.tick()
        assert self.session.is_idle
        assert self.session.state in {"listening", "asleep"}

    def _has_news(self) -> bool:
        owed = self.engine._cuts or self.engine._discards.total()
        return bool(self._to_engine or self._from_engine or self.engine.num_waiting or owed)

    def press(self) -> None:
        self.is_pressed = not self.is_muted
        self.session.press()

    def release(self) -> None:
        self.is_pressed = False
        self.session.release()


def next_event(engine: EngineSession) -> SessionEvent:
    """Return the next event, which is there."""
    try:
        engine.next_event().send(None)
    except StopIteration as done:
        event: SessionEvent = done.value
        return event
    raise AssertionError("it waited")


def in_order(*moments_s: float | None) -> None:
    known = [moment_s for moment_s in moments_s if moment_s is not None]
    # What is played in a tick is played after what is heard in it.
    assert all(one <= other + TICK_S + 1e-9 for one, other in pairwise(known)), moments_s


Op = tuple[str, int]

# Ticks of voice and of silence come often: what lies between is what races.
OPS: st.SearchStrategy[Op] = st.one_of(
    st.tuples(st.just("voice"), st.integers(1, 110)),
    st.tuples(st.just("voice"), st.integers(8, 60)),
    st.tuples(st.just("silence"), st.integers(1, 30)),
    st.tuples(st.just("silence"), st.integers(1, 30)),
    st.tuples(st.just("silence"), st.integers(20, 150)),
    st.tuples(st.sampled_from(["press", "release", "interrupt"]), st.just(0)),
    st.tuples(st.sampled_from(["mute", "unmute", "enter", "wake"]), st.just(0)),
    st.tuples(st.sampled_from(["lose", "revive", "fail", "end input"]), st.just(0)),
    st.tuples(st.just("steps"), st.integers(0, 30)),
    st.tuples(st.just("reads"), st.sampled_from([0, 1, 2, 100])),
    st.tuples(st.just("room"), st.sampled_from([0, 100, 480, 1920, 96_000])),
    st.tuples(st.just("underrun"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["busy", "away"]), st.integers(0, 1)),
)
REPLIES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 60), st.sampled_from([False] * 5 + [True])),
    min_size=1,
    max_size=6,
)


def perform(talk: Talk, op: Op) -> None:
    match op:
        case "voice", number:
            for _ in range(number):
                talk.tick(is_loud=True)
        case "silence", number:
            for _ in range(number):
                talk.tick()
        case "enter", _:
            talk.session.enter("written")
        case "interrupt", _:
            talk.session.interrupt()
        case "wake", _:
            talk.wake_word.is_said = True
        case "fail", _:
            talk.model.fault = NonFiniteError("not finite")
        case "end input", _:
            talk.session.end_input()
        case "steps", number:
            talk.steps = number
        case "reads", number:
            talk.reads = number
        case "room", number:
            talk.speaker.room = number
        case "underrun", number:
            talk.session.note_underruns(number)
        case "busy", number:
            talk.is_busy = bool(number)
        case "away", number:
            talk.is_away = bool(number)
        case name, _:
            getattr(talk, name)()


def race(talk: Talk, ops: Sequence[Op]) -> None:
    for _ in range(50):
        talk.tick()
    for op in ops:
        perform(talk, op)
    talk.settle()
    talk.check_all()
    talk.check_nothing_is_kept()
    talk.check_model_knows_what_was_heard()
    num_replies = sum(isinstance(event, TurnEnded) for event in talk.events)
    talk._replies = [(2, 10, False)]
    if talk.opener != "voice":
        talk.press()
    perform(talk, ("voice", 50))
    if talk.opener != "voice":
        talk.release()
    perform(talk, ("silence", 100))
    talk.settle()
    [said, answered] = [e for e in talk.events if isinstance(e, TurnEnded)][num_replies:]
    assert (said.role, answered.role) == ("user", "assistant")
    assert (answered.turn, answered.ended) == (said.turn, "end")
    talk.check_all()
    talk.check_nothing_is_kept()
    talk.check_model_knows_what_was_heard()


TALKS = st.builds(
    Talk,
    REPLIES,
    is_preemptive=st.booleans(),
    wants_words=st.booleans(),
    opener=st.sampled_from(["voice", "voice", "key", "wake word"]),
    longest=st.sampled_from([LONGEST_TURN, SHORTEST_LONGEST_TURN]),
)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(TALKS, st.lists(OPS, max_size=40))
def test_whatever_races_each_turn_is_answered_once_and_nothing_is_left(
    talk: Talk, ops: list[Op]
) -> None:
    race(talk, ops)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=5000, deadline=None, suppress_health_check=SLOW)
@given(TALKS, st.lists(OPS, max_size=100))
def test_whatever_races_for_long(talk: Talk, ops: list[Op]) -> None:
    race(talk, ops)
