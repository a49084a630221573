"""The talk in a terminal: what is on its screen, what its keys do, and that it is given back as it was."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from protocols.events import Noticed, StateChanged, TextAdded, Transcribed, TurnEnded
from tests.voiced.face.fake_terminal import FakeTerminal
from voiced.commands import Command, EnterText, Interrupt, Press, Quit, Release, ToggleMute
from voiced.face.face import Level
from voiced.face.terminal_face import TerminalFace

LISTENING = StateChanged(state="listening")


@asynccontextmanager
async def face_in(
    terminal: FakeTerminal,
    *,
    push_to_talk: bool = False,
    suspend: Callable[[], None] = lambda: None,
    settle_s: float = 0.0,
) -> AsyncIterator[TerminalFace]:
    async with TerminalFace(
        push_to_talk=push_to_talk,
        shows_timings=False,
        input_fd=terminal.program_fd,
        output=terminal.output,
        settle_s=settle_s,
        interval_s=0.0,
        suspend=suspend,
    ) as face:
        yield face


def in_terminal(
    test: Callable[[FakeTerminal], Coroutine[Any, Any, None]], **size: int
) -> FakeTerminal:
    """Run `test` with a terminal and return it, closed."""

    async def run() -> FakeTerminal:
        with FakeTerminal(**size) as terminal:
            await test(terminal)
        return terminal

    return asyncio.run(run())


async def take(face: TerminalFace, number: int) -> list[Command]:
    commands: list[Command] = []
    async for command in face.commands():
        commands.append(command)
        if len(commands) == number:
            break
    return commands


def test_the_talk_is_read_from_top_to_bottom() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            face.show(StateChanged(state="hearing"))
            face.show(Transcribed(turn=1, text="turn on", num_agreed=7))
            rows = await terminal.until_shown("you: turn on")
            assert rows[-1].startswith("● hearing you")
            face.show(TurnEnded(turn=1, role="user", text="", start_s=0.0, end_s=1.0))
            face.show(StateChanged(state="thinking"))
            face.show(Transcribed(turn=1, text="turn on the light", is_final=True))
            await terminal.until_shown("you: turn on the light")
            face.show(StateChanged(state="speaking"))
            face.show(TextAdded(turn=1, role="assistant", text="It is on", start_s=1.5))
            await terminal.until_shown("voiced: It is on")
            face.show(
                TurnEnded(
                    turn=1,
                    role="assistant",
                    text="It is",
                    start_s=1.5,
                    end_s=2.0,
                    ended="interrupted",
                )
            )
            face.show(Noticed(text="the speaker is gone"))
            face.show(LISTENING)
            rows = await terminal.until_shown("listening")
            assert rows[:-1] == [
                "you: turn on the light",
                "voiced: It is  [cut off here]",
                "note: the speaker is gone",
            ]

    terminal = in_terminal(talk)
    assert terminal.rows[-1] == "note: the speaker is gone"  # The region has gone.
    assert terminal.has_cursor


def test_the_level_moves_the_meter() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            face.show(LISTENING)
            await terminal.until_shown("▯" * 12)
            face.show(Level(-6.0))
            await terminal.until_shown("▮" * 12)

    in_terminal(talk)


def test_keys_become_commands() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            for keys, command in (
                (" ", Interrupt()),
                ("\x1b", Interrupt()),
                ("m", ToggleMute()),
                ("hello\r", EnterText("hello")),
                ("\x1b[200~q\nx\x1b[201~\r", EnterText("q x")),
                ("q", Quit()),
            ):
                terminal.press(keys)
                assert await take(face, 1) == [command]

    in_terminal(talk)


def test_letters_typed_in_a_row_are_text() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal, settle_s=3600.0) as face:
            terminal.press("q")
            terminal.press("uit smoking")
            await terminal.until_shown("> quit smoking")
            terminal.press("\r")
            assert await take(face, 1) == [EnterText("quit smoking")]

    in_terminal(talk)


def test_with_push_to_talk_the_space_bar_begins_and_ends_talking() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal, push_to_talk=True) as face:
            face.show(LISTENING)
            await terminal.until_shown("space to talk")
            terminal.press(" ")
            assert await take(face, 1) == [Press()]
            terminal.press(" ")
            assert await take(face, 1) == [Release()]

    in_terminal(talk)


def test_muting_ends_talking() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal, push_to_talk=True) as face:
            terminal.press(" ")
            await take(face, 1)
            face.show(StateChanged(state="muted"))
            terminal.press(" ")
            assert await take(face, 1) == [Press()]

    in_terminal(talk)


def test_leaving_ends_the_commands() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            listener = asyncio.create_task(take(face, 1))
        assert await listener == []

    in_terminal(talk)


def test_commands_that_nobody_takes_do_not_pile_up() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            terminal.press(" " * 500 + "done")
            await terminal.until_shown("> done")
            assert face._commands.qsize() == 64

    in_terminal(talk)


def test_the_terminal_gives_single_keys_and_is_given_back() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        before = terminal.mode()
        async with face_in(terminal):
            assert terminal.mode() != before
        assert terminal.mode() == before

    in_terminal(talk)


def test_after_an_error_the_terminal_is_given_back_too() -> None:
    async def fail(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            face.show(LISTENING)
            raise RuntimeError

    async def talk(terminal: FakeTerminal) -> None:
        before = terminal.mode()
        with pytest.raises(RuntimeError):
            await fail(terminal)
        assert terminal.mode() == before

    assert in_terminal(talk).has_cursor


def test_it_can_be_given_back_without_leaving() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        before = terminal.mode()
        async with face_in(terminal) as face:
            face.restore()
            assert terminal.mode() == before
            face.restore()

    in_terminal(talk)


def test_while_the_program_is_stopped_the_shell_has_the_terminal() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        before = terminal.mode()
        seen: list[tuple[bool, list[str]]] = []
        stopped = asyncio.Event()

        def suspend() -> None:
            seen.append((terminal.mode() == before, terminal.rows))
            stopped.set()

        async with face_in(terminal, suspend=suspend) as face:
            face.show(LISTENING)
            await terminal.until_shown("listening")
            during = terminal.mode()
            os.kill(os.getpid(), signal.SIGTSTP)
            await stopped.wait()
            assert seen[0][0]
            assert terminal.mode() == during
            face.show(Noticed(text="back"))
            rows = await terminal.until(lambda rows: "note: back" in rows[:-1])
            assert rows[-1].startswith("● listening")

    in_terminal(talk)


def test_continued_after_a_stop_that_nobody_announced_it_takes_the_terminal_again() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            during = terminal.mode()
            assert face._raw is not None
            face._raw._set(face._raw._before or [])  # As shells leave it.
            assert terminal.mode() != during
            os.kill(os.getpid(), signal.SIGCONT)
            terminal.press("typed")
            await terminal.until_shown("> typed")
            assert terminal.mode() == during

    in_terminal(talk)


def test_another_size_of_the_window_is_drawn_for() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with face_in(terminal) as face:
            face.show(LISTENING)
            await terminal.until_shown("or type")
            terminal.resize(30, 10)
            await terminal.until(
                lambda rows: (
                    rows[-1:] != [] and rows[-1].startswith("● listening") and "▯" not in rows[-1]
                )
            )
            face.show(Noticed(text="one two three four five six seven"))
            rows = await terminal.until_shown("seven")
            assert "note: one two three four five" in rows

    in_terminal(talk, columns=100)


def test_a_terminal_that_takes_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> None:
        with FakeTerminal() as terminal:
            asyncio.get_running_loop().remove_reader(terminal._person_fd)  # Nobody reads.
            async with face_in(terminal) as face:
                for number in range(3000):
                    face.show(Noticed(text=f"{number} " + "x" * 70))
                assert face._screen is not None
                assert len(face._screen._lines) <= 2000
                monkeypatch.setattr("voiced.face.screen.PATIENCE_S", 0.0)
                thread, own_output = face._screen._thread, face._own_output
            # Left without it; once somebody reads, the thread ends.
            asyncio.get_running_loop().add_reader(terminal._person_fd, terminal.read_rest)
            await asyncio.to_thread(thread.join)
            assert own_output is not None
            own_output.close()

    asyncio.run(talk())


def test_what_is_said_on_standard_error_stands_above_the_region(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def talk(terminal: FakeTerminal) -> None:
        monkeypatch.setattr("sys.stderr", terminal.output)
        async with face_in(terminal) as face:
            face.show(LISTENING)
            print("something\x1b[2J odd", file=sys.stderr)
            rows = await terminal.until_shown("something")
            assert "note: something [2J odd" in rows[:-1]
        assert sys.stderr is terminal.output

    in_terminal(talk)


def test_without_keys_the_talk_is_shown_all_the_same() -> None:
    async def talk(terminal: FakeTerminal) -> None:
        async with TerminalFace(
            push_to_talk=False,
            shows_timings=False,
            input_fd=None,
            output=terminal.output,
            interval_s=0.0,
        ) as face:
            face.show(LISTENING)
            rows = await terminal.until_shown("listening")
            assert "quit" not in rows[-1]

    in_terminal(talk)
