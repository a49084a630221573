import argparse
import json
import tomllib
from pathlib import Path

import pytest

from voiced.cli import config
from voiced.cli.settings import add_setting_options, load_settings
from voiced.configuration import SETTINGS
from voiced.errors import OutputError, UsageError


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)
    (tmp_path / "voiced").mkdir()
    return tmp_path / "voiced" / "config.toml"


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    config.add_parser(parser.add_subparsers())
    args = parser.parse_args(["config", *arguments])
    return int(args.run(args))


def test_every_setting_is_shown_with_where_it_comes_from(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("[sound]\nheadset = true\n")
    monkeypatch.setenv("VOICED_DEVICE", "cpu")
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# {path}"
    assert 'device = "cpu"            # from the variable VOICED_DEVICE' in lines
    assert f"headset = true            # from {path}:2" in lines
    assert "max_reply_s = 60          # default" in lines
    assert "# record                  # not set" in lines


def test_what_is_shown_can_be_kept_as_a_file(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    shown = tomllib.loads(capsys.readouterr().out)
    names = {name for section in shown.values() for name in section}
    assert names == {name for name, setting in SETTINGS.items() if setting.default is not None}


def test_json_has_one_object_a_line_and_setting(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text('[session]\nrecord = "/talks"\n')
    assert run("--json") == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["key"] for one in objects] == [setting.key for setting in SETTINGS.values()]
    assert objects[-1] == {
        "key": "session.record",
        "value": "/talks",
        "origin": "file",
        "where": f"{path}:2",
        "variable": "VOICED_RECORD",
    }


def test_a_file_that_explains_everything_is_written_and_sets_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--init") == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    text = path.read_text()
    assert all(not section for section in tomllib.loads(text).values())
    assert all(f"# {name} = " in text for name in SETTINGS)


def test_its_examples_are_valid(path: Path) -> None:
    text = config.template().replace("\n# ", "\n")
    path.write_text("\n".join(line for line in text.splitlines() if " = " in line or "[" in line))
    assert load_settings(argparse.Namespace()).configuration.engine.threads == 4


def test_a_file_that_is_there_stays(path: Path) -> None:
    path.write_text("# mine\n")
    with pytest.raises(UsageError, match="is there already and stays as it is"):
        run("--init")
    assert path.read_text() == "# mine\n"


def test_a_place_that_takes_no_file_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot write"):
        run("--init")


def test_settings_become_options_of_a_command(path: Path) -> None:
    path.write_text("[sound]\nheadset = true\n[reply]\nmax_reply_s = 5\n")
    parser = argparse.ArgumentParser()
    add_setting_options(parser, SETTINGS)
    args = parser.parse_args("--no-headset --max-reply 7 --transcripts off".split())
    loaded = load_settings(args)
    assert not loaded.configuration.sound.headset
    assert loaded.configuration.reply.max_reply_s == 7.0
    assert loaded.configuration.reply.transcripts == "off"
    assert loaded.values["max_reply_s"].where == "--max-reply"


def test_a_wrong_option_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_setting_options(parser, ["max_reply_s"])
    with pytest.raises(SystemExit):
        parser.parse_args("--max-reply 0".split())
    assert "expected a number of seconds from 0.1 to 600" in capsys.readouterr().err
