"""A talk through simulated devices: muted, pulled out, busy, slow, asleep; and how it ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest

from audio.background import at_once
from audio.capture import Microphone
from audio.chunk import AudioChunk, Samples
from audio.devices import Direction
from audio.duplex import Duplex
from audio.echo import Cleaning
from audio.playout import Playout
from protocols.events import Event, Noticed, StateChanged, TurnEnded, TurnTimed
from tests.fake_sound import FakeSoundCard, microphone, speaker
from tests.voiced.live.test_session import FRAME, NUMBER, LoudnessDetector
from voiced.commands import Command, EnterText, Interrupt, Quit, ToggleMute
from voiced.engine import messages as m
from voiced.engine.session import Lost, SessionEvent
from voiced.errors import EngineError
from voiced.listening import Listener
from voiced.live.conductor import Conductor
from voiced.live.on_devices import DeviceTalk, TalkClock
from voiced.live.session import LiveSession
from voiced.turns import TurnMachine

pytest.importorskip("livekit.rtc", reason="the package livekit is not installed")

PLAIN = Cleaning(echo=False, noise=False, gain=False)
REPLY_S = 2.0
Scenario = Callable[["Stage"], Awaitable[None]]


class CardTime:
    """The card's time, which goes on when somebody waits for it."""

    def __init__(self, card: FakeSoundCard) -> None:
        self._card = card

    def now_s(self) -> float:
        return self._card.now_s

    async def wait_s(self, duration_s: float) -> None:
        self._card.advance(duration_s)
        await asyncio.sleep(0)


