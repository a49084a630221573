import argparse
from pathlib import Path

import pytest

from voiced.cli import install_service
from voiced.errors import OutputError, UsageError
from voiced.service_unit import is_as_written, unit_text


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for variable in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(tmp_path / variable.lower()))
    return tmp_path / "config" / "systemd" / "user" / "voiced.service"


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    install_service.add_parser(parser.add_subparsers())
    args = parser.parse_args(["install-service", *arguments])
    return int(args.run(args))


def test_the_unit_is_written_and_what_to_run_next_is_said(
    unit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert is_as_written(unit.read_text())
    out = capsys.readouterr().out
    assert out.startswith(f"wrote {unit}\n")
    assert "systemctl --user enable --now voiced.service" in out
    assert (tmp_path / "state" / "voiced").is_dir()


def test_the_folder_of_recordings_can_be_written_to(unit: Path, tmp_path: Path) -> None:
    (tmp_path / "config" / "voiced").mkdir(parents=True)
    config = tmp_path / "config" / "voiced" / "config.toml"
    config.write_text(f'[session]\nrecord = "{tmp_path}/talks"\n')
    run()
    assert f" {tmp_path}/talks\n" in unit.read_text()
    assert (tmp_path / "talks").is_dir()


def test_variables_of_this_shell_are_not_the_service_s(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_RECORD", str(tmp_path / "elsewhere"))
    run()
    assert "elsewhere" not in unit.read_text()


def test_it_can_be_printed_without_writing(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--print") == 0
    assert is_as_written(capsys.readouterr().out)
    assert not unit.exists()


def test_the_same_unit_is_left_as_it_is(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    before = unit.stat().st_mtime_ns
    capsys.readouterr()
    assert run() == 0
    assert capsys.readouterr().out.startswith("unchanged")
    assert unit.stat().st_mtime_ns == before


def test_a_unit_of_an_earlier_version_is_replaced(unit: Path) -> None:
    unit.parent.mkdir(parents=True)
    unit.write_text(unit_text(["/old/voiced", "run"], []))
    assert run() == 0
    assert "/old/voiced" not in unit.read_text()


def test_a_unit_that_was_changed_by_hand_stays_unless_forced(unit: Path) -> None:
    run()
    changed = unit.read_text().replace("RestartSec=2", "RestartSec=9")
    unit.write_text(changed)
    with pytest.raises(UsageError, match=r"was changed by hand .*--force"):
        run()
    assert unit.read_text() == changed
    assert run("--force") == 0
    assert "RestartSec=2" in unit.read_text()


def test_a_place_that_takes_no_unit_is_told(unit: Path, tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    with pytest.raises(OutputError, match="cannot write"):
        run()
