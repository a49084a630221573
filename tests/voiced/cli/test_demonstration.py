"""The commands with a model of a small world, here a random one: what they say, refuse and leave as it was."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models.lfm2_audio.random_checkpoint import write_random_checkpoint
from training.tokenizer import write_tokenizer
from voiced.cli.common import load_model
from voiced.cli.main import main

WORDS = ["turn", "on", "light", "kitchen", "hello"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model with two voices that knows few words."""
    folder = tmp_path_factory.mktemp("models") / "little"
    write_random_checkpoint(folder, preset="tiny", seed=131)
    assert write_tokenizer(folder, WORDS) <= 512, "the rows of the tiny model"
    values = {
        "name": "little",
        "voices": ["us_male", "uk_female"],
        "closed_vocabulary": True,
        "reply": {"temperature": 0, "top_k": 1},
        "max_piece_chars": 40,
        "min_piece_chars": 1,
    }
    (folder / "demonstration.json").write_text(json.dumps(values))
    return folder


@pytest.fixture(autouse=True)
def _work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("q.wav", 0.1 * np.random.default_rng(1).standard_normal(16_000), 16_000)


def options(folder: Path, **others: str) -> argparse.Namespace:
    return argparse.Namespace(**({"model": str(folder), "device": "cpu", "dtype": "auto"} | others))


@pytest.mark.parametrize(
    "command",
    [
        "run --input q.wav --output a.wav --fast --max-reply 0.4",
        "asr q.wav",
        "tts Hello -o a.wav",
        "chat --audio q.wav --text 'hello' --max-reply 0.4",
    ],
)
def test_every_command_says_in_one_line_that_it_is_the_demonstration_model(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*command.replace("'", "").split(), "--model", str(folder)])
    lines = capsys.readouterr().err.splitlines()
    [told] = [line for line in lines if "demonstration" in line]
    assert told.startswith("voiced: little answers, the demonstration model")


def test_numbers_and_punctuation_are_spoken(folder: Path) -> None:
    text = "Turn on the light, 21!"
    assert main(["tts", text, "--voice", "uk_female", "-o", "a.wav", "--model", str(folder)]) == 0
    assert soundfile.info("a.wav").frames > 0


@pytest.mark.parametrize(
    "command",
    [
        ["tts", "Turn on the fridge", "-o", "a.wav"],
        ["chat", "--audio", "q.wav", "--text", "the fridge", "-o", "a.wav"],
    ],
)
def test_words_it_does_not_know_are_named_before_anything_is_spoken(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.wav").write_bytes(b"an older file")
    assert main([*command, "--model", str(folder)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "voiced: the demonstration model little does not know 'fridge': expected" in output.err
    assert Path("a.wav").read_bytes() == b"an older file"


def test_a_voice_it_does_not_have_is_named_with_those_it_has(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "tts hello --voice us_female -o a.wav --model".split()
    assert main([*command, str(folder)]) == 2
    assert "'us_female': the demonstration model little has only us_male and uk_female" in (
        capsys.readouterr().err
    )
    assert not Path("a.wav").exists()


def test_instructions_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["chat", "--text", "hello", "--system", "Turn on the light", "--model", str(folder)]
    assert main(command) == 2
    assert "follows no instructions" in capsys.readouterr().err


def test_greedy_replies_do_not_depend_on_the_seed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for seed in "12":
        assert main(["chat", "--text", "hello", "--seed", seed, "--model", str(folder)]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


def test_it_computes_in_float32_unless_another_number_format_is_asked_for(folder: Path) -> None:
    assert load_model(options(folder)).dtype == torch.float32
    assert load_model(options(folder, dtype="bfloat16")).dtype == torch.bfloat16


def test_a_damaged_description_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    for path in folder.iterdir():
        if path.name != "demonstration.json":
            (tmp_path / "m" / path.name).symlink_to(path)
    (tmp_path / "m" / "demonstration.json").write_text('{"name": 5}')
    assert main(["asr", "q.wav", "--model", str(tmp_path / "m")]) == 1
    assert "demonstration.json: name is 5: expected a name" in capsys.readouterr().err
