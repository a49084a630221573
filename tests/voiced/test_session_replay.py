import json
from pathlib import Path

import numpy as np
import pytest

from audio.chunk import AudioChunk
from protocols.events import StateChanged, TurnEnded
from voiced.commands import EnterText, Interrupt, Quit, ToggleMute
from voiced.errors import AudioError, UsageError
from voiced.session_recording import SessionRecording
from voiced.session_replay import Moment, read_session

STATE = StateChanged(state="listening")
TURN = TurnEnded(turn=1, role="user", text="höre", start_s=0.5, end_s=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recording = SessionRecording(
        tmp_path,
        settings={"sound.headset": True, "session.record": Path("/a")},
        seed=7,
        on_notice=print,
    )
    ramp = (np.arange(1000) / 32768).astype(np.float32)
    recording.microphone(AudioChunk(ramp, 16_000))
    recording.happened(STATE, 0.0)
    recording.happened(ToggleMute(), 500 / 16_000)
    recording.happened(TURN, 0.05)
    recording.happened(EnterText("hello"), 900 / 16_000)
    recording.happened(Quit(), 7.0)
    recording.close()
    return tmp_path


def test_everything_comes_back(folder: Path) -> None:
    session = read_session(folder)
    assert session.settings == {"sound.headset": True, "session.record": "/a"}
    assert session.seed == 7
    assert session.events() == [Moment(0.0, STATE), Moment(0.05, TURN)]
    assert [moment.what for moment in session.commands()] == [
        ToggleMute(),
        EnterText("hello"),
        Quit(),
    ]


def test_what_was_heard_comes_in_chunks_of_one_size(folder: Path) -> None:
    chunks = list(read_session(folder).heard(300))
    assert [(chunk.start, len(chunk.samples)) for chunk in chunks] == [
        (0, 300),
        (300, 300),
        (600, 300),
        (900, 100),
    ]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert (samples * 32768).tolist() == list(range(1000))


def test_commands_come_between_the_chunks_where_they_were_given(folder: Path) -> None:
    steps = [
        step.start if isinstance(step, AudioChunk) else step
        for step in read_session(folder).steps(300)
    ]
    assert steps == [0, ToggleMute(), 300, 600, EnterText("hello"), 900, Quit()]


def test_a_last_line_that_was_cut_off_is_left_out(folder: Path) -> None:
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"at_s": 8.0, "comm')
    assert len(read_session(folder).moments) == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected an object with 'at_s'"),
        ('{"at_s": -1, "command": "quit"}', "expected an object with 'at_s'"),
        ('{"at_s": true, "command": "quit"}', "expected an object with 'at_s'"),
        ('{"at_s": 1, "command": "sing"}', "command 'sing': expected toggle_mute, interrupt"),
        ('{"at_s": 1, "command": "enter_text"}', "missing required field `text`"),
        ('{"at_s": 1}', "no event: expected an object whose 'event' is text_added, turn_ended"),
        ('{"at_s": 1, "event": "state_changed", "state": "x"}', "Invalid enum value 'x'"),
    ],
)
def test_a_damaged_line_is_told_with_its_place(folder: Path, line: str, message: str) -> None:
    with open(folder / "events.jsonl", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UsageError, match=r"events\.jsonl:6: ") as error:
        read_session(folder)
    assert message in str(error.value)


def test_a_folder_without_a_recording_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"session\.json: no such file .*give the folder of one"):
        read_session(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}'])
def test_a_recording_of_another_version_is_told(folder: Path, text: str) -> None:
    (folder / "session.json").write_text(text)
    with pytest.raises(UsageError, match=r"session\.json"):
        read_session(folder)


def test_missing_sound_is_told_when_it_is_read(folder: Path) -> None:
    (folder / "microphone.wav").unlink()
    with pytest.raises(AudioError):
        list(read_session(folder).steps(300))


def test_other_fields_of_a_later_version_do_no_harm(folder: Path) -> None:
    with open(folder / "events.jsonl", "a") as file:
        file.write(json.dumps({"at_s": 9, "command": "interrupt", "by": "space"}) + "\n")
    assert read_session(folder).moments[-1] == Moment(9.0, Interrupt())
