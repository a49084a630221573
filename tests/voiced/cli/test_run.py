import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fakes import ScriptStep, end_of_audio, frame
from tests.speech import say
from tests.voiced.engine.fakes import FakeEngineModel
from voiced.cli import run
from voiced.cli.file_talk import EXAMPLE
from voiced.cli.main import main
from voiced.engine.core import EngineOptions
from voiced.engine.messages import Ready
from voiced.engine.runner import Loaded
from voiced.engine.thread import in_thread
from voiced.speech_model import FRAME_SAMPLES, REPLY_SAMPLING

CHECKPOINT = Path(__file__).parents[2] / "data" / "golden" / "checkpoint"
QUESTION_S = soundfile.info(EXAMPLE).duration

Use = Callable[..., FakeEngineModel]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Use:
    """Return a function that makes the command use a model with the given script; q.wav is in the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    shutil.copy(EXAMPLE, "q.wav")
    soundfile.write("silence.wav", np.zeros(16_000), 16_000)

    def use_model(script: Sequence[ScriptStep] = ()) -> FakeEngineModel:
        answer = script or ["Yes", frame(512), " well", frame(512), end_of_audio()]
        model = FakeEngineModel(lambda _: answer)
        loaded = Loaded(model, Ready(name="fake", load_s=0.0), EngineOptions(reply=REPLY_SAMPLING))
        monkeypatch.setattr(run, "launch_in_thread", lambda _: in_thread(lambda: loaded))
        return model

    return use_model


def events_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_fast_replies_as_soon_as_the_turn_is_over(use: Use) -> None:
    use()
    assert main("run --input q.wav --output a.wav --fast".split()) == 0
    sound, rate_hz = soundfile.read("a.wav")
    assert rate_hz == 24_000
    heard = np.flatnonzero(sound)
    assert len(heard) == heard[-1] - heard[0] + 1 == 2 * FRAME_SAMPLES
    assert set(sound[heard]) == {0.25}
    assert QUESTION_S - 0.1 < heard[0] / rate_hz < QUESTION_S + 1.0


def test_in_real_time_the_turns_are_the_same(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    turns = []
    for option in ("--fast", ""):
        use()
        assert main(f"run --input q.wav --output a.wav --json {option}".split()) == 0
        turns.append(
            [
                (e["event"], e["role"], e["text"])
                for e in events_of(capsys)
                if e["event"] in {"turn_ended", "text_added"}
            ]
        )
    assert turns[0] == turns[1]


def test_json_lines_tell_times_in_the_output(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use()
    assert main("run --input q.wav --output a.wav --fast --json".split()) == 0
    events = events_of(capsys)
    asked, *_, replied = [event for event in events if event["event"] == "turn_ended"]
    assert (asked["role"], asked["audio"]) == ("user", "q.wav")
    assert (replied["role"], replied["text"], replied["audio"]) == (
        "assistant",
        "Yes well",
        "a.wav",
    )
    heard = np.flatnonzero(soundfile.read("a.wav")[0])
    assert replied["audio_start_s"] == replied["start_s"] == pytest.approx(heard[0] / 24_000)
    assert replied["end_s"] == pytest.approx((heard[-1] + 1) / 24_000)
    words = [event["text"] for event in events if event["event"] == "transcribed"]
    assert words  # Of the fake: what it was told.


def test_silence_is_not_answered(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use()
    assert main("run --input silence.wav --output a.wav --fast".split()) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nobody spoke in silence.wav" in captured.err
    assert not soundfile.read("a.wav")[0].any()


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., str]:
    """Return a function that says texts into a recording, with pauses of 0.4 s."""
    pytest.importorskip("pymicro_wakeword", reason="not installed (pip install voiced[wake])")

    def say_all(*texts: str) -> str:
        parts = []
        for text in texts:
            speech, rate_hz = soundfile.read(say(text, tmp_path / "part.wav"))
            assert rate_hz == 22_050
            parts += [np.zeros(round(0.4 * rate_hz)), 0.5 * speech[np.flatnonzero(speech)[0] :]]
        soundfile.write(tmp_path / "said.wav", np.concatenate(parts), 22_050)
        return "said.wav"

    return say_all


def test_after_the_wake_word_it_answers(
    use: Use, said: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    path = said("alexa", "what can you do?")
    options = ["--output", "a.wav", "--fast", "--json", "--wake-word", "alexa"]
    assert main(["run", "--input", path, *options]) == 0
    notice, *events = events_of(capsys)
    assert notice["text"] == "asleep until you say 'alexa'"
    asked, replied = [event for event in events if event["event"] == "turn_ended"]
    assert (asked["role"], replied["text"]) == ("user", "Yes well")
    assert isinstance(asked["start_s"], float)
    assert 0.7 < asked["start_s"] < 1.5  # Most of the word is before it.


def test_without_the_wake_word_nothing_is_answered(
    use: Use, said: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    model = use()
    path = said("what can you do?")
    options = ["--output", "a.wav", "--fast", "--wake-word", "alexa"]
    assert main(["run", "--input", path, *options]) == 0
    assert f"nobody said 'alexa' and something after it in {path}" in capsys.readouterr().err
    assert not soundfile.read("a.wav")[0].any()
    assert model.num_encoded == 0


def test_where_nothing_hears_the_wake_word_it_says_what_to_install(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    monkeypatch.delitem(sys.modules, "models.wake_word", raising=False)
    monkeypatch.setitem(sys.modules, "pymicro_wakeword", None)
    options = ["--output", "a.wav", "--wake-word", "alexa"]
    assert main(["run", "--input", "q.wav", *options]) == 2
    assert "install it with 'pip install voiced[wake]'" in capsys.readouterr().err
    assert not Path("a.wav").exists()


def test_without_sound_devices_it_answers_the_example_and_says_where_the_reply_lies(
    use: Use,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use()
    monkeypatch.setattr("audio.portaudio.PortAudioCard.list_devices", lambda _: [])
    assert main(["run"]) == 0
    [reply] = tmp_path.glob("voiced-*/reply.wav")
    error = capsys.readouterr().err
    assert "no input device" in error
    assert f"the reply is in {reply}" in error


def test_a_device_that_was_asked_for_and_is_not_there_ends_it(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    monkeypatch.setattr("audio.portaudio.PortAudioCard.list_devices", lambda _: [])
    assert main("run --input-device usb".split()) == 1
    assert "no input device" in capsys.readouterr().err


def test_the_example_is_small_and_in_the_format_the_model_hears() -> None:
    info = soundfile.info(EXAMPLE)
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    assert EXAMPLE.stat().st_size < 100_000


def test_a_model_that_cannot_be_loaded_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "a.wav"), "--model", str(tmp_path)]
    assert main(["run", "--input", str(EXAMPLE), *output]) == 1
    error = capsys.readouterr().err
    assert "config.json" in error.splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--input missing.wav --output a.wav", "missing.wav"),
        ("--input q.wav --output q.wav", "q.wav is both input and output"),
        ("--input q.wav --output missing/a.wav", "the folder missing does not exist"),
        ("--input q.wav --output /dev/full --fast", "no space is left"),
        ("--input q.wav --max-reply 0", "--max-reply"),
    ],
)
def test_bad_files_are_one_sentence(
    use: Use, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    use()
    try:
        code = main(["run", *arguments.split(), "--model", str(CHECKPOINT)])
    except SystemExit as end:  # Of argparse.
        code = int(end.code or 0)
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert message in error


def test_a_checkpoint_answers_the_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.wav"
    model = ["--model", str(CHECKPOINT), "--device", "cpu"]
    assert main(["run", "--output", str(output), "--fast", "--max-reply", "2", *model]) == 0
    question = soundfile.info(EXAMPLE)
    assert soundfile.info(output).duration > question.duration + 0.08
    assert "voiced: " in capsys.readouterr().out
