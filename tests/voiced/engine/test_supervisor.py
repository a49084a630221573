"""When an engine is started again, and when it is given up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.voiced.engine.clock import SteppedClock, settle
from voiced.engine import messages as m
from voiced.engine.link import Link
from voiced.engine.supervisor import FULL_BYTES, OVERFULL_BYTES, EngineState, Patience, Supervisor
from voiced.errors import EngineError, ProtocolError

READY = m.Ready(name="fake", load_s=1.0)


class FakeLink:
    """An engine that says what the test lets it say."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[m.FromEngine | BaseException | None] = asyncio.Queue()
        self.sent: list[m.ToEngine] = []
        self.num_unsent = 0
        self.is_killed = False
        self.is_closed = False
        self.how_ended = "it ended"

    def send(self, message: m.ToEngine) -> None:
        self.sent.append(message)

    async def receive(self) -> m.FromEngine | None:
        item = await self.said.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def kill(self) -> None:
        self.is_killed = True
        self.said.put_nowait(None)

    async def close(self) -> None:
        self.is_closed = True


class Stage:
    """A supervisor with a clock, fake engines, and all that it told."""

    def __init__(self, patience: Patience | None = None, *, num_refused: int = 0) -> None:
        self.clock = SteppedClock()
        self.links: list[FakeLink] = []
        self.told: list[str] = []
        self.num_refused = num_refused
        self.supervisor = Supervisor(self._launch, self, clock=self.clock, patience=patience)

    async def _launch(self) -> Link:
        if self.num_refused:
            self.num_refused -= 1
            raise EngineError("no memory")
        self.links.append(FakeLink())
        return self.links[-1]

    @property
    def state(self) -> str:
        return self.supervisor.state.value

    def engine_ready(self) -> None:
        self.told.append("ready")

    def engine_said(self, message: m.FromEngine) -> None:
        self.told.append(type(message).__name__)

    def engine_lost(self, reason: str, *, is_final: bool) -> None:
        self.told.append(f"lost: {reason}" + (" (final)" if is_final else ""))

    def engine_rests(self) -> None:
        self.told.append("rests")

    async def say(self, message: m.FromEngine | BaseException | None) -> None:
        self.links[-1].said.put_nowait(message)
        await settle()


def run(body: Callable[[Stage], Coroutine[Any, Any, None]], stage: Stage | None = None) -> Stage:
    used = stage or Stage()

    async def whole() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(used.supervisor.run())
            await settle()
            await body(used)
            task.cancel()

    asyncio.run(whole())
    assert all(link.is_closed for link in used.links)
    return used


def test_an_engine_is_ready_when_it_says_so_and_its_death_is_told_at_once() -> None:
    async def body(stage: Stage) -> None:
        assert stage.state == "starting"
        await stage.say(READY)
        assert stage.state == "ready"
        assert stage.supervisor.is_live
        await stage.say(None)
        assert stage.told == ["ready", "lost: the engine ended"]
        assert stage.state == "starting"  # The first time at once.
        assert len(stage.links) == 2

    assert run(body).supervisor.state is EngineState.CLOSED


def test_starts_in_a_row_wait_longer_and_longer_until_it_is_given_up() -> None:
    async def body(stage: Stage) -> None:
        for wait_s in (0.0, 0.5, 1.0, 2.0):
            num_links = len(stage.links)
            await stage.say(None)
            if wait_s:
                await stage.clock.advance(wait_s - 0.1)
                assert len(stage.links) == num_links
                await stage.clock.advance(0.2)
            assert len(stage.links) == num_links + 1
        await stage.say(None)
        assert stage.state == "failed"
        assert stage.told[-1].endswith("see 'voiced doctor' (final)")

    run(body)
    patience = Patience()
    assert [patience.wait_s(n) for n in range(1, 6)] == [0, 0.5, 1, 2, 4]
    assert patience.wait_s(1000) == patience.most_wait_s


def test_an_engine_that_was_ready_for_long_does_not_count_in_the_row() -> None:
    async def body(stage: Stage) -> None:
        for _ in range(20):
            await stage.say(READY)
            for _ in range(250):
                await stage.clock.advance(0.25)
                await stage.say(m.Alive())
            await stage.say(None)
        assert stage.state == "starting"

    run(body)


