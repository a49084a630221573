import dataclasses
import json
import subprocess
import sys

import pytest

from protocols.events import (
    Event,
    Noticed,
    StateChanged,
    TextAdded,
    Transcribed,
    TurnEnded,
    TurnTimed,
    decode_line,
    encode_line,
)


def test_an_added_text_is_one_json_object_with_role_text_and_time() -> None:
    line = encode_line(TextAdded(turn=2, role="assistant", text="Hello ", start_s=0.48))
    assert json.loads(line) == {
        "event": "text_added",
        "turn": 2,
        "role": "assistant",
        "text": "Hello ",
        "start_s": 0.48,
    }


def test_an_ended_turn_tells_its_times_and_its_file() -> None:
    event = TurnEnded(
        turn=1,
        role="user",
        text="",
        start_s=0.0,
        end_s=2.5,
        ended="end",
        audio="q1.wav",
        audio_start_s=0.0,
    )
    assert json.loads(encode_line(event)) == {
        "event": "turn_ended",
        "turn": 1,
        "role": "user",
        "text": "",
        "start_s": 0.0,
        "end_s": 2.5,
        "ended": "end",
        "audio": "q1.wav",
        "audio_start_s": 0.0,
    }


@pytest.mark.parametrize("text", ["two\nlines\r\n", "\u2028\u2029\x85", "語 😀", '"quoted" \\'])
def test_a_line_stays_one_line_of_ascii_whatever_the_text(text: str) -> None:
    line = encode_line(TextAdded(turn=1, role="assistant", text=text, start_s=0.0))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["text"] == text


def test_seconds_are_rounded_to_thousandths() -> None:
    assert '"start_s": 0.333' in encode_line(TextAdded(turn=1, role="user", text="", start_s=1 / 3))


def test_events_cannot_be_changed() -> None:
    event = TextAdded(turn=1, role="user", text="a", start_s=0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.text = "b"  # type: ignore[misc]  # The assignment is the subject of the test.


def test_events_import_neither_torch_nor_numpy() -> None:
    code = "import sys, protocols.events; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


EVENTS = [
    TextAdded(turn=2, role="assistant", text="höre \u2028", start_s=0.48),
    TurnEnded(turn=1, role="user", text="", start_s=0.0, end_s=2.5, ended="interrupted"),
    Transcribed(turn=1, text="turn on", num_agreed=4),
    StateChanged(state="muted"),
    StateChanged(state="asleep"),
    Noticed(text="the microphone is gone"),
    TurnTimed(turn=3, decided_s=1.5, first_sound_s=1.625, num_holds=2, discarded_s=0.25),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_every_event_comes_back_from_its_line(event: Event) -> None:
    assert decode_line(encode_line(event)) == event
    assert decode_line(encode_line(event).encode()) == event


def test_fields_of_a_later_version_are_left_out() -> None:
    line = '{"event": "noticed", "text": "a", "level": 3}'
    assert decode_line(line) == Noticed(text="a")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("3", "expected an object whose 'event' is text_added, turn_ended"),
        ('{"event": "sang"}', "expected an object whose 'event' is"),
        ('{"event": ["noticed"]}', "expected an object whose 'event' is"),
        ('{"event": "noticed"}', "event 'noticed': Object missing required field `text`"),
        ('{"event": "noticed", "text": 3}', "event 'noticed': Expected `str`, got `int`"),
        ('{"event": "state_changed", "state": "dreaming"}', "Invalid enum value 'dreaming'"),
    ],
)
def test_a_line_that_is_none_is_refused(line: str | bytes, message: str) -> None:
    with pytest.raises(ValueError) as error:
        decode_line(line)
    assert message in str(error.value)
