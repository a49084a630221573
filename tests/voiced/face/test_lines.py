"""The talk as lines: for readers, for programs, and for those who stopped reading."""

import asyncio
import json
import os
from collections.abc import Sequence

import pytest

from protocols.events import (
    Event,
    Noticed,
    State,
    StateChanged,
    TextAdded,
    Transcribed,
    TurnEnded,
)
from voiced.commands import Command, Quit
from voiced.face.face import Level
from voiced.face.lines import MOST_WAITING, LineFace, json_face, plain_face

USER = TurnEnded(turn=1, role="user", text="", start_s=61.0, end_s=62.0)
WORDS = Transcribed(turn=1, text="are you there", is_final=True)
GROWS = TextAdded(turn=1, role="assistant", text="Yes", start_s=63.0)
REPLY = TurnEnded(turn=1, role="assistant", text="Yes", start_s=63.0, end_s=64.0)


def show(face: LineFace, *events: Event | Level) -> None:
    async def talk() -> None:
        async with face:
            for event in events:
                face.show(event)

    asyncio.run(talk())


def test_what_stands_is_written_with_the_time_of_its_beginning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    states: Sequence[Event] = [StateChanged(state="listening"), StateChanged(state="hearing")]
    show(plain_face(shows_timings=False), *states, states[0], USER, GROWS, WORDS, REPLY)
    assert capsys.readouterr().out.splitlines() == [
        "listening",
        "01:01  you: are you there",
        "01:03  voiced: Yes",
    ]


def test_it_tells_when_it_sleeps_and_when_it_wakes(capsys: pytest.CaptureFixture[str]) -> None:
    states: list[State] = ["loading", "asleep", "hearing", "thinking", "speaking", "listening"]
    changes = [StateChanged(state=state) for state in (*states, "asleep", "muted", "asleep")]
    show(plain_face(shows_timings=False), *changes, StateChanged(state="listening"))
    assert capsys.readouterr().out.split() == "asleep listening asleep asleep listening".split()


def test_at_the_end_what_was_open_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    show(plain_face(shows_timings=False), USER, GROWS, Noticed(text="the engine is gone"))
    assert capsys.readouterr().out.splitlines() == [
        "       note: the engine is gone",
        "01:01  you: (1.0 s of speech)",
        "01:03  voiced: Yes",
    ]


def test_programs_get_every_event_as_an_object_on_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(json_face(), StateChanged(state="listening"), Level(-20.0), USER, WORDS, GROWS, REPLY)
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in objects] == [
        "state_changed",
        "turn_ended",
        "transcribed",
        "text_added",
        "turn_ended",
    ]


def test_for_a_reader_that_does_not_read_the_oldest_lines_are_dropped_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def talk() -> None:
        face = json_face()
        face._put([f"{number}" for number in range(MOST_WAITING + 5)])
        async with face:
            pass

    asyncio.run(talk())
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert json.loads(first)["text"] == "5 lines were dropped, as nobody read them"
    assert second == "5"
    assert len(rest) == MOST_WAITING - 1


def test_when_the_reader_has_gone_the_talk_is_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reader_fd, writer_fd = os.pipe()
    os.close(reader_fd)
    commands: list[Command] = []

    async def talk() -> None:
        async with json_face() as face:
            face.show(Noticed(text="hello"))
            async for command in face.commands():
                commands.append(command)
                break

    with open(writer_fd, "w", buffering=1) as output:
        monkeypatch.setattr("sys.stdout", output)
        with pytest.raises(BrokenPipeError):
            asyncio.run(talk())
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), writer_fd
        )  # Else closing it would raise once more.
    assert commands == [Quit()]


def test_nobody_gives_commands_and_leaving_ends_them() -> None:
    async def talk() -> list[Command]:
        async with json_face() as face:
            listener = asyncio.create_task(_all_commands(face))
        return await listener

    assert asyncio.run(talk()) == []


async def _all_commands(face: LineFace) -> list[Command]:
    return [command async for command in face.commands()]
