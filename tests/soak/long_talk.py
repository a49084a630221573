"""`python -m tests.soak.long_talk --minutes 60`: a long talk with voiced-mini, in simulated time, and what it took.

A person asks questions of voiced-mini's world as espeak-ng speaks them, most of them after the reply, one in six over it, one in
eight in two breaths. Time stands still while the model computes. The daemon's side is this process, the engine another.
Prints the figures as JSON; a line for every minute of the talk goes to standard error.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import numpy as np
import psutil
import soundfile
import soxr

from audio.chunk import AudioChunk, Samples
from protocols.events import Event, Noticed, TurnEnded
from tests.speech import say
from training.world import World
from voiced.configuration import Configuration
from voiced.engine import messages as m
from voiced.engine.client import EngineClient
from voiced.engine.process import ModelChoice, ProcessLink, in_process
from voiced.engine.session import EngineSession, SessionEvent
from voiced.live.assembly import live_session
from voiced.live.on_files import HEARD_TICK, FileSpeaker, talk_on_files
from voiced.live.session import LiveSession
from voiced.timing import SystemClock
from voiced.voice_activity import RATE_HZ

INTERRUPTED = 6  # One reply in so many is spoken over,
TWO_BREATHS = 8  # and one question in so many goes on after a pause, in which a reply was prepared.
PAUSE_S = 0.3  # Between questions that nobody speaks: old turns leave in it.
NUM_COMPARED = 20  # Turns of the talk and of a new one.
LONGEST_WAIT_S = 120.0  # Of the talk, for a reply to begin or to end: the longest has 60 s.


class NoRecording:
    """Forgets what is played."""

    def write(self, samples: Samples) -> None: ...


class WatchedEngine:
    """An engine session, and what was noticed of it.

    Attributes:
        waits_s: from Prepare to the first sound of each turn that had any.
        num_positions: of the talk, as the engine told it each time.
        num_sheds: how often the oldest turns left, `num_shed_turns` of them together.
    """

    def __init__(self, engine: EngineSession, now_s: Callable[[], float]) -> None:
        self._engine, self._now_s = engine, now_s
        self._is_over = False
        self._asked_s: dict[int, float] = {}  # Of turns without sound yet.
        self.waits_s: dict[int, float] = {}
        self.num_positions: list[int] = []
        self.num_sheds = self.num_shed_turns = self.num_discarded = 0

    def prepare(self, turn: int, said: str | Samples) -> None:
        self._asked_s = {turn: self._now_s()}
        self._engine.prepare(turn, said)

    def discard(self, turn: int) -> None:
        self.waits_s.pop(turn, None)
        self.num_discarded += 1
        self._engine.discard(turn)

    def cut(self, turn: int, heard_samples: int) -> None:
        self._engine.cut(turn, heard_samples)

    def transcribe(self, turn: int, samples: Samples, *, is_final: bool = False) -> bool:
        return self._engine.transcribe(turn, samples, is_final=is_final)

    def wake(self) -> None:
        self._engine.wake()

    def close(self) -> None:
        """End the events, and leave the talk open, so that it can be compared with another; what is asked brings one more."""
        self._is_over = True
        self._engine.transcribe(0, np.zeros(RATE_HZ, np.float32), is_final=True)

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        async for event in self._engine:
            self._note(event)
            if self._is_over:
                return
            yield event

    async def answer(self, turn: int, said: Samples) -> None:
        """Have a reply made to its end, outside of the talk."""
        self.prepare(turn, said)
        ended = False
        while not ended:
            event = await self._engine.next_event()
            assert event is not None
            self._note(event)
            ended = isinstance(event, m.Ended)

    def _note(self, event: SessionEvent) -> None:
        match event:
            case m.Sound(turn=turn) if turn in self._asked_s:
                self.waits_s[turn] = self._now_s() - self._asked_s.pop(turn)
            case m.Ended(num_positions=num) | m.Opened(num_positions=num):
                self.num_positions.append(num)
            case m.WasCut(num_positions=num) if num:
                self.num_positions.append(num)
            case m.Trimmed(num_turns=num_turns, num_positions=num):
                self.num_positions.append(num)
                self.num_sheds += 1
                self.num_shed_turns += num_turns


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the right answer where there is one."""

    sound: Samples
    answer: str | None = None