class SimpleEngine:
    """An engine's session that answers everything with the same reply, its sound at once."""

    def __init__(self) -> None:
        self.prepared: list[int] = []
        self.cuts: list[tuple[int, int]] = []
        self.num_frames = round(REPLY_S * 24_000 / FRAME)
        self.is_closed = False
        self.is_busy = False  # What it is asked then is answered when the test calls `answer`.
        self._events: deque[SessionEvent] = deque()
        self._news = asyncio.Event()

    def put(self, event: SessionEvent) -> None:
        self._events.append(event)
        self._news.set()

    def prepare(self, turn: int, said: str | Samples) -> None:
        del said
        self.prepared.append(turn)
        if not self.is_busy:
            self.answer(turn)

    def answer(self, turn: int) -> None:
        """Make the reply."""
        self.put(m.Text(session=NUMBER, turn=turn, text="yes"))
        self.make(turn, self.num_frames)
        self.put(m.Ended(session=NUMBER, turn=turn, how="end", timings=m.Timings(received_s=0.0)))

    def make(self, turn: int, num_frames: int) -> None:
        """Make so much of a reply's sound."""
        for _ in range(num_frames):
            pcm = m.pack_samples(np.full(FRAME, 0.25, np.float32))
            self.put(m.Sound(session=NUMBER, turn=turn, pcm=pcm))

    def discard(self, turn: int) -> None:
        self._events = deque(e for e in self._events if getattr(e, "turn", None) != turn)

    def cut(self, turn: int, heard_samples: int) -> None:
        self.discard(turn)
        self.cuts.append((turn, heard_samples))
        self.put(m.WasCut(session=NUMBER, turn=turn, heard="y", num_samples=heard_samples))

    def transcribe(self, turn: int, samples: Samples, *, is_final: bool = False) -> bool:
        del turn, samples
        return is_final

    def wake(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        while True:
            while self._events:
                yield self._events.popleft()
            self._news.clear()
            await self._news.wait()


class Stage:
    """A talk, its devices, its user, and all that was told."""

    def __init__(self, card: FakeSoundCard | None = None, cleaning: Cleaning = PLAIN) -> None:
        self.card = card or FakeSoundCard()
        self.card.source = self._sound
        self.card.ends_streams = False
        self.clock = CardTime(self.card)
        self.engine = SimpleEngine()
        self.events: list[Event] = []
        self.heard: list[AudioChunk] = []
        self.room_level = 1e-4  # Of the noise that the microphone hears.
        self._voices: list[tuple[float, float]] = []
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        devices = Duplex(
            Microphone(self.card, clock_s=self.card.clock_s, background=at_once),
            Playout(self.card, rate_hz=24_000, clock_s=self.card.clock_s, background=at_once),
            cleaning=cleaning,
        )
        talk_clock = TalkClock(self.clock)
        machine = TurnMachine()
        self.session = LiveSession(
            engine=self.engine,
            speaker=devices.playout,
            machine=machine,
            listener=Listener(LoudnessDetector(), machine),
            conductor=Conductor(is_preemptive=True, wants_transcripts=False),
            show=self.events.append,
            wants_interim=False,
            now_s=talk_clock.now_s,
        )
        self.talk = DeviceTalk(
            self.session,
            self.engine,
            devices,
            commands=self._commanded(),
            show=self.events.append,
            hear=self.heard.append,
            clock=talk_clock,
        )

    async def _commanded(self) -> AsyncIterator[Command]:
        while True:
            yield await self._commands.get()

    def _sound(self, time_s: float, num_samples: int, rate_hz: int) -> Samples:
        times = time_s + np.arange(num_samples) / rate_hz
        loud = np.zeros(num_samples, bool)
        for begin_s, end_s in self._voices:
            loud |= (times >= begin_s) & (times < end_s)
        noise = np.random.default_rng(round(time_s * 1000)).standard_normal(num_samples)
        return (np.where(loud, 0.1, self.room_level) * noise).astype(np.float32)

    async def let_pass(self, duration_s: float) -> None:
        """Let the talk go on for so long."""
        until_s = self.card.now_s + duration_s
        await self.until(lambda: self.card.now_s >= until_s, duration_s + 1)

    def speak(self, duration_s: float = 1.0) -> None:
        """Begin to say something."""
        self._voices.append((self.card.now_s, self.card.now_s + duration_s))

    def do(self, command: Command) -> None:
        self._commands.put_nowait(command)

    async def ask(self) -> None:
        """Say something and wait until the reply to it sounds."""
        self.speak()
        await self.until(lambda: self.state == "speaking")

    async def until(self, is_so: Callable[[], bool], most_s: float = 30.0) -> None:
        until_s = self.card.now_s + most_s
        while not is_so():  # Time goes on where the talk waits for it.
            assert self.card.now_s < until_s, self.notices
            await asyncio.sleep(0)

    @property
    def state(self) -> str:
        return self.session.state

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Noticed)]

    @property
    def replies(self) -> list[TurnEnded]:
        return [e for e in self.events if isinstance(e, TurnEnded) and e.role == "assistant"]

    def open_streams(self) -> list[Direction]:
        return [stream.direction for stream in self.card.streams if stream.is_open]

    def check_closed(self) -> None:
        assert self.open_streams() == []
        assert self.engine.is_closed

    @property
    def is_silent(self) -> bool:
        """Whether the speaker was given silence just now."""
        return not self.card.stream(Direction.OUTPUT).heard[-1].any()

    def num_told(self, text: str) -> int:
        """Return in how many notices `text` stands."""
        return sum(text in notice for notice in self.notices)

    def sleep(self, duration_s: float) -> None:
        """Let the machine sleep: time goes on, and no device calls back."""
        for stream in self.card.streams:
            stream.next_s += duration_s
        self.card.now_s += duration_s

    def seconds_heard(self) -> float:
        """Return for how long replies were heard so far, from all speakers."""
        outs = [s for s in self.card.streams if s.direction is Direction.OUTPUT]
        return sum(
            int(np.sum(np.abs(block) > 0.1)) / stream.rate_hz
            for stream in outs
            for block in stream.heard
        )

    def num_loud_samples(self) -> int:
        """Return how many samples of replies all speakers were given so far."""
        outs = [s for s in self.card.streams if s.direction is Direction.OUTPUT]
        return sum(int(np.sum(np.abs(b) > 0.1)) for stream in outs for b in stream.heard)


def run(scenario: Scenario, card: FakeSoundCard | None = None, cleaning: Cleaning = PLAIN) -> Stage:
    """Hold a talk, in which `scenario` happens once the devices are open; see that nothing of it is left."""
    stages: list[Stage] = []

    async def whole() -> None:
        stage = Stage(card, cleaning)
        stages.append(stage)

        async def happen() -> None:
            await stage.let_pass(2.0)
            await scenario(stage)
            stage.do(Quit())

        async with asyncio.TaskGroup() as group:
            happening = group.create_task(happen())
            await stage.talk.run()
            happening.cancel()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    try:
        asyncio.run(whole())
    finally:
        stages[0].check_closed()
    return stages[0]


