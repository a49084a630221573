"""What a recording holds, whatever becomes of the disk or of the program."""

import json
import queue
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.chunk import AudioChunk
from protocols.events import StateChanged, TurnTimed
from tests.permissions import without_root
from tests.voiced.test_text_output import file_size_limit
from voiced.commands import EnterText
from voiced.errors import FormatError, OutputError
from voiced.session_recording import (
    LOOK_AFTER_BYTES,
    MOST_WAITING_BYTES,
    SessionRecording,
    new_folder,
)

GIB = 2**30


def heard(num_samples: int, start: int = 0, value: float = 0.25) -> AudioChunk:
    return AudioChunk(np.full(num_samples, value, np.float32), 16_000, start)


def played(num_samples: int, start: int = 0, value: float = 0.5) -> AudioChunk:
    return AudioChunk(np.full(num_samples, value, np.float32), 16_000, start)


def record(folder: Path, notices: "queue.Queue[str] | None" = None) -> SessionRecording:
    told = notices or queue.Queue()
    return SessionRecording(folder, settings={}, on_notice=told.put, free_bytes=lambda _: GIB)


def test_both_sides_are_kept_in_time(tmp_path: Path) -> None:
    recording = record(tmp_path)
    recording.microphone(heard(16_000))
    recording.speaker(played(2_400, start=12_000))
    recording.close()
    microphone, rate_hz = soundfile.read(tmp_path / "microphone.wav")
    assert (rate_hz, microphone.tolist()) == (16_000, [0.25] * 16_000)
    speaker, rate_hz = soundfile.read(tmp_path / "speaker.wav")
    assert rate_hz == 16_000
    assert speaker.tolist() == [0.0] * 12_000 + [0.5] * 2_400 + [0.0] * 1_600


def test_a_closed_microphone_is_silence(tmp_path: Path) -> None:
    recording = record(tmp_path)
    recording.microphone(heard(100))
    recording.microphone(heard(100, start=40_000))
    recording.close()
    sound, _ = soundfile.read(tmp_path / "microphone.wav")
    assert np.flatnonzero(sound).tolist() == [*range(100), *range(40_000, 40_100)]


def test_sound_that_was_kept_already_is_not_kept_twice(tmp_path: Path) -> None:
    recording = record(tmp_path)
    recording.microphone(heard(100))
    recording.microphone(heard(100, start=50, value=0.5))
    recording.microphone(heard(10, start=20))
    recording.close()
    sound, _ = soundfile.read(tmp_path / "microphone.wav")
    assert sound.tolist() == [0.25] * 100 + [0.5] * 50


def test_damaged_samples_are_kept_as_silence_and_as_the_loudest(tmp_path: Path) -> None:
    recording = record(tmp_path)
    samples = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    recording.microphone(AudioChunk(samples, 16_000))
    recording.close()
    sound, _ = soundfile.read(tmp_path / "microphone.wav")
    assert sound.tolist() == pytest.approx([0.0, 1.0, -1.0, 0.5], abs=1 / 32768)


def test_events_and_commands_are_lines_with_their_time(tmp_path: Path) -> None:
    recording = record(tmp_path)
    recording.happened(StateChanged(state="listening"), 0.5)
    recording.happened(EnterText("hello"), 1.25)
    recording.close()
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"at_s": 0.5, "event": "state_changed", "state": "listening"},
        {"at_s": 1.25, "command": "enter_text", "text": "hello"},
    ]


def test_the_ledger_is_kept_for_reading(tmp_path: Path) -> None:
    recording = record(tmp_path)
    recording.happened(TurnTimed(turn=1, decided_s=1.0, first_sound_s=1.2), 3.0)
    recording.close()
    head, line = (tmp_path / "timings.txt").read_text().splitlines()
    assert head.split()[0] == "turn"
    assert line.split()[4] == "200"


def test_a_full_disk_ends_the_recording_and_keeps_what_was_in_it(tmp_path: Path) -> None:
    notices: queue.Queue[str] = queue.Queue()
    recording = record(tmp_path, notices)
    with file_size_limit(40_044):
        recording.microphone(heard(30_000))
        recording.happened(StateChanged(state="listening"), 1.9)
        notice = notices.get()
        recording.close()
    assert "the recording stopped, the talk goes on: cannot write" in notice
    assert "no space is left" in notice
    assert "it goes on when there is space again" in notice
    sound, _ = soundfile.read(tmp_path / "microphone.wav")
    assert sound.tolist() == [0.25] * 20_000


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    notices: queue.Queue[str] = queue.Queue()
    recording = record(tmp_path, notices)
    with file_size_limit(300):
        for number in range(5):
            recording.happened(EnterText("a" * 50), number)
        notices.get()
        recording.close()
    text = (tmp_path / "events.jsonl").read_text()
    assert text.endswith("\n")
    assert [json.loads(line)["at_s"] for line in text.splitlines()] == [0, 1]