@dataclass(slots=True)
class Heard:
    """What the person has heard.

    Attributes:
        replies: ends of replies, in order.
        rights: for each question that was answered undisturbed and has a right answer: whether it was given.
        notices: what went wrong.
    """

    replies: list[TurnEnded] = field(default_factory=list)
    rights: list[bool] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        if isinstance(event, TurnEnded) and event.role == "assistant":
            self.replies.append(event)
        elif isinstance(event, Noticed):
            self.notices.append(event.text)


def person(
    session: LiveSession,
    questions: Iterator[Question],
    heard: Heard,
    *,
    duration_s: float,
    rng: random.Random,
) -> Iterator[AudioChunk]:
    """Yield what the microphone hears of somebody who asks, listens, and sometimes does not wait for the end."""
    noise = np.random.default_rng(1)

    def sound(samples: Samples) -> Iterator[AudioChunk]:
        samples = samples + 1e-4 * noise.standard_normal(len(samples)).astype(np.float32)
        for start in range(0, len(samples), HEARD_TICK):
            yield AudioChunk(samples[start : start + HEARD_TICK], RATE_HZ, session.position)

    def silence(lasting_s: float) -> Iterator[AudioChunk]:
        return sound(np.zeros(round(lasting_s * RATE_HZ / HEARD_TICK) * HEARD_TICK, np.float32))

    def silence_until(is_it: Callable[[], bool]) -> Iterator[AudioChunk]:
        begun = session.position
        while not is_it():
            assert session.position - begun < LONGEST_WAIT_S * RATE_HZ, session.state
            yield from silence(0.02)

    def has_more_replies_than(number: int) -> Callable[[], bool]:
        return lambda: len(heard.replies) > number

    yield from silence(1.5)
    while session.position < duration_s * RATE_HZ:
        question = next(questions)
        num_replies = len(heard.replies)
        yield from sound(question.sound)
        if rng.randrange(TWO_BREATHS) == 0:
            yield from silence(0.4)
            question = Question(next(questions).sound)
            yield from sound(question.sound)
        if rng.randrange(INTERRUPTED) == 0:
            yield from silence_until(lambda: session.state == "speaking")
            yield from silence(0.6)
            continue
        yield from silence_until(has_more_replies_than(num_replies))
        yield from silence_until(lambda: session.is_idle)
        if question.answer is not None and heard.replies[-1].ended == "end":
            heard.rights.append(heard.replies[-1].text.strip() == question.answer)
        yield from silence(rng.uniform(0.4, 2.0))


def spoken_questions(folder: Path, rng: random.Random) -> Iterator[Question]:
    """Yield questions of voiced-mini's world, with follow-ups, as espeak-ng speaks them."""
    world = World.load()
    while True:
        for exchange in world.draw_dialogue(rng, rng.randint(1, 3), held_out=True):
            samples, rate_hz = soundfile.read(
                say(exchange.question, folder / "question.wav"), dtype="float32"
            )
            yield Question(soxr.resample(samples, rate_hz, RATE_HZ), exchange.answer)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident at a minute of the talk, in MB."""

    minute: float
    daemon_mb: float
    engine_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a talk took.

    Attributes:
        most_positions: that the talk ever had, `limit` what it may have.
        waits_s: median from Prepare to the first sound, over each tenth of the turns.
        aged_wait_s: the same over 20 more questions at the end, `fresh_wait_s` over the same questions in a talk that began
            then, on the same engine and by turns, so that other work on the machine delays both alike.
        right: part of the questions answered rightly; `right_first` in the first quarter, `right_last` in the last.
        daemon_slope_mb: resident memory gained in an hour of talk, from a line through the second half; `engine_slope_mb` too.
    """

    minutes: float
    elapsed_s: float
    num_turns: int
    num_interrupted: int
    num_discarded: int
    num_sheds: int
    num_shed_turns: int
    most_positions: int
    limit: int
    waits_s: list[float]
    aged_wait_s: float
    fresh_wait_s: float
    right: float
    right_first: float
    right_last: float
    daemon_slope_mb: float
    engine_slope_mb: float
    memory: list[Memory]
    ended: dict[str, int]
    notices: list[str]