def test_an_engine_that_cannot_be_started_is_tried_again() -> None:
    async def body(stage: Stage) -> None:
        await stage.clock.advance(5)
        assert len(stage.links) == 1
        await stage.say(READY)
        assert stage.told == ["lost: no memory"] * 3 + ["ready"]

    run(body, Stage(num_refused=3))


def test_an_unfit_engine_is_given_up_with_its_own_words() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(m.Unfit("no such model"))
        await stage.say(None)
        assert stage.supervisor.failure == "no such model"
        assert stage.told[-1] == "lost: no such model (final)"

    run(body)


def test_a_silent_engine_is_killed_within_three_seconds() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        await stage.clock.advance(2)
        await stage.say(m.Alive())
        await stage.clock.advance(2.25)
        assert not stage.links[0].is_killed
        await stage.clock.advance(0.75)
        assert stage.links[0].is_killed
        assert "no sign of life for 2.8 s" in stage.told[-1]

    run(body)


def test_an_engine_that_announced_a_long_step_is_waited_for() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        await stage.say(m.Alive(patience_s=10))
        await stage.clock.advance(9.5)
        assert not stage.links[0].is_killed
        await stage.say(m.Alive())
        await stage.clock.advance(3)
        assert stage.links[0].is_killed

    run(body)


def test_loading_may_take_long_but_not_for_ever() -> None:
    async def body(stage: Stage) -> None:
        await stage.clock.advance(19)
        assert not stage.links[0].is_killed
        await stage.clock.advance(2)
        assert stage.links[0].is_killed

    run(body, Stage(Patience(load_s=20)))


def test_time_in_which_nobody_watched_does_not_count_as_silence() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        await settle()
        stage.clock._now_s += 60  # The machine was suspended, or the loop was busy.
        await stage.clock.advance(0.5)
        assert not stage.links[0].is_killed

    run(body)


def test_what_is_no_message_ends_the_engine() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        await stage.say(ProtocolError("message of 9 bytes cannot be read"))
        assert stage.links[0].is_killed
        assert stage.told[-1].startswith("lost: the engine sent what cannot be read")

    run(body)


@pytest.mark.parametrize("num_unsent", [0, FULL_BYTES, OVERFULL_BYTES + 1])
def test_what_waits_to_be_sent_is_bounded(num_unsent: int) -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        link = stage.links[0]
        link.num_unsent = num_unsent
        stage.supervisor.send(m.Ping(1), can_be_dropped=True)
        assert (m.Ping(1) in link.sent) == (num_unsent == 0)
        stage.supervisor.send(m.Ping(2))
        assert m.Ping(2) in link.sent
        assert link.is_killed == (num_unsent > OVERFULL_BYTES)

    run(body)


def test_an_engine_that_rests_is_ended_and_comes_back_when_it_is_woken() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        stage.supervisor.rest()
        await stage.say(m.Alive(patience_s=1.0))  # On its way when it was ended.
        assert stage.told == ["ready", "rests"]
        assert stage.links[0].is_killed
        assert stage.links[0].is_closed
        await stage.clock.advance(100.0)
        assert (stage.state, len(stage.links)) == ("resting", 1)
        assert not stage.supervisor.is_live
        stage.supervisor.wake()
        await settle()
        assert (stage.state, len(stage.links)) == ("starting", 2)
        await stage.say(READY)
        assert stage.told == ["ready", "rests", "ready"]
        assert stage.supervisor.num_restarts == 0

    run(body)


def test_woken_while_it_is_being_ended_another_one_is_started() -> None:
    async def body(stage: Stage) -> None:
        await stage.say(READY)
        stage.supervisor.rest()
        stage.supervisor.wake()
        await settle()
        assert (stage.state, len(stage.links)) == ("starting", 2)

    run(body)


def test_only_an_engine_that_is_ready_rests() -> None:
    async def body(stage: Stage) -> None:
        stage.supervisor.rest()
        assert (stage.state, stage.told) == ("starting", [])
        assert not stage.links[0].is_killed

    run(body)
