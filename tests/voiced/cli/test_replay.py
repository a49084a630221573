import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.chunk import AudioChunk
from tests.fakes import ScriptStep, end_of_audio, frame
from tests.voiced.engine.fakes import FakeEngineModel
from voiced.cli import replay, run
from voiced.cli.file_talk import EXAMPLE
from voiced.cli.main import main
from voiced.commands import EnterText, Quit, ToggleMute
from voiced.engine.core import EngineOptions
from voiced.engine.messages import Ready
from voiced.engine.runner import Loaded
from voiced.engine.thread import in_thread
from voiced.session_recording import SessionRecording
from voiced.speech_model import REPLY_SAMPLING

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make the commands use an engine that says "Yes well"; q.wav is in the folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLE, "q.wav")
    answer: list[ScriptStep] = ["Yes", frame(512), " well", frame(512), end_of_audio()]
    model = FakeEngineModel(lambda _: answer)
    loaded = Loaded(model, Ready(name="fake", load_s=0.0), EngineOptions(reply=REPLY_SAMPLING))
    for command in (run, replay):
        monkeypatch.setattr(command, "launch_in_thread", lambda _: in_thread(lambda: loaded))


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that records a talk in which the example question is asked."""

    def record(*commands: tuple[float, ToggleMute | EnterText | Quit], **settings: object) -> Path:
        folder = tmp_path / "talk"
        folder.mkdir()
        keys = {name.replace("__", "."): value for name, value in settings.items()}
        recording = SessionRecording(folder, settings=keys, on_notice=print)  # type: ignore[arg-type]
        sound, _ = soundfile.read("q.wav", dtype="float32")
        recording.microphone(AudioChunk(sound, 16_000))
        for at_s, command in commands:
            recording.happened(command, at_s)
        recording.close()
        return folder

    return record


def events_of(capsys: Capture) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def turns_of(events: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(e["role"], e["text"], e["ended"]) for e in events if e["event"] == "turn_ended"]


def test_a_talk_that_was_recorded_runs_again_with_the_same_turns_and_sound(capsys: Capture) -> None:
    question, rate_hz = soundfile.read("q.wav")
    soundfile.write("long.wav", np.pad(question, (0, 3 * rate_hz)), rate_hz)  # Ends by silence.
    assert main("run --input long.wav --output a.wav --fast --json --record talks".split()) == 0
    first = events_of(capsys)
    [talk] = Path("talks").iterdir()
    assert main(f"replay {talk} --output b.wav --fast --json".split()) == 0
    again = events_of(capsys)
    assert turns_of(again) == turns_of(first)
    assert turns_of(first)[-1] == ("assistant", "Yes well", "end")
    sounds = [soundfile.read(name)[0] for name in ("a.wav", "b.wav")]
    begins = [np.flatnonzero(sound)[0] for sound in sounds]
    assert begins[0] == begins[1]
    assert again[-1]["audio"] == "b.wav"


def test_both_sides_of_a_talk_on_files_are_recorded_in_step(capsys: Capture) -> None:
    assert main("run --input q.wav --output a.wav --fast --record talks".split()) == 0
    [talk] = Path("talks").iterdir()
    assert f"recording both sides in {talk}" in capsys.readouterr().out
    heard, heard_hz = soundfile.read(talk / "microphone.wav")
    played, played_hz = soundfile.read(talk / "speaker.wav")
    question, reply = soundfile.read("q.wav")[0], soundfile.read("a.wav")[0]
    assert heard_hz == played_hz == 16_000
    assert np.array_equal(heard[: len(question)], question)
    [begin, *_], [first, *_] = np.flatnonzero(np.abs(played) > 0.1), np.flatnonzero(reply)
    assert begin / 16_000 == pytest.approx(first / 24_000, abs=0.002)


def test_what_was_said_while_muted_is_not_heard(keep: Callable[..., Path], capsys: Capture) -> None:
    folder = keep((0.0, ToggleMute()), (60.0, ToggleMute()))
    assert main(f"replay {folder} --output a.wav --fast --json".split()) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nobody spoke" in captured.err


def test_written_text_is_answered_and_quitting_ends_the_talk(
    keep: Callable[..., Path], capsys: Capture
) -> None:
    folder = keep((0.1, EnterText("hello")), (0.2, Quit()), (0.3, EnterText("more")))
    assert main(f"replay {folder} --output a.wav --fast --json".split()) == 0
    assert turns_of(events_of(capsys)) == [
        ("user", "hello", "end"),
        ("assistant", "Yes well", "end"),
    ]


def test_the_settings_of_the_talk_are_in_force_and_options_above_them(
    keep: Callable[..., Path], capsys: Capture
) -> None:
    folder = keep(turns__push_to_talk=True, session__record="/nowhere")
    assert main(f"replay {folder} --output a.wav --fast --json".split()) == 0
    assert capsys.readouterr().out == ""
    assert main(f"replay {folder} --output a.wav --fast --json --no-push-to-talk".split()) == 0
    assert turns_of(events_of(capsys))[-1][:2] == ("assistant", "Yes well")


@pytest.mark.parametrize(
    ("spoil", "message", "code"),
    [
        (shutil.rmtree, "give the folder of one talk", 2),
        (lambda folder: (folder / "microphone.wav").unlink(), "microphone.wav", 1),
        (lambda folder: (folder / "microphone.wav").write_text("x"), "microphone.wav", 1),
        (lambda folder: (folder / "session.json").write_text("{"), "is damaged", 2),
        (
            lambda folder: (folder / "session.json").write_text(
                '{"format": 1, "settings": {"turns.push_to_talk": 3}}'
            ),
            "turns.push_to_talk is 3: expected true or false",
            2,
        ),
    ],
)
def test_a_folder_that_holds_no_talk_is_one_sentence(
    keep: Callable[..., Path],
    capsys: Capture,
    spoil: Callable[[Path], object],
    message: str,
    code: int,
) -> None:
    folder = keep()
    spoil(folder)
    assert main(["replay", str(folder), "--fast"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
