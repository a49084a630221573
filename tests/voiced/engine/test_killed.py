"""A real engine, with real arithmetic, killed at each stage of a turn: told, replaced, and nothing left of it."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from audio.chunk import Samples
from tests.models.golden import CHECKPOINT, model, tensors
from tests.voiced.engine.clock import SteppedClock
from tests.voiced.engine.dying_process import NUM_SOUNDS, Stage
from voiced.engine import messages as m
from voiced.engine.client import EngineClient
from voiced.engine.core import Engine
from voiced.engine.link import Link
from voiced.engine.process import ModelChoice, ProcessLink, in_process
from voiced.engine.session import EngineSession, Lost, SessionEvent
from voiced.engine.supervisor import Patience
from voiced.speech_model import FRAME_SAMPLES, HEARING_RATE_HZ

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")

QUESTION = tensors()["wave.question"].numpy()


def question(turn: int) -> Samples:
    """Return what is asked: each time other sound, so that no two turns can be taken for each other."""
    return QUESTION * np.float32(1 - turn / 100)


OPENING = m.Open(
    1,
    seed=3,
    sampling=m.SamplingOptions(text_temperature=0.0, audio_temperature=1.0, audio_top_k=4),
    max_reply_s=1.2,
)
CHOICE = ModelChoice(model=str(CHECKPOINT), device="cpu", dtype="float32")


@dataclass(frozen=True, slots=True)
class Left:
    """What this process holds."""

    num_files: int
    num_children: int
    num_threads: int


def held() -> Left:
    return Left(
        sum(1 for _ in Path("/proc/self/fd").iterdir()),
        len(psutil.Process().children(recursive=True)),
        threading.active_count(),
    )


class Engines:
    """Starts an engine for each stage, which dies there; after them engines that live."""

    def __init__(self, *stages: Stage) -> None:
        self._stages = iter(stages)
        self.links: list[ProcessLink] = []

    async def __call__(self) -> Link:
        stage = next(self._stages, "never")
        start = in_process(
            CHOICE, module="tests.voiced.engine.dying_process", arguments=("--die-in", stage)
        )
        link = await start()
        assert isinstance(link, ProcessLink)
        self.links.append(link)
        return link


class Talk:
    """One talk, with one engine after the other.

    Attributes:
        turn: the newest.
        held: what this process held when each engine was idle.
    """

    def __init__(self, client: EngineClient, session: EngineSession, engines: Engines) -> None:
        self.client, self.session, self.engines = client, session, engines
        self.turn = 0
        self.held: list[Left] = []

    async def until(self, kind: type) -> list[SessionEvent]:
        """Return the events up to the first of a kind."""
        events: list[SessionEvent] = []
        while not events or not isinstance(events[-1], kind):
            event = await self.session.next_event()
            assert event is not None
            events.append(event)
        return events

    def ask(self) -> None:
        self.turn += 1
        self.session.prepare(self.turn, question(self.turn))

    async def ask_and_hear(self) -> list[m.Step]:
        """Return the steps of a whole reply."""
        self.ask()
        events = await self.until(m.Ended)
        made = [event for event in events if isinstance(event, m.Text | m.Sound | m.Ended)]
        assert {event.turn for event in made} == {self.turn}
        return [step for event in made for step in event.steps]

    async def lost(self, turn: int | None) -> list[SessionEvent]:
        """Return what came until the session was told that the engine is gone, and this turn with it."""
        events = await self.until(Lost)
        lost = events[-1]
        assert isinstance(lost, Lost)
        assert (lost.turn, lost.is_final) == (turn, False)
        return events

    async def next_engine(self) -> None:
        """Wait for an engine that knows of every turn."""
        opened = (await self.until(m.Opened))[-1]
        assert isinstance(opened, m.Opened)
        assert (opened.num_turns, opened.num_left_out) == (self.turn, 0)
        await self.client.ping()
        self.held.append(held())


@asynccontextmanager
async def talk_with(*stages: Stage) -> AsyncIterator[Talk]:
    """Talk with engines that die in these stages; at the end nothing must be left of them."""
    engines = Engines(*stages)
    before = held()
    # Where the waits between starts do not matter, no time passes.
    patience = Patience(stable_s=0.0)
    async with EngineClient(engines, clock=SteppedClock(), patience=patience) as client:
        session = client.open(
            seed=OPENING.seed, sampling=OPENING.sampling, max_reply_s=OPENING.max_reply_s
        )
        talk = Talk(client, session, engines)
        yield talk
        assert client.num_restarts == len(engines.links) - 1
        session.close()
        await talk.until(m.Closed)
        assert not client._sessions
        assert not client._pings
    assert len(set(talk.held)) == 1  # One engine more or less makes no difference.
    assert talk.held[0].num_children == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert held() == before


def test_killed_at_any_stage_of_a_reply_the_next_engine_goes_on_with_all_that_was_heard() -> None:
    stages: list[Stage] = ["prefill", "text", "sound", "flushing"]
    told: dict[Stage, list[SessionEvent]] = {}

    async def run() -> None:
        async with talk_with(*stages) as talk:
            for stage in stages:
                await talk.next_engine()
                await talk.ask_and_hear()
                talk.ask()
                told[stage] = await talk.lost(talk.turn)
                if stage == "sound":
                    talk.session.cut(talk.turn, FRAME_SAMPLES)
            await talk.next_engine()
            past = talk.session.history()
            assert [turn.turn for turn in past] == list(range(1, 2 * len(stages) + 1))
            # An engine that was never killed, and is told the same, answers the same.
            assert await talk.ask_and_hear() == reply_after(past, talk.turn)

    asyncio.run(run())
    kinds = {stage: [type(event) for event in events] for stage, events in told.items()}
    assert kinds["prefill"] == [Lost]
    assert m.Sound not in kinds["text"]
    assert kinds["sound"].count(m.Sound) == NUM_SOUNDS
    assert m.Ended not in kinds["flushing"]
    num_samples = sum(
        len(event.samples) for event in told["flushing"] if isinstance(event, m.Sound)
    )
    # The decoder holds half a frame back until the last: all of it came.
    assert num_samples > 0
    assert num_samples % FRAME_SAMPLES == 0


def test_killed_between_replies_the_next_engine_does_what_was_owed() -> None:
    async def run() -> None:
        async with talk_with("loading", "transcription", "history") as talk:
            await (
                talk.next_engine()
            )  # The second one: of the first, no session had anything to lose.
            assert len(talk.engines.links) == 2
            await talk.ask_and_hear()
            talk.session.transcribe(talk.turn, question(1), is_final=True)
            await talk.lost(None)
            await talk.lost(None)  # The next one dies of the history.
            await talk.next_engine()
            [transcript] = [
                event for event in await talk.until(m.Transcript) if isinstance(event, m.Transcript)
            ]
            assert (transcript.turn, transcript.is_final) == (1, True)
            # Everything was made, and nothing of it has been read.
            talk.ask()
            while talk.session._working is not None:
                await talk.client.ping()
            os.kill(talk.engines.links[-1].pid, signal.SIGKILL)
            while talk.client.ready is not None:
                await talk.client.wait_change()
            events = await talk.lost(None)
            assert isinstance(events[-2], m.Ended)
            await talk.next_engine()
            assert await talk.ask_and_hear()
            # It stands still, and dies with a long question unread.
            os.kill(talk.engines.links[-1].pid, signal.SIGSTOP)
            talk.turn += 1
            talk.session.prepare(talk.turn, np.zeros(60 * HEARING_RATE_HZ, np.float32))
            os.kill(talk.engines.links[-1].pid, signal.SIGKILL)
            await talk.lost(talk.turn)
            talk.session.discard(talk.turn)
            talk.turn -= 1
            await talk.next_engine()
            assert await talk.ask_and_hear()

    asyncio.run(run())


def reply_after(past: tuple[m.PastTurn, ...], turn: int) -> list[m.Step]:
    """Return the steps of the reply to `turn` of an engine in this thread that is told the history."""
    said: list[m.FromEngine] = []
    engine = Engine(model(), said.append, now_s=lambda: 0.0)
    engine.take(msgspec.structs.replace(OPENING, history=past))
    while engine.step():
        pass
    engine.take(m.Prepare(1, turn, pcm=m.pack_samples(question(turn))))
    while engine.step():
        pass
    made = [event for event in said if isinstance(event, m.Text | m.Sound | m.Ended)]
    return [step for event in made for step in event.steps]
