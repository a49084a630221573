"""`voiced models` and `voiced doctor`, as a user and a program see them."""

import json
import shutil
from pathlib import Path

import pytest

from voiced.cli.main import main
from voiced.weights import find_model, installed_folder

CHECKPOINT = Path(__file__).resolve().parents[2] / "data" / "golden" / "checkpoint"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def install(repository: str) -> Path:
    folder = installed_folder(repository)
    shutil.copytree(CHECKPOINT, folder)
    return folder


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert main(["models", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["name"]: row for row in rows}


def test_an_empty_machine_lists_what_can_be_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    output = capsys.readouterr()
    assert output.out.count("not installed") == 3
    assert "'voiced pull lfm2.5-audio'" in output.err


def test_an_installed_model_is_listed_with_place_and_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = install("LiquidAI/LFM2-Audio-1.5B")
    row = listed(capsys)["LiquidAI/LFM2-Audio-1.5B"]
    assert (row["alias"], row["state"], row["folder"]) == ("lfm2-audio", "installed", str(folder))
    assert row["size_bytes"] == sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file()
    )
    assert main(["models"]) == 0
    assert str(folder) in capsys.readouterr().out


def test_an_incomplete_model_a_stranger_and_the_stand_in_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (install("LiquidAI/LFM2.5-Audio-1.5B") / "tokenizer.json").unlink()
    install("someone/else--x")
    find_model("random")
    rows = listed(capsys)
    assert rows["LiquidAI/LFM2.5-Audio-1.5B"]["state"] == "incomplete"
    assert rows["LiquidAI/LFM2.5-Audio-1.5B"]["default"] is True
    assert rows["someone/else--x"]["state"] == "installed"
    assert rows["random"]["state"] == "installed"


def test_a_machine_without_a_model_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[0] == "wrong"] == []
    assert lines[0].startswith("ok     Python")
    assert "'voiced pull lfm2.5-audio' fetches one" in lines[-1]


def test_doctor_checks_every_installed_model(capsys: pytest.CaptureFixture[str]) -> None:
    install("LiquidAI/LFM2.5-Audio-1.5B")
    (install("LiquidAI/LFM2-Audio-1.5B") / "config.json").write_text("{}")
    assert main(["doctor", "--json"]) == 1
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = [row["state"] for row in findings if row["about"] == "weights"]
    assert states[:2] == ["ok", "wrong"], "what comes with voiced is checked after them"


def test_doctor_checks_a_model_that_was_fetched_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    (install("someone/else") / "tokenizer.json").unlink()
    assert main(["doctor"]) == 1
    assert "someone/else in" in capsys.readouterr().out


def test_doctor_checks_the_folder_that_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["doctor", "--model", str(tmp_path / "empty")]) == 1
    assert "lacks config.json, tokenizer.json, model.safetensors" in capsys.readouterr().out


def test_doctor_of_an_unknown_model_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", "lfm9"]) == 2
    assert capsys.readouterr().err.startswith("voiced: no model 'lfm9'")
