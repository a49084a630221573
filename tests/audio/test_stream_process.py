"""Devices in processes of their own: sound goes there and back, and nothing that happens there harms this process."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from audio.devices import Block, Device, DeviceStream, Direction
from audio.errors import DeviceError
from audio.stream_process import ProcessCard
from tests.audio.fake_stream_child import NUM_CHANNELS, NUM_FRAMES, RATE_HZ, devices
from tests.fake_sound import FakeSoundCard

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0

OPEN_AND_STAY = """
import time
from audio.devices import Direction
from audio.stream_process import ProcessCard
from tests.audio.fake_stream_child import devices
from tests.fake_sound import FakeSoundCard
card = ProcessCard(FakeSoundCard(*devices()), module="tests.audio.fake_stream_child")
stream = card.open(card.list_devices()[0], Direction.INPUT, rate_hz=16_000, on_block=lambda block: None)
stream.start()
print("open", flush=True)
time.sleep(3600)
"""


def card(open_timeout_s: float = WAIT_S) -> ProcessCard:
    listed = FakeSoundCard(*devices())
    return ProcessCard(
        listed, module="tests.audio.fake_stream_child", open_timeout_s=open_timeout_s
    )


def device(name: str) -> Device:
    return next(device for device in devices() if device.name == name)


def open_stream(
    name: str, on_block: Callable[[Block], None] = lambda block: None, *, output: bool = False
) -> DeviceStream:
    direction = Direction.OUTPUT if output else Direction.INPUT
    return card().open(device(name), direction, rate_hz=RATE_HZ, on_block=on_block)


class Blocks:
    """Keeps the first blocks that it is given, and tells when it has enough."""

    def __init__(self, enough: int) -> None:
        self.kept: list[Block] = []
        self.are_enough = threading.Event()
        self._enough = enough

    def __call__(self, block: Block) -> None:
        self.kept.append(block.copy())
        if len(self.kept) >= self._enough:
            self.are_enough.set()

    def wait(self) -> None:
        assert self.are_enough.wait(WAIT_S)


def wait_for_end(stream: DeviceStream) -> None:
    """Wait until it is noticed: the thread that reads from the process sees its end."""
    for thread in threading.enumerate():
        if thread.name == "voiced-sound":
            thread.join(WAIT_S)
    assert not stream.is_active


def children() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    before = psutil.Process().num_fds()
    yield
    assert children() == []
    assert psutil.Process().num_fds() == before


def test_every_recorded_block_arrives_whole_and_in_order() -> None:
    blocks = Blocks(50)
    with closing(open_stream("counts", blocks)) as stream:
        assert (stream.rate_hz, stream.num_channels) == (RATE_HZ, NUM_CHANNELS)
        assert stream.latency_s == 0.25
        stream.start()
        blocks.wait()
        assert stream.is_active
        assert stream.num_xruns == 3
    assert all(block.shape == (NUM_FRAMES, NUM_CHANNELS) for block in blocks.kept)
    assert all(np.ptp(block) == 0 for block in blocks.kept)
    assert {int(b[0, 0] - a[0, 0]) for a, b in pairwise(blocks.kept)} == {1}


def test_every_block_is_asked_for_and_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "played"
    monkeypatch.setenv("PLAYED", str(path))
    blocks = Blocks(50)

    def fill(block: Block) -> None:
        block[:] = len(blocks.kept) + 1
        blocks(block)

    with closing(open_stream("plays", fill, output=True)) as stream:
        stream.start()
        blocks.wait()
    played = np.frombuffer(path.read_bytes(), np.float32)
    played = played[: len(played) // (NUM_FRAMES * NUM_CHANNELS) * NUM_FRAMES * NUM_CHANNELS]
    numbers = played.reshape(-1, NUM_FRAMES * NUM_CHANNELS)
    assert np.ptp(numbers, axis=1).max() == 0
    heard = numbers[numbers[:, 0] > 0][:, 0]  # Before it was told of, the device plays silence.
    assert heard.tolist() == list(range(1, len(heard) + 1))
    assert len(heard) >= 49


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("is busy", "it is busy"),
        ("is gone", "input device 'is gone' is not there: plug it in again"),
        ("crashes", "'crashes': its process ended with status 7"),
    ],
)
def test_a_device_that_cannot_be_opened_says_why(name: str, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        open_stream(name)


def test_a_device_that_does_not_answer_is_given_up() -> None:
    with pytest.raises(DeviceError, match="does not answer within 1 s"):
        card(open_timeout_s=1.0).open(
            device("never opens"), Direction.INPUT, rate_hz=RATE_HZ, on_block=lambda block: None
        )


def test_a_stream_that_ended_by_itself_is_not_active() -> None:
    with closing(open_stream("ends")) as stream:
        stream.start()
        wait_for_end(stream)


def test_a_process_that_died_ends_its_stream() -> None:
    with closing(open_stream("counts")) as stream:
        stream.start()
        [child] = children()
        child.kill()
        wait_for_end(stream)


def test_a_device_that_stands_still_is_closed_all_the_same() -> None:
    stream = open_stream("counts")
    stream.start()
    [child] = children()
    child.send_signal(signal.SIGSTOP)
    stream.close()
    assert not stream.is_active
    assert children() == []
    stream.close()  # Once more does no harm.


def test_it_ends_with_the_program_that_uses_it() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_STAY], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        [child] = psutil.Process(program.pid).children()
        program.kill()
    _, alive = psutil.wait_procs([child], timeout=WAIT_S)
    assert not alive


def test_a_new_list_leaves_open_streams_alone() -> None:
    blocks = Blocks(1)
    one = card()
    with closing(
        one.open(device("counts"), Direction.INPUT, rate_hz=RATE_HZ, on_block=blocks)
    ) as stream:
        one.refresh()
        stream.start()
        blocks.wait()
        assert stream.is_active
        assert one.look_again() == devices()