def slope_mb(memory: list[Memory], which: str) -> float:
    """Return how much is gained in an hour, by a line through the second half."""
    late = memory[len(memory) // 2 :]
    line = linear_regression([one.minute for one in late], [getattr(one, which) for one in late])
    return line.slope * 60


async def talk(minutes: float, folder: Path, *, model: str = "voiced-mini") -> Figures:
    """Hold a talk of so many minutes."""
    links: list[ProcessLink] = []
    start = in_process(ModelChoice(model=model))

    async def launch() -> ProcessLink:
        link = await start()
        assert isinstance(link, ProcessLink)
        links.append(link)
        return link

    clock = SystemClock()
    heard, memory = Heard(), list[Memory]()
    async with EngineClient(launch) as client:
        limit = (await client.wait_ready()).max_positions
        engine = WatchedEngine(client.open(seed=1), clock.now_s)
        speaker = FileSpeaker(NoRecording())
        session = live_session(
            Configuration(), engine=engine, speaker=speaker, show=heard.take, now_s=speaker.now_s
        )

        def measured(chunks: Iterator[AudioChunk]) -> Iterator[AudioChunk]:
            for chunk in chunks:
                if session.position >= len(memory) * 60 * RATE_HZ:
                    memory.append(_memory(session.position / RATE_HZ / 60, links[-1].pid))
                    _report(memory[-1], heard, engine)
                yield chunk

        asking = person(
            session,
            spoken_questions(folder, random.Random(2)),
            heard,
            duration_s=minutes * 60,
            rng=random.Random(3),
        )
        begun_s = clock.now_s()
        await talk_on_files(session, engine, speaker, measured(asking), clock=None)
        most_positions = max(engine.num_positions)
        fresh = WatchedEngine(client.open(seed=1), clock.now_s)
        aged_wait_s, fresh_wait_s = await _compare(
            engine, fresh, spoken_questions(folder, random.Random(4))
        )
        assert client.num_restarts == 0
    waits_s = list(engine.waits_s.values())[:-NUM_COMPARED]
    quarter = len(heard.rights) // 4
    return Figures(
        minutes=session.position / RATE_HZ / 60,
        elapsed_s=clock.now_s() - begun_s,
        num_turns=len(heard.replies),
        num_interrupted=sum(reply.ended == "interrupted" for reply in heard.replies),
        num_discarded=engine.num_discarded,
        num_sheds=engine.num_sheds,
        num_shed_turns=engine.num_shed_turns,
        most_positions=most_positions,
        limit=limit,
        waits_s=[median(part) for part in np.array_split(waits_s, 10)],
        aged_wait_s=aged_wait_s,
        fresh_wait_s=fresh_wait_s,
        right=float(np.mean(heard.rights)),
        right_first=float(np.mean(heard.rights[:quarter])),
        right_last=float(np.mean(heard.rights[-quarter:])),
        daemon_slope_mb=slope_mb(memory, "daemon_mb"),
        engine_slope_mb=slope_mb(memory, "engine_mb"),
        memory=memory,
        ended={
            how: sum(reply.ended == how for reply in heard.replies)
            for how in sorted({str(reply.ended) for reply in heard.replies})
        },
        notices=heard.notices,
    )


async def _compare(
    aged: WatchedEngine, fresh: WatchedEngine, questions: Iterator[Question]
) -> tuple[float, float]:
    """Return the median wait for a reply in the talk that was held, and in a new one."""
    first = max(aged.waits_s) + 1000  # A number above all turns.
    for turn in range(first, first + NUM_COMPARED):
        question = next(questions)
        for engine in (aged, fresh):
            await engine.answer(turn, question.sound)
            await asyncio.sleep(PAUSE_S)
    aged_s, fresh_s = (list(one.waits_s.values())[-NUM_COMPARED:] for one in (aged, fresh))
    return median(aged_s), median(fresh_s)


def _memory(minute: float, engine: int) -> Memory:
    daemon_mb, engine_mb = (
        psutil.Process(pid).memory_info().rss / 1e6 for pid in (os.getpid(), engine)
    )
    return Memory(minute, daemon_mb, engine_mb)


def _report(memory: Memory, heard: Heard, engine: WatchedEngine) -> None:
    waits_s = list(engine.waits_s.values())[-NUM_COMPARED:]
    told: dict[str, Any] = asdict(memory) | {
        "turns": len(heard.replies),
        "sheds": engine.num_sheds,
        "wait_s": round(median(waits_s), 4) if waits_s else None,
        "right": round(float(np.mean(heard.rights[-NUM_COMPARED:])), 2) if heard.rights else None,
    }
    print(json.dumps(told), file=sys.stderr, flush=True)


def main() -> int:
    """Talk, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--model", default="voiced-mini")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(asyncio.run(talk(args.minutes, Path(folder), model=args.model)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
