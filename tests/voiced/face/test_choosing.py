import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.voiced.face.fake_terminal import open_terminal
from voiced.face.choosing import choose_face
from voiced.face.face import Face
from voiced.face.lines import LineFace
from voiced.face.terminal_face import TerminalFace


def choose(*, as_json: bool = False) -> Face:
    return choose_face(as_json=as_json, push_to_talk=False, shows_timings=False)


@contextmanager
def in_terminal(kind: str = "xterm") -> Iterator[None]:
    person_fd, program_fd = open_terminal(80, 24)
    with (
        pytest.MonkeyPatch.context() as patch,
        open(program_fd, "w") as output,
        open(program_fd, closefd=False) as keys,
    ):
        patch.setattr("sys.stdout", output)
        patch.setattr("sys.stdin", keys)
        patch.setenv("TERM", kind)
        yield
    os.close(person_fd)


def test_a_terminal_is_drawn_on() -> None:
    with in_terminal():
        face = choose()
        assert isinstance(face, TerminalFace)
        assert face._input_fd == sys.stdin.fileno()


def test_who_asks_for_json_gets_it_in_a_terminal_too() -> None:
    with in_terminal():
        assert isinstance(choose(as_json=True), LineFace)


def test_a_terminal_that_cannot_be_drawn_on_gets_lines() -> None:
    with in_terminal("dumb"):
        assert isinstance(choose(), LineFace)


def test_what_is_no_terminal_gets_lines() -> None:
    assert isinstance(choose(), LineFace)
