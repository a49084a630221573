import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiced.sd_notify import Notifier, keep_alive


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


def test_the_manager_is_told_what_goes_on(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.ready()
    notifier.reloading(1.5)
    notifier.status("3 turns,\nengine\nREADY=1")
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(1000) for _ in range(5)] == [
        b"READY=1",
        b"RELOADING=1\nMONOTONIC_USEC=1500000",
        b"STATUS=3 turns, engine READY=1",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_manager_may_listen_at_a_name_without_a_file() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("")  # A free name.
        name = channel.getsockname()[1:].decode()
        Notifier(f"@{name}").ready()
        assert channel.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1234", "/no/such/socket"])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    Notifier(address).ready()


def test_a_manager_that_does_not_listen_holds_up_nobody(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    for _ in range(10_000):
        notifier.alive()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_signs_of_life_are_given_where_they_are_asked_of_this_process(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.from_environment(environment, 7).watchdog_s == watchdog_s


class CountingClock:
    """A clock that ends the third wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now_s(self) -> float:
        return 0.0

    async def wait_s(self, duration_s: float) -> None:
        self.waits.append(duration_s)
        if len(self.waits) == 3:
            raise asyncio.CancelledError


def test_signs_of_life_come_twice_as_often_as_asked_for(manager: socket.socket) -> None:
    clock = CountingClock()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_alive(Notifier(manager.getsockname(), 30.0), clock))
    assert clock.waits == [15.0, 15.0, 15.0]
    assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3


def test_without_a_watchdog_no_signs_of_life_are_given() -> None:
    asyncio.run(keep_alive(Notifier(None), CountingClock()))
