import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.fakes import FakeModel, end_of_audio, frame
from voiced.cli import run
from voiced.cli.main import main
from voiced.speech_model import FRAME_SAMPLES

CHECKPOINT = Path(__file__).parents[2] / "data" / "golden" / "checkpoint"
QUESTION_S = 0.5
SILENT_SAMPLES = round(QUESTION_S * 24_000)

Use = Callable[..., FakeModel]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Use:
    """Return a function that makes the command use a model with the given script; q.wav is in the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    soundfile.write("q.wav", np.full(round(QUESTION_S * 16_000), 0.1), 16_000)

    def use_model(*script: Any) -> FakeModel:
        model = FakeModel(*(script or (["Yes", frame(512), " well", frame(512), end_of_audio()],)))
        monkeypatch.setattr("voiced.cli.run.load_model", lambda _: model)
        return model

    return use_model


def test_fast_replies_exactly_where_the_input_ends(use: Use) -> None:
    use()
    assert main("run --input q.wav --output a.wav --fast".split()) == 0
    sound, rate_hz = soundfile.read("a.wav")
    assert rate_hz == 24_000
    assert sound.tolist() == [0.0] * SILENT_SAMPLES + [0.25] * 2 * FRAME_SAMPLES


def test_in_real_time_the_reply_does_not_come_before_the_input_has_ended(use: Use) -> None:
    use()
    assert main("run --input q.wav --output a.wav".split()) == 0
    sound, _ = soundfile.read("a.wav")
    heard = np.flatnonzero(sound)
    assert heard[0] >= SILENT_SAMPLES
    assert len(heard) == 2 * FRAME_SAMPLES


def test_json_lines_tell_times_in_the_output(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use()
    assert main("run --input q.wav --output a.wav --fast --json".split()) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(e["event"], e["role"], e["text"], e["start_s"]) for e in events] == [
        ("turn_ended", "user", "", 0.0),
        ("text_added", "assistant", "Yes", 0.5),
        ("text_added", "assistant", " well", 0.58),
        ("turn_ended", "assistant", "Yes well", 0.5),
    ]
    assert (events[-1]["end_s"], events[-1]["audio"], events[-1]["audio_start_s"]) == (
        0.66,
        "a.wav",
        0.5,
    )


def test_in_real_time_the_times_are_those_of_the_output(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    main("run --input q.wav --output a.wav --json".split())
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    heard = np.flatnonzero(soundfile.read("a.wav")[0])
    assert last["audio_start_s"] == last["start_s"] == pytest.approx(heard[0] / 24_000, abs=1e-3)
    assert last["end_s"] == pytest.approx((heard[-1] + 1) / 24_000, abs=1e-3)


def test_without_input_it_answers_the_example_and_says_where_the_reply_lies(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = use()
    assert main(["run", "--fast"]) == 0
    [reply] = tmp_path.glob("voiced-*/reply.wav")
    error = capsys.readouterr().err
    assert "no live assistant with microphone and speaker yet" in error
    assert f"the reply is in {reply}" in error
    assert len(model.conversations[0].turns[1].audio[0]) == soundfile.info(run.EXAMPLE).frames


def test_the_example_is_small_and_in_the_format_the_model_hears() -> None:
    info = soundfile.info(run.EXAMPLE)
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    assert run.EXAMPLE.stat().st_size < 100_000


def test_where_the_example_is_missing_it_says_what_to_do(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    monkeypatch.setattr(run, "EXAMPLE", Path("elsewhere/question.wav"))
    assert main(["run"]) == 2
    assert "give --input Q.wav --output A.wav" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_played_and_exits_130(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use([frame(512), KeyboardInterrupt()])
    assert main("run --input q.wav --output a.wav --fast".split()) == 130
    assert soundfile.info("a.wav").frames == SILENT_SAMPLES + FRAME_SAMPLES // 2
    assert "a.wav" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--input missing.wav --output a.wav", "missing.wav"),
        ("--input q.wav --output q.wav", "q.wav is both input and output"),
        ("--input q.wav --output missing/a.wav", "the folder missing does not exist"),
        ("--input q.wav --output /dev/full --fast", "no space is left"),
    ],
)
def test_bad_files_are_one_sentence(
    use: Use, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    use()
    assert main(["run", *arguments.split()]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("voiced: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_checkpoint_answers_the_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.wav"
    model = ["--model", str(CHECKPOINT), "--device", "cpu"]
    assert main(["run", "--output", str(output), "--fast", "--max-reply", "2", *model]) == 0
    question = soundfile.info(run.EXAMPLE)
    assert soundfile.info(output).duration > question.duration + 0.08
    assert "assistant: " in capsys.readouterr().out