def test_what_is_said_is_answered_at_the_speaker() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.until(lambda: bool(stage.replies))

    stage = run(scenario)
    assert stage.num_loud_samples() == pytest.approx(REPLY_S * 48_000, rel=0.01)
    states = [event.state for event in stage.events if isinstance(event, StateChanged)]
    assert states == ["listening", "hearing", "thinking", "speaking", "listening"][-len(states) :]


def test_mute_closes_the_microphone_and_what_is_said_is_not_heard() -> None:
    async def scenario(stage: Stage) -> None:
        stage.do(ToggleMute())
        await stage.until(lambda: stage.open_streams() == [Direction.OUTPUT])
        num_heard = len(stage.heard)
        stage.speak(2.0)
        await stage.let_pass(4.0)
        assert (stage.state, len(stage.heard), stage.engine.prepared) == ("muted", num_heard, [])
        stage.do(ToggleMute())
        await stage.until(lambda: stage.state == "listening")
        await stage.let_pass(1.0)
        await stage.ask()

    assert len(run(scenario).engine.prepared) == 1


def test_mute_in_the_middle_of_a_sentence_forgets_it() -> None:
    async def scenario(stage: Stage) -> None:
        stage.speak(3.0)
        await stage.until(lambda: stage.state == "hearing")
        stage.do(ToggleMute())
        await stage.let_pass(5.0)
        stage.do(ToggleMute())
        await stage.let_pass(3.0)
        assert stage.state == "listening"

    stage = run(scenario)
    assert [event for event in stage.events if isinstance(event, TurnEnded)] == []


def test_a_microphone_pulled_out_in_a_sentence_answers_what_was_said_and_comes_back() -> None:
    async def scenario(stage: Stage) -> None:
        stage.speak(5.0)
        await stage.let_pass(1.5)
        stage.card.unplug("USB Microphone")
        await stage.until(lambda: stage.state == "speaking")
        assert any("microphone 'USB Microphone' is gone" in text for text in stage.notices)
        await stage.until(lambda: bool(stage.replies))
        stage.card.plug(microphone(rate_hz=44_100))
        await stage.until(lambda: Direction.INPUT in stage.open_streams())
        await stage.let_pass(1.0)
        await stage.ask()

    stage = run(scenario)
    assert any("'USB Microphone' at 44100 Hz" in text for text in stage.notices)


def test_a_microphone_pulled_out_while_the_reply_sounds_leaves_it_whole() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        stage.card.unplug("USB Microphone")
        await stage.until(lambda: bool(stage.replies))

    stage = run(scenario)
    assert [reply.ended for reply in stage.replies] == ["end"]
    assert stage.num_loud_samples() == pytest.approx(REPLY_S * 48_000, rel=0.01)


def test_a_speaker_pulled_out_is_waited_for_and_then_its_reply_is_told_as_lost() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.let_pass(0.5)
        stage.card.unplug("USB Speaker")
        await stage.until(lambda: stage.state == "listening")
        assert any("speaker 'USB Speaker' is gone" in text for text in stage.notices)
        assert any("a reply was not played" in text for text in stage.notices)
        stage.card.plug(speaker())
        await stage.until(lambda: Direction.OUTPUT in stage.open_streams())
        before = stage.num_loud_samples()
        await stage.ask()
        await stage.until(lambda: len(stage.replies) == 2)
        assert stage.num_loud_samples() - before == pytest.approx(REPLY_S * 48_000, rel=0.01)

    run(scenario)


def test_a_speaker_that_is_back_soon_plays_the_rest() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.let_pass(0.5)
        stage.card.unplug("USB Speaker")
        await stage.until(lambda: any("is gone" in text for text in stage.notices))
        stage.card.plug(speaker())
        await stage.until(lambda: bool(stage.replies))

    stage = run(scenario)
    assert not any("was not played" in text for text in stage.notices)
    # What the dead device was given for a moment is lost.
    assert stage.num_loud_samples() == pytest.approx(REPLY_S * 48_000, rel=0.3)


