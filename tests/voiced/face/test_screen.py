"""The terminal of a whole program, which is given back whatever ends it."""

import contextlib
import os
import signal
import subprocess
import sys
import termios

import pytest

from tests.voiced.face.fake_terminal import open_terminal

PROGRAM = """
import asyncio, sys
from protocols.events import Noticed, StateChanged
from voiced.face.choosing import choose_face
from voiced.signals import signal_policy

async def talk():
    face = choose_face(as_json=False, push_to_talk=False, shows_timings=False)
    stop = asyncio.Event()

    def begin_to_stop():
        face.show(Noticed(text="stopping"))
        stop.set()

    async with face:
        with signal_policy(on_stop=begin_to_stop, on_reload=lambda: None, before_exit=face.restore):
            face.show(StateChanged(state="listening"))
            if ENDING == "error":
                raise RuntimeError("on purpose")
            if ENDING == "hang":
                await asyncio.Event().wait()
            await stop.wait()

asyncio.run(talk())
"""


@pytest.mark.parametrize(
    ("ending", "first", "second", "code"),
    [
        ("stop", signal.SIGTERM, None, 0),
        ("stop", signal.SIGINT, None, 0),
        ("hang", signal.SIGTERM, signal.SIGTERM, 128 + signal.SIGTERM),
        ("error", None, None, 1),
    ],
)
def test_the_terminal_is_given_back(
    ending: str, first: signal.Signals | None, second: signal.Signals | None, code: int
) -> None:
    person_fd, program_fd = open_terminal(80, 24)
    before = termios.tcgetattr(person_fd)
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("ENDING", repr(ending))],
        stdin=program_fd,
        stdout=program_fd,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(program_fd)
    shown = b""
    waiting = [(b"listening", first), (b"stopping", second)]
    try:
        with contextlib.suppress(OSError):  # The program has closed its side.
            while True:
                shown += os.read(person_fd, 4096)
                while waiting and waiting[0][1] is not None and waiting[0][0] in shown:
                    assert termios.tcgetattr(person_fd) != before
                    program.send_signal(waiting.pop(0)[1] or 0)
        assert program.wait() == code
    finally:
        program.kill()
        program.wait()
    assert termios.tcgetattr(person_fd) == before
    assert shown.rindex(b"\x1b[?25h") > shown.find(b"\x1b[?25l")
    assert shown.rindex(b"\x1b[?2004l") > shown.find(b"\x1b[?2004h")
    os.close(person_fd)
