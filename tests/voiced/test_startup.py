"""Something else called `audio` is named, not imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voiced.startup import describe_shadow

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, *, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m voiced.cli.main --version` in `folder`, with `first` before the project in PYTHONPATH."""
    paths = [str(path) for path in (first, ROOT) if path is not None]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    env.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, "-m", "voiced.cli.main", "--version"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["audio", "models", "protocols"])
def test_a_script_that_shadows_a_package_is_named(tmp_path: Path, name: str) -> None:
    shadow = tmp_path / f"{name}.py"
    shadow.write_text("raise SystemExit('the wrong file was executed')")
    result = start(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"voiced: package '{name}' is {shadow}: expected {ROOT / name}")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_package_in_pythonpath_that_shadows_ours_is_named(tmp_path: Path) -> None:
    other, elsewhere = tmp_path / "other" / "audio", tmp_path / "elsewhere"
    other.mkdir(parents=True)
    elsewhere.mkdir()
    (other / "__init__.py").touch()
    result = start(elsewhere, first=other.parent)
    assert result.returncode == 1
    assert result.stderr.startswith(f"voiced: package 'audio' is {other}: expected")
    assert "PYTHONPATH" in result.stderr


def test_a_folder_without_code_does_not_shadow(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "models").mkdir()
    result = start(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_packages_in_one_place_are_accepted() -> None:
    assert describe_shadow(ROOT) is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("audio", "models", "protocols", "voiced"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [sys.meta_path[-1]])
    message = describe_shadow(tmp_path)
    assert message is not None
    assert message.startswith("package 'audio' is missing")
