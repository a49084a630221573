import sys

import pytest

from tests.voiced.face.fake_terminal import open_terminal
from voiced.face.choosing import choose_face
from voiced.face.face import Face
from voiced.face.lines import LineFace
from voiced.face.terminal_face import TerminalFace


def choose(*, as_json: bool = False) -> Face:
    return choose_face(as_json=as_json, push_to_talk=False, shows_timings=False)


@pytest.fixture
def in_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    _, program_fd = open_terminal(80, 24)
    monkeypatch.setattr("sys.stdout", open(program_fd, "w", closefd=False))
    monkeypatch.setattr("sys.stdin", open(program_fd, closefd=False))
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("in_terminal")
def test_a_terminal_is_drawn_on() -> None:
    face = choose()
    assert isinstance(face, TerminalFace)
    assert face._input_fd == sys.stdin.fileno()


@pytest.mark.usefixtures("in_terminal")
def test_who_asks_for_json_gets_it_in_a_terminal_too() -> None:
    assert isinstance(choose(as_json=True), LineFace)


@pytest.mark.usefixtures("in_terminal")
def test_a_terminal_that_cannot_be_drawn_on_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose(), LineFace)


def test_what_is_no_terminal_gets_lines() -> None:
    assert isinstance(choose(), LineFace)
