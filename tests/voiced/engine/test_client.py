"""The engine as the daemon uses it, here in a thread: events, interruptions, and an engine that is lost."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from audio.errors import AudioError
from models.errors import CheckpointError, RangeError
from tests.fakes import ScriptStep, frame
from tests.voiced.engine.clock import SteppedClock, settle
from tests.voiced.engine.fakes import EngineFake, FakeEngineModel, echo, spoken, texts
from voiced.engine import messages as m
from voiced.engine.client import MOST_SESSIONS, EngineClient
from voiced.engine.core import EngineOptions
from voiced.engine.link import Launch, Link
from voiced.engine.runner import Loaded
from voiced.engine.session import MOST_ANSWERS, EngineSession, Lost, SessionEvent
from voiced.engine.thread import ThreadLink
from voiced.errors import EngineBusyError, EngineError
from voiced.speech_model import FRAME_SAMPLES

Body = Callable[[EngineClient, "Threads"], Awaitable[None]]


class Threads:
    """Starts engines in threads and knows them."""

    def __init__(self, model: FakeEngineModel | None = None) -> None:
        self.model = model or FakeEngineModel(endless)
        self.links: list[ThreadLink] = []

    def launch(self) -> Launch:
        async def start() -> Link:
            self.links.append(ThreadLink(self._load))
            return self.links[-1]

        return start

    def _load(self) -> Loaded:
        return Loaded(self.model, m.Ready(name="fake", load_s=0.0), EngineOptions())


def endless(fake: EngineFake) -> list[ScriptStep]:
    """Speak for ever when asked for it."""
    return [*echo(fake), *([frame()] * 5000 if fake.said[-1] == "endless" else [])]


def with_client(body: Body, threads: Threads | None = None) -> None:
    """Run `body`, and see that no task is left."""
    used = threads or Threads()

    async def run() -> None:
        async with EngineClient(used.launch(), clock=SteppedClock()) as client:
            await client.wait_ready()
            await body(client, used)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


async def until(session: EngineSession, kind: type) -> list[SessionEvent | None]:
    """Return the events up to the first of a kind."""
    events: list[SessionEvent | None] = []
    while not events or not isinstance(events[-1], kind):
        events.append(await session.next_event())
    return events


def test_a_session_is_opened_asked_and_closed() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        session.prepare(1, "hello there")
        events = await until(session, m.Ended)
        assert isinstance(events[0], m.Opened)
        assert texts(events) == "hello there"
        session.close()
        assert [event async for event in session] == [m.Closed(1)]
        assert await session.next_event() is None
        assert await client.ping() >= 0

    with_client(body)


def test_sessions_are_told_apart() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        sessions = [client.open() for _ in range(5)]
        for session in sessions:
            session.prepare(1, f"canary{session.number}")
        for session in sessions:
            assert texts(await until(session, m.Ended)) == f"canary{session.number}"

    with_client(body)


def test_after_a_cut_nothing_of_the_turn_comes_but_the_answer() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        session.prepare(1, "endless")
        await until(session, m.Sound)
        while session.num_waiting < m.WINDOW_EVENTS // 2:
            await settle()
        session.cut(1, 2 * FRAME_SAMPLES)
        cut = await session.next_event()
        assert isinstance(cut, m.WasCut)
        assert (cut.num_frames, cut.kept) == (2, "endless")
        session.prepare(2, "next")
        assert texts(await until(session, m.Ended)) == "endless next"

    with_client(body)


def test_a_discarded_number_may_come_again_and_its_first_reply_is_never_seen() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        for text in ("first", "second", "third"):
            session.prepare(1, text)
            if text != "third":
                session.discard(1)
        events = await until(session, m.Ended)
        assert texts(events) == "third"
        assert sum(isinstance(event, m.Discarded) for event in events) == 2
        assert [turn.said for turn in session.history()] == ["third"]

    with_client(body)


def test_a_session_that_reads_nothing_stops_its_reply_and_no_other() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        slow, quick = client.open(), client.open()
        slow.prepare(1, "endless")
        quick.prepare(1, "hello")
        assert texts(await until(quick, m.Ended)) == "hello"
        while slow.num_waiting < m.WINDOW_EVENTS + 1:  # And Opened.
            await settle()
        await client.ping()
        assert slow.num_waiting == m.WINDOW_EVENTS + 1
        num_read = 0
        while num_read < 300:  # It goes on as soon as it reads.
            assert await slow.next_event() is not None
            num_read += 1

    with_client(body)


def test_a_session_that_asks_and_never_reads_is_told_to() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        for turn in range(MOST_ANSWERS + m.WINDOW_EVENTS):
            session.discard(turn)
        with pytest.raises(EngineBusyError, match="were not read"):
            session.discard(0)

    with_client(body)


def test_of_interim_transcripts_the_newest_alone_waits() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        for value in (0.1, 0.2, 0.3):
            session.transcribe(1, spoken(value))
            await client.ping()
            while session.num_waiting < 2:
                await settle()
        session.transcribe(1, spoken(0.4), is_final=True)
        events: list[SessionEvent | None] = []
        while not events or not getattr(events[-1], "is_final", False):
            events.append(await session.next_event())
        assert [event.text for event in events if isinstance(event, m.Transcript)][-1] == "s400"
        assert len(events) <= 3

    with_client(body)


@pytest.mark.parametrize("said", ["hello", "endless"])
@pytest.mark.parametrize("num_events", [0, 1, 2, 4, 9])
def test_an_engine_lost_at_any_moment_is_replaced_by_one_that_knows_the_talk(
    said: str, num_events: int
) -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        session.prepare(1, "canary")
        await until(session, m.Ended)
        session.prepare(2, said)
        for _ in range(num_events if said == "endless" else 0):
            await session.next_event()
        threads.links[-1].kill()
        await until(session, Lost)
        session.cut(2, 0)
        await until(session, m.WasCut)
        session.prepare(3, "after")
        assert texts(await until(session, m.Ended)) == f"canary {said} after"
        assert client.num_restarts == 1
        assert len(session.history()) == 3

    with_client(body)


@pytest.mark.parametrize("is_back", [False, True])
def test_a_lost_turn_can_be_asked_again_under_its_number(is_back: bool) -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        session.prepare(1, "canary")
        await until(session, m.Ended)
        session.prepare(2, "endless")
        await until(session, m.Sound)
        threads.links[-1].kill()
        await until(session, m.Opened if is_back else Lost)
        session.prepare(2, "again")
        events = await until(session, m.Ended)
        assert texts(events, 2) == "canary again"
        assert not any(isinstance(event, m.Discarded | m.Failed) for event in events)
        assert [turn.turn for turn in session.history()] == [1, 2]

    with_client(body)


def test_what_the_lost_engine_owed_is_answered() -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        session.prepare(1, "canary")
        await until(session, m.Ended)
        threads.links[-1].kill()
        session.cut(1, FRAME_SAMPLES)
        session.transcribe(1, spoken(0.2), is_final=True)
        events = await until(session, Lost)
        events += await until(session, m.WasCut)
        assert isinstance(events[-1], m.WasCut)
        assert events[-1].is_whole
        transcript = (await until(session, m.Transcript))[-1]
        assert isinstance(transcript, m.Transcript)
        assert transcript.text == "s200"
        session.close()
        await until(session, m.Closed)

    with_client(body)


def test_a_session_opened_with_the_history_of_another_goes_on_with_its_talk() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        first = client.open()
        first.prepare(1, spoken(0.5))
        await until(first, m.Ended)
        second = client.open(history=first.history())
        second.prepare(2, "word")
        assert texts(await until(second, m.Ended)) == "s500 word"

    with_client(body)


def test_a_model_that_cannot_be_loaded_is_told_at_once() -> None:
    def fail() -> Loaded:
        raise CheckpointError("model.safetensors is damaged; fetch it again")

    async def run() -> None:
        async def launch() -> Link:
            return ThreadLink(fail)

        async with EngineClient(launch, clock=SteppedClock()) as client:
            session = client.open()
            with pytest.raises(EngineError, match="is damaged"):
                await client.wait_ready()
            events = await until(session, Lost)
            assert isinstance(events[-1], Lost)
            assert events[-1].is_final
            with pytest.raises(EngineError, match="is damaged"):
                client.open()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (np.zeros(100, np.float32), RangeError),
        (np.zeros(70 * 16_000, np.float32), RangeError),
        (np.zeros((2, 800), np.float32), AudioError),
        (np.zeros(800), AudioError),
        (np.full(800, np.nan, np.float32), AudioError),
        ("x" * 20_000, RangeError),
        ("half \ud800", RangeError),
    ],
    ids=range(7),
)
def test_what_cannot_be_sent_is_refused_and_changes_nothing(
    said: "str | np.ndarray",
    error: type[Exception],
) -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        with pytest.raises(error):
            session.prepare(1, said)
        assert session.history() == ()
        session.prepare(1, "hello")
        assert texts(await until(session, m.Ended)) == "hello"

    with_client(body)


def test_sessions_are_bounded() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        for _session in range(MOST_SESSIONS):
            client.open()
        with pytest.raises(EngineBusyError, match="close one first"):
            client.open()

    with_client(body)


def test_an_error_within_the_context_is_raised_as_it_is() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        with_client(body)


def test_a_rested_engine_is_told_the_conversation_when_it_is_asked_again() -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        session.prepare(1, "canary")
        await until(session, m.Ended)
        assert client.rest()
        await settle()
        assert client.state.value == "resting"
        assert len(threads.links) == 1
        session.prepare(2, "what was it")
        events = await until(session, m.Ended)
        assert not any(isinstance(event, Lost) for event in events)
        assert len(threads.links) == 2
        assert texts(events) == "canary what was it"  # The fake repeats all that was said.

    with_client(body)


def test_an_engine_that_owes_something_does_not_rest() -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        session.prepare(1, "hello")
        assert not client.rest()
        await until(session, m.Ended)
        session.transcribe(1, spoken(0.1), is_final=True)
        assert not client.rest()
        await until(session, m.Transcript)
        assert client.rest()
        session.transcribe(2, spoken(0.2), is_final=True)  # Wakes it.
        await until(session, m.Transcript)
        assert len(threads.links) == 2

    with_client(body)


def test_a_session_wakes_the_engine_before_it_asks_anything() -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        await until(session, m.Opened)
        assert client.rest()
        session.wake()
        await client.wait_ready()
        assert len(threads.links) == 2

    with_client(body)


def test_a_text_is_read_aloud_also_while_the_engine_is_being_started() -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        session.speak(1, "one two three.", voice="us_male")
        ended = (await until(session, m.Ended))[-1]
        assert isinstance(ended, m.Ended)
        assert ended.num_samples == 3 * FRAME_SAMPLES
        assert client.rest()
        session.speak(2, "one two.", voice="us_male")
        ended = (await until(session, m.Ended))[-1]
        assert isinstance(ended, m.Ended)
        assert ended.num_samples == 2 * FRAME_SAMPLES
        assert session.history() == ()

    with_client(body)


def test_a_reading_that_a_dying_engine_leaves_is_told_as_lost() -> None:
    async def body(client: EngineClient, threads: Threads) -> None:
        session = client.open()
        await until(session, m.Opened)
        session.speak(1, "one two three.", voice="us_male")
        threads.links[-1].kill()
        events = await until(session, Lost)
        lost = events[-1]
        assert isinstance(lost, Lost)
        assert lost.turn == 1
        session.speak(1, "one.", voice="us_male")
        await until(session, m.Ended)

    with_client(body)


def test_one_thing_is_spoken_at_a_time() -> None:
    async def body(client: EngineClient, _: Threads) -> None:
        session = client.open()
        session.prepare(1, "endless")
        session.speak(2, "one.", voice="us_male")
        failed = (await until(session, m.Failed))[-1]
        assert isinstance(failed, m.Failed)
        assert (failed.request, failed.code) == ("speak", "turn_open")
        session.discard(1)
        await until(session, m.Discarded)

    with_client(body)