@pytest.mark.parametrize("name", ["USB Microphone", "USB Speaker"])
def test_a_device_that_may_not_be_used_at_first_is_tried_again(name: str) -> None:
    card = FakeSoundCard()
    card.busy.add(name)

    async def scenario(stage: Stage) -> None:
        assert any("cannot be used" in text and name in text for text in stage.notices)
        card.busy.clear()
        await stage.until(lambda: len(stage.open_streams()) == 2)
        await stage.let_pass(1.0)
        await stage.ask()

    stage = run(scenario, card)
    assert sum("cannot be used" in text for text in stage.notices) == 1


def test_a_headset_of_8_khz_is_heard_and_heard_from() -> None:
    card = FakeSoundCard(microphone(rate_hz=8_000), speaker(rate_hz=8_000))

    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.until(lambda: bool(stage.replies))

    assert run(scenario, card).num_loud_samples() == pytest.approx(REPLY_S * 8_000, rel=0.02)


def test_a_machine_that_slept_for_hours_hears_again() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.until(lambda: bool(stage.replies))
        stage.sleep(7200.0)
        await stage.let_pass(8.0)
        await stage.ask()
        await stage.until(lambda: len(stage.replies) == 2)

    assert [reply.ended for reply in run(scenario).replies] == ["end", "end"]


def test_the_key_cuts_the_reply_where_it_was_heard() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.let_pass(1.0)
        stage.do(Interrupt())
        await stage.until(lambda: bool(stage.replies))

    stage = run(scenario)
    ((turn, heard_samples),) = stage.engine.cuts
    assert turn == 1
    assert heard_samples / 24_000 == pytest.approx(1.0, abs=0.15)
    assert stage.num_loud_samples() / 48_000 == pytest.approx(heard_samples / 24_000, abs=0.02)


def test_written_text_is_answered_aloud() -> None:
    async def scenario(stage: Stage) -> None:
        stage.do(EnterText("hello"))
        await stage.until(lambda: bool(stage.replies))

    assert run(scenario).num_loud_samples() > 0


def test_sound_that_comes_late_is_counted_for_its_turn() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.until(lambda: len(stage.replies) == 1)
        stage.engine.is_busy = True
        stage.speak()
        await stage.until(lambda: stage.state == "thinking")
        turn = stage.engine.prepared[-1]
        for _ in range(3):
            stage.engine.make(turn, 5)
            await stage.let_pass(2.0)
        stage.engine.answer(turn)
        await stage.until(lambda: len(stage.replies) == 2)

    timed = [event for event in run(scenario).events if isinstance(event, TurnTimed)]
    assert [one.num_underruns for one in timed] == [0, 3]


# How it ends


def test_drained_with_nothing_going_on_it_ends_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        stage.talk.drain()
        await stage.let_pass(60.0)
        raise AssertionError("it went on")

    assert run(scenario).replies == []


def test_drained_while_the_reply_sounds_it_ends_after_it() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        stage.talk.drain()
        await stage.until(lambda: stage.open_streams() == [Direction.OUTPUT])
        await stage.let_pass(60.0)
        raise AssertionError("it went on")

    stage = run(scenario)
    assert [reply.ended for reply in stage.replies] == ["end"]
    assert stage.num_loud_samples() == pytest.approx(REPLY_S * 48_000, rel=0.01)


def test_drained_while_somebody_speaks_or_muted_it_ends() -> None:
    for is_muted in (False, True):

        async def scenario(stage: Stage, *, is_muted: bool = is_muted) -> None:
            if is_muted:
                stage.do(ToggleMute())
                await stage.until(lambda: stage.state == "muted")
            else:
                stage.speak(30.0)
                await stage.until(lambda: stage.state == "hearing")
            stage.talk.drain()
            await stage.let_pass(60.0)
            raise AssertionError("it went on")

        assert run(scenario).replies == []


def test_an_engine_that_was_given_up_ends_it_with_its_reason() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        stage.engine.put(Lost(reason="it died five times", is_final=True))
        await stage.let_pass(60.0)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(scenario)
    assert caught.group_contains(EngineError, match="it died five times")
