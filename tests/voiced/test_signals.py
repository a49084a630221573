import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from voiced.signals import signal_policy


class Heard:
    """Notes what was called, and lets a test wait for it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._changed = asyncio.Event()

    def note(self, call: str) -> Callable[[], None]:
        def noted() -> None:
            self.calls.append(call)
            self._changed.set()

        return noted

    def exit(self, code: int) -> None:
        self.note(f"exit {code}")()

    async def until(self, calls: list[str]) -> None:
        while len(self.calls) < len(calls):
            self._changed.clear()
            await self._changed.wait()
        assert self.calls == calls


@contextmanager
def policy(heard: Heard) -> Iterator[None]:
    with signal_policy(
        on_stop=heard.note("stop"),
        on_reload=heard.note("reload"),
        before_exit=heard.note("give back"),
        exit_at_once=heard.exit,
    ):
        yield


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_and_the_second_exits_at_once(number: int) -> None:
    async def run() -> None:
        heard = Heard()
        with policy(heard):
            os.kill(os.getpid(), number)
            await heard.until(["stop"])
            os.kill(os.getpid(), number)
            await heard.until(["stop", "give back", f"exit {128 + number}"])

    asyncio.run(run())


def test_ctrl_c_while_it_stops_exits_at_once_too() -> None:
    async def run() -> None:
        heard = Heard()
        with policy(heard):
            os.kill(os.getpid(), signal.SIGTERM)
            await heard.until(["stop"])
            os.kill(os.getpid(), signal.SIGINT)
            await heard.until(["stop", "give back", "exit 130"])

    asyncio.run(run())


def test_it_exits_even_if_the_terminal_cannot_be_given_back() -> None:
    async def run() -> None:
        heard = Heard()

        def fail() -> None:
            raise OSError

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: heard.note("told")())
        with signal_policy(
            on_stop=heard.note("stop"),
            on_reload=heard.note("reload"),
            before_exit=fail,
            exit_at_once=heard.exit,
        ):
            os.kill(os.getpid(), signal.SIGTERM)
            await heard.until(["stop"])
            os.kill(os.getpid(), signal.SIGTERM)
            await heard.until(["stop", "exit 143", "told"])

    asyncio.run(run())


def test_sighup_reads_the_configuration_again_each_time() -> None:
    async def run() -> None:
        heard = Heard()
        with policy(heard):
            os.kill(os.getpid(), signal.SIGHUP)
            await heard.until(["reload"])
            os.kill(os.getpid(), signal.SIGHUP)
            await heard.until(["reload", "reload"])

    asyncio.run(run())


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    def before(*_: object) -> None:
        pass

    async def run() -> None:
        kept = signal.signal(signal.SIGHUP, before)
        try:
            with policy(Heard()):
                pass
            assert signal.getsignal(signal.SIGHUP) is before
        finally:
            signal.signal(signal.SIGHUP, kept)

    asyncio.run(run())
