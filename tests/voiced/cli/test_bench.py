import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fakes import ScriptStep, frame
from tests.voiced.engine.fakes import FakeEngineModel
from voiced.cli import bench
from voiced.cli.main import main
from voiced.engine.core import EngineOptions
from voiced.engine.messages import Ready
from voiced.engine.runner import Loaded
from voiced.engine.thread import in_thread
from voiced.speech_model import REPLY_SAMPLING

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def talkative_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command use an engine whose replies last 8 s."""
    answer: list[ScriptStep] = ["Well", *[frame(512)] * 100]
    model = FakeEngineModel(lambda _: answer)
    loaded = Loaded(model, Ready(name="fake", load_s=0.0), EngineOptions(reply=REPLY_SAMPLING))
    monkeypatch.setattr(bench, "launch_in_process", lambda _: in_thread(lambda: loaded))


def test_every_wait_is_told_with_and_without_prepared_replies(capsys: Capture) -> None:
    assert main("bench turn --turns 2 --json".split()) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for is_preemptive in (True, False):
        waits = {row["wait"]: row for row in rows if row["preemptive"] is is_preemptive}
        assert waits["decision to first sound"]["num"] == 2
        assert waits["speech end to first sound"]["p50_s"] >= 0.3  # The least wait for more words.
        assert waits["barge-in to silence"]["num"] == 2  # By voice, and by key.
    assert {row["num"] for row in rows} == {2}


def test_for_readers_there_are_two_tables(capsys: Capture) -> None:
    assert main("bench turn --turns 1".split()) == 0
    told = capsys.readouterr().out
    assert told.count("decision to first sound") == 2
    assert "replies prepared in pauses, 1 turns" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--turns 0", "expected a whole number from 1 to 10000"),
        ("--turns many", "expected a whole number from 1 to 10000"),
        ("--question missing.wav", "missing.wav does not exist"),
        ("--model nowhere", "nowhere"),
    ],
)
def test_bad_options_are_told_before_anything_is_measured(
    capsys: Capture, arguments: str, message: str
) -> None:
    try:
        code = main(["bench", "turn", *arguments.split()])
    except SystemExit as end:  # Of argparse.
        code = int(end.code or 0)
    captured = capsys.readouterr()
    assert code in (1, 2)
    assert message in captured.err
    assert captured.out == ""


def test_a_question_that_nobody_asks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("voiced.live.measuring.ANSWER_S", 1.0)
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    assert main(["bench", "turn", "--turns", "1", "--question", str(path)]) == 1
    assert "question 1 was not answered within 1 s" in capsys.readouterr().err
