"""The engine as a process: killed, stopped, unfit, and gone when it should be."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.voiced.engine.clock import SteppedClock
from tests.voiced.engine.fakes import texts
from voiced.engine import messages as m
from voiced.engine.client import EngineClient
from voiced.engine.link import Launch, Link
from voiced.engine.process import ProcessLink, in_process
from voiced.engine.session import EngineSession, Lost
from voiced.engine.supervisor import EngineState
from voiced.errors import EngineError

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")


def recorded(links: list[ProcessLink], *arguments: str) -> Launch:
    """Return what starts fake engines and puts each into `links`."""
    launch = in_process(module="tests.voiced.engine.fake_process", arguments=arguments)

    async def start() -> Link:
        link = await launch()
        assert isinstance(link, ProcessLink)
        links.append(link)
        return link

    return start


async def until(session: EngineSession, kind: type) -> list[object]:
    """Return the events up to the first of a kind."""
    events: list[object] = []
    while not events or not isinstance(events[-1], kind):
        events.append(await session.next_event())
    return events


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def kill_while_it_speaks(links: list[ProcessLink]) -> None:
    clock = SteppedClock()
    async with EngineClient(recorded(links), clock=clock) as client:
        await client.wait_ready()
        session = client.open()
        await until(session, m.Opened)
        session.prepare(1, "canary")
        await until(session, m.Ended)
        session.prepare(2, "endless")
        await until(session, m.Sound)
        await client.ping()
        os.kill(links[-1].pid, signal.SIGKILL)
        lost = (await until(session, Lost))[-1]
        assert isinstance(lost, Lost)
        assert (lost.turn, lost.is_final) == (2, False)
        session.cut(2, 1920)
        cut = (await until(session, m.WasCut))[-1]
        assert isinstance(cut, m.WasCut)
        assert (cut.num_frames, cut.kept) == (1, "canary")
        session.prepare(3, "after")  # While there is no engine.
        await clock.advance(1.0)
        events = await until(session, m.Ended)
        [opened] = [event for event in events if isinstance(event, m.Opened)]
        assert opened.num_turns == 2
        assert texts(events) == "canary endless after"
        assert client.num_restarts == 1
        # Stopped, it gives no sign of life: killed, told, started again.
        os.kill(links[-1].pid, signal.SIGSTOP)
        stopped_s = clock.now_s()
        while client._supervisor._hung is None:
            await clock.advance(0.25)
        assert clock.now_s() - stopped_s <= 3
        lost = (await until(session, Lost))[-1]
        assert isinstance(lost, Lost)
        assert "no sign of life" in lost.reason
        session.close()
        assert isinstance((await until(session, m.Closed))[-1], m.Closed)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_an_engine_that_is_killed_or_hangs_is_replaced_and_the_next_one_knows_the_talk() -> None:
    before = open_files()
    links: list[ProcessLink] = []
    asyncio.run(kill_while_it_speaks(links))
    assert len(links) >= 2
    assert not any(is_running(link.pid) for link in links)
    assert open_files() == before


def test_an_engine_that_cannot_load_its_model_is_not_started_again() -> None:
    links: list[ProcessLink] = []

    async def run() -> None:
        async with EngineClient(recorded(links, "--unfit")) as client:
            with pytest.raises(EngineError, match=r"config\.json: no such file"):
                await client.wait_ready()

    asyncio.run(run())
    assert len(links) == 1
    assert not is_running(links[0].pid)


def test_a_module_that_ends_at_once_is_given_up_after_some_starts() -> None:
    clock = SteppedClock()

    async def run() -> None:
        async with EngineClient(in_process(module="this"), clock=clock) as client:
            session = client.open()
            while client.state is not EngineState.FAILED:
                await clock.advance(30)
                changed = asyncio.ensure_future(client.wait_change())
                if client.state is EngineState.STARTING:
                    await changed
                changed.cancel()
            with pytest.raises(EngineError, match="ended 5 times in a row"):
                await client.wait_ready()
            lost = await session.next_event()
            assert isinstance(lost, Lost)
            assert lost.is_final
            session.prepare(1, "hello")
            failed = await session.next_event()
            assert isinstance(failed, m.Failed)
            assert failed.code == "not_ready"

    asyncio.run(run())
