import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from voiced.service_unit import NAME, is_as_written, own_command, unit_text

COMMAND = ["/usr/bin/voiced", "run"]


def exposure(path: Path) -> float:
    """Return systemd's own rating of a unit, from 0 to 10."""
    result = subprocess.run(
        ["systemd-analyze", "--user", "security", "--offline=true", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"XDG_RUNTIME_DIR": str(path.parent), "LC_ALL": "C"},
    )
    match = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    if match is None:
        pytest.skip(f"this systemd-analyze rates no files: {result.stderr.strip()}")
    return float(match[1])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_what_the_service_may_do_is_bounded(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(unit_text(COMMAND, [Path("/home/ann/.cache/voiced")]))
    assert exposure(tmp_path / NAME) <= 2.0


def test_it_runs_the_command_and_may_write_to_its_folders() -> None:
    text = unit_text(COMMAND, [Path("/a"), Path("/b")])
    assert "\nExecStart=/usr/bin/voiced run\n" in text
    assert "\nReadWritePaths=/a /b\n" in text
    assert "\nType=notify\n" in text


def test_what_means_something_in_units_is_escaped() -> None:
    text = unit_text(["/o p/50%/$x", 'a"b'], [Path("/o p/50%/$x")])
    assert '\nExecStart="/o p/50%%/$$x" "a\\"b"\n' in text
    assert '\nReadWritePaths="/o p/50%%/$x"\n' in text


def test_a_unit_that_somebody_changed_is_told_from_one_that_was_written() -> None:
    text = unit_text(COMMAND, [])
    assert is_as_written(text)
    assert not is_as_written(text.replace("RestartSec=2", "RestartSec=9"))
    assert not is_as_written("[Service]\nExecStart=/bin/true\n")
    assert not is_as_written("")


def test_the_command_is_found_by_an_absolute_path() -> None:
    command = own_command()
    assert Path(command[0]).is_absolute()
    assert command[-1] == "run"
