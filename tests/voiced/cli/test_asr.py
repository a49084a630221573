"""`voiced asr` on every kind of file, good and bad, as a person at the keyboard meets it."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.fakes import FakeModel, words
from tests.permissions import without_root
from tests.speech import say
from voiced.cli.main import main

ROOT = Path(__file__).parents[3]
CHECKPOINT = ROOT / "tests" / "data" / "golden" / "checkpoint"
RATE_HZ = 16_000

Use = Callable[..., FakeModel]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return a function that makes the command use a model with the given script."""

    def use_model(*script: Any) -> FakeModel:
        model = FakeModel(*(script or (words("hello"),)))
        monkeypatch.setattr("voiced.cli.asr.load_model", lambda _: model)
        return model

    return use_model


def loud(seconds: float) -> NDArray[np.float32]:
    """Return noise that is transcribed because it could be speech."""
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))).astype(
        np.float32
    )


def write(
    path: Path, samples: NDArray[np.float32], rate_hz: int = RATE_HZ, subtype: str = "PCM_16"
) -> str:
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return str(path)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Return the path of two utterances, 3 s apart."""
    pause = np.zeros(3 * RATE_HZ, np.float32)
    return write(tmp_path / "two.wav", np.concatenate([loud(2), pause, loud(2), pause]))


Captured = pytest.CaptureFixture[str]


def test_text_goes_to_standard_output_a_line_an_utterance(
    use: Use, recording: str, capsys: Captured
) -> None:
    use(words("good morning"), words("good night"))

    assert main(["asr", recording]) == 0

    assert capsys.readouterr().out == "good morning\ngood night\n"


def test_json_has_one_object_for_each_file_in_order(
    use: Use, recording: str, tmp_path: Path, capsys: Captured
) -> None:
    use(words("one"), words("two"), words("three"))
    missing = str(tmp_path / "missing.wav")
    other = write(tmp_path / "other.flac", loud(1))

    assert main(["asr", "--format", "json", recording, missing, other]) == 1

    captured = capsys.readouterr()
    first, second, third = map(json.loads, captured.out.splitlines())
    assert (first["file"], first["text"], first["duration"]) == (recording, "one two", 10)
    assert [list(segment) for segment in first["segments"]] == [["start", "end", "text"]] * 2
    assert list(second) == ["file", "error"]
    assert (third["file"], third["text"]) == (other, "three")
    assert f"voiced: {missing} does not exist" in captured.err


def test_a_model_of_single_sentences_is_given_one_at_a_time(
    use: Use, tmp_path: Path, capsys: Captured
) -> None:
    pause = np.zeros(RATE_HZ // 2, np.float32)
    recording = write(tmp_path / "close.wav", np.concatenate([loud(2), pause, loud(2)]))
    model = use(words("one"), words("two"))
    assert main(["asr", recording]) == 0
    assert capsys.readouterr().out == "one\n"

    model = use(words("one"), words("two"))
    model.folder = tmp_path
    (tmp_path / "demonstration.json").write_text('{"name": "little", "longest_piece_s": 6}')
    assert main(["asr", recording]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


def test_text_of_several_files_names_each(use: Use, recording: str, capsys: Captured) -> None:
    use()

    assert main(["asr", recording, recording]) == 0

    assert capsys.readouterr().out == f"==> {recording} <==\nhello\nhello\n" * 2


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_of_several_files_go_to_a_folder(
    use: Use, recording: str, tmp_path: Path, capsys: Captured, form: str
) -> None:
    use()
    other = write(tmp_path / "other.flac", loud(1))

    assert main(["asr", "--format", form, recording, other]) == 2
    assert "give an existing folder with -o" in capsys.readouterr().err

    (tmp_path / "out").mkdir()
    assert main(["asr", "--format", form, "-o", str(tmp_path / "out"), recording, other]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"other.{form}",
        f"two.{form}",
    ]
    assert "hello" in (tmp_path / "out" / f"two.{form}").read_text()
    assert capsys.readouterr().out == ""


def test_two_transcripts_never_share_a_name(
    use: Use, recording: str, tmp_path: Path, capsys: Captured
) -> None:
    use()
    (tmp_path / "out").mkdir()

    assert main(["asr", "-o", str(tmp_path / "out"), recording, recording]) == 2
    assert "would both be written to" in capsys.readouterr().err


def test_a_recording_is_never_overwritten_by_its_transcript(
    use: Use, recording: str, capsys: Captured
) -> None:
    use()
    before = Path(recording).read_bytes()

    assert main(["asr", "-o", recording, recording]) == 2

    assert "is one of the recordings" in capsys.readouterr().err
    assert Path(recording).read_bytes() == before


def test_a_dash_reads_standard_input(
    use: Use, recording: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    use()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(Path(recording).read_bytes()[:60_000])  # A pipe holds 64 kB.
    with os.fdopen(reading, "rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        assert main(["asr", "--format", "json", "-"]) == 1  # Cut off, and said to be.

        fields = json.loads(capsys.readouterr().out)
        assert (fields["file"], fields["text"]) == ("-", "hello")
        assert "standard input ends after 1.87 s" in fields["error"]


def test_standard_input_given_twice_is_refused(use: Use, capsys: Captured) -> None:
    use()
    assert main(["asr", "-", "-"]) == 2
    assert "'-' is given more than once" in capsys.readouterr().err


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda path: write(path, np.repeat(loud(2)[:, None], 8, 1), 192_000),
            id="8 channels at 192 kHz",
        ),
        pytest.param(lambda path: write(path, np.clip(20 * loud(2), -1, 1)), id="clipped"),
        pytest.param(lambda path: write(path, loud(2) + np.float32(0.4)), id="with an offset"),
        pytest.param(
            lambda path: write(path, 20_000 * loud(2), subtype="FLOAT"), id="beyond full scale"
        ),
    ],
)
def test_unusual_sound_is_transcribed(
    use: Use, tmp_path: Path, capsys: Captured, make: Callable[[Path], str]
) -> None:
    use()
    assert main(["asr", make(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out == "hello\n"


def nan_samples() -> NDArray[np.float32]:
    samples = loud(1)
    samples[:] = np.nan
    return samples


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: write(path, loud(0)), "has no samples", id="empty audio"),
        pytest.param(
            lambda path: write(path, loud(0.01)),
            "lasts 10.0 ms: expected at least 20 ms",
            id="10 ms",
        ),
        pytest.param(
            lambda path: write(path, nan_samples(), subtype="FLOAT"),
            "at 0.0000 s: expected finite",
            id="NaN",
        ),
        pytest.param(lambda path: path.write_text("hello\n" * 99), "seems to be text", id="text"),
        pytest.param(lambda path: path.write_bytes(b""), "is empty (0 bytes)", id="empty file"),
        pytest.param(lambda path: path.mkdir(), "is a folder", id="folder"),
        pytest.param(lambda path: None, "does not exist", id="missing"),
    ],
)
def test_a_bad_recording_is_named_in_one_sentence_and_does_not_stop_the_next(
    use: Use,
    recording: str,
    tmp_path: Path,
    capsys: Captured,
    make: Callable[[Path], Any],
    message: str,
) -> None:
    use()
    bad = tmp_path / "bad.wav"
    make(bad)

    assert main(["asr", "--format", "json", str(bad), recording]) == 1

    captured = capsys.readouterr()
    assert captured.err.startswith(f"voiced: {bad}")
    assert message in captured.err.splitlines()[0]
    assert "Traceback" not in captured.err
    failed, good = map(json.loads, captured.out.splitlines())
    assert message in failed["error"]
    assert good["text"] == "hello hello"


def test_silence_succeeds_with_a_note(use: Use, tmp_path: Path, capsys: Captured) -> None:
    use()
    path = write(tmp_path / "a.wav", np.zeros(RATE_HZ, np.float32))

    assert main(["asr", path]) == 0

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"voiced: note: {path}: nothing to transcribe, it is silent\n"


def test_an_interruption_keeps_what_was_done_and_exits_130(
    use: Use, recording: str, capsys: Captured
) -> None:
    use(words("one"), ["two", KeyboardInterrupt()])

    assert main(["asr", "--format", "srt", recording]) == 130

    assert capsys.readouterr().out.split("\n\n")[1].endswith("two")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_text_that_finds_no_space_goes_to_standard_output(
    use: Use, recording: str, capsys: Captured
) -> None:
    use(words("one"), words("two"))

    assert main(["asr", "-o", "/dev/full", recording]) == 1

    captured = capsys.readouterr()
    assert captured.out == "one\ntwo\n"
    assert captured.err.startswith("voiced: cannot write /dev/full: no space is left")


def test_an_unwritable_output_is_refused_before_the_model_is_loaded(
    recording: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["asr", "-o", str(tmp_path / "no" / "a.txt"), recording]) == 1
    assert "no does not exist; create it" in capsys.readouterr().err
    with without_root():
        assert main(["asr", "-o", str(tmp_path / "a.txt"), recording]) == 1
    assert "no permission" in capsys.readouterr().err


def test_a_terminal_shows_progress_and_errors_beside_it(
    use: Use, recording: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    use()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    assert main(["asr", "--format", "json", recording, str(tmp_path / "missing[b].wav")]) == 1

    assert "of 10 s" in terminal.getvalue()
    assert "missing[b].wav does not exist" in terminal.getvalue()
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_named_pipe_is_a_recording_like_any_other(
    use: Use, recording: str, tmp_path: Path, capsys: Captured
) -> None:
    use()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(Path(recording).read_bytes()))
    writer.start()
    assert main(["asr", "--format", "json", str(pipe)]) == 0
    writer.join()
    of_pipe = json.loads(capsys.readouterr().out)
    use()
    assert main(["asr", "--format", "json", recording]) == 0
    of_file = json.loads(capsys.readouterr().out)
    assert of_pipe["segments"] == of_file["segments"] != []


def test_json_has_a_line_for_each_recording_also_without_a_model(
    recording: str, capsys: Captured
) -> None:
    assert main(["asr", "--format", "json", "--model", "/nowhere", recording, "-", recording]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == [recording, "-", recording]
    assert all("no model '/nowhere'" in line["error"] for line in lines)


def test_a_failure_leaves_an_older_transcript_as_it_was(
    use: Use, recording: str, tmp_path: Path, capsys: Captured
) -> None:
    use()
    old = tmp_path / "old.txt"
    old.write_text("precious")
    assert main(["asr", str(tmp_path / "nowhere.wav"), "-o", str(old)]) == 1
    assert old.read_text() == "precious"
    assert main(["asr", recording, "-o", str(old)]) == 0
    assert "precious" not in old.read_text()


# A process of its own, whose model answers as scripted.
PROGRAM = """
import sys, threading
import voiced.cli.asr
from tests.fakes import FakeModel, words
from voiced.cli.main import script
model = FakeModel({script})
voiced.cli.asr.load_model = lambda _: model
sys.argv = ["voiced", "asr", *sys.argv[1:]]
script()
"""


def run_asr(script: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{script}", script), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_signal_in_the_middle_leaves_valid_subtitles(
    recording: str, number: signal.Signals
) -> None:
    # The second reply never comes.
    script = "words('one'), lambda _: threading.Event().wait()"
    with run_asr(script, "--format", "vtt", recording) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        head = [process.stdout.readline() for _ in range(5)]
        process.send_signal(number)
        rest = process.stdout.read()
        errors = process.stderr.read()

    assert process.returncode == 130
    assert "".join(head) == "WEBVTT\n\n00:00:00.000 --> 00:00:02.016\none\n\n"
    assert rest == ""
    assert errors == "voiced: interrupted\n"


def test_a_reader_that_has_seen_enough_ends_it_quietly(recording: str) -> None:
    # More than a pipe holds.
    script = "words('one'), [f' {n}' for n in range(100)] * 1000"
    with run_asr(script, *[recording] * 200) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert process.returncode == 141
    assert "Traceback" not in errors
    assert "Exception" not in errors


def test_spoken_words_go_through_the_whole_path(tmp_path: Path, capsys: Captured) -> None:
    path = say("Hello. This is a recording.", tmp_path / "a.wav")

    # The tiny checkpoint has random weights: what it writes means nothing, but it writes.
    assert main(["asr", "--format", "json", "--model", str(CHECKPOINT), str(path)]) == 0

    fields = json.loads(capsys.readouterr().out)
    (segment,) = fields["segments"]
    assert fields["text"] == segment["text"] != ""
    assert 0 <= segment["start"] < 0.3
    assert 1.2 < segment["end"] <= fields["duration"]