def test_the_recording_goes_on_when_there_is_space_again(tmp_path: Path) -> None:
    notices: queue.Queue[str] = queue.Queue()
    recording = record(tmp_path, notices)
    with file_size_limit(40_044):
        recording.microphone(heard(30_000))
        assert "stopped" in notices.get()
    late = LOOK_AFTER_BYTES // 4
    recording.microphone(heard(late, start=30_000))
    assert "goes on" in notices.get()
    recording.close()
    sound, _ = soundfile.read(tmp_path / "microphone.wav")
    assert len(sound) == 30_000 + late
    assert np.count_nonzero(sound) == 20_000 + late


def test_while_there_is_no_space_it_is_not_tried(tmp_path: Path) -> None:
    notices: queue.Queue[str] = queue.Queue()
    looked: queue.Queue[Path] = queue.Queue()

    def free_bytes(folder: Path) -> int:
        looked.put(folder)
        return 0

    recording = SessionRecording(
        tmp_path, settings={}, on_notice=notices.put, free_bytes=free_bytes
    )
    with file_size_limit(40_044):
        recording.microphone(heard(30_000))
        notices.get()
    recording.microphone(heard(LOOK_AFTER_BYTES // 4, start=30_000))
    recording.close()
    assert looked.qsize() == 1
    assert notices.empty()


def test_sound_beyond_what_may_wait_is_left_out_and_told(tmp_path: Path) -> None:
    notices: queue.Queue[str] = queue.Queue()
    recording = record(tmp_path, notices)
    with recording._arrived:  # The thread cannot take anything meanwhile.
        for number in range(3):
            num_samples = MOST_WAITING_BYTES // 8  # Two have room.
            recording._put_sound("microphone.wav", heard(num_samples, start=number * num_samples))
    recording.close()
    assert recording.num_left_out == 1
    assert "too slow: some sound is left out" in notices.get()
    assert soundfile.info(tmp_path / "microphone.wav").frames == MOST_WAITING_BYTES // 4


def test_after_its_end_nothing_is_taken(tmp_path: Path) -> None:
    recording = record(tmp_path)
    recording.close()
    recording.microphone(heard(100))
    recording.happened(EnterText("late"), 1.0)
    recording.close()
    assert soundfile.info(tmp_path / "microphone.wav").frames == 0


def test_another_rate_is_refused(tmp_path: Path) -> None:
    recording = record(tmp_path)
    with pytest.raises(FormatError, match=r"microphone\.wav at 24000 Hz: expected 16000 Hz"):
        recording.microphone(AudioChunk(np.zeros(10, np.float32), 24_000))
    recording.close()


def test_a_killed_program_leaves_valid_files(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from audio.chunk import AudioChunk\n"
        "from protocols.events import Noticed\n"
        "from voiced.session_recording import SessionRecording\n"
        f"r = SessionRecording(Path({str(tmp_path)!r}), settings={{}}, on_notice=print)\n"
        "r.microphone(AudioChunk(np.full(16_000, 0.25, np.float32), 16_000))\n"
        "r.happened(Noticed(text='written after the sound'), 1.0)\n"
        f"path = Path({str(tmp_path / 'events.jsonl')!r})\n"
        "while not path.stat().st_size: pass\n"
        "print('written', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "written\n"
        program.send_signal(signal.SIGKILL)
    sound, _ = soundfile.read(tmp_path / "microphone.wav")
    assert sound.tolist() == [0.25] * 16_000
    assert soundfile.info(tmp_path / "speaker.wav").frames == 0


def test_every_talk_has_a_folder_of_its_own_that_others_cannot_enter(tmp_path: Path) -> None:
    first = new_folder(tmp_path / "talks", "2026-11-22T10-00-00")
    second = new_folder(tmp_path / "talks", "2026-11-22T10-00-00")
    assert first != second
    assert second.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with without_root(), pytest.raises(OutputError, match="no permission"):
        new_folder(tmp_path / "talks", "a")


def test_a_recording_without_its_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        record(tmp_path / "no")
