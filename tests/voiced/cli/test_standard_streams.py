"""Standard streams that are closed or full end a command with one sentence."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINT = shlex.quote(str(ROOT / "tests" / "data" / "golden" / "checkpoint"))


def run_in_shell(arguments: str) -> subprocess.CompletedProcess[str]:
    """Run voiced with redirections, which only a shell can make."""
    return subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m voiced.cli.main {arguments}"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "models >/dev/full",
        "models --json >/dev/full",
        "doctor >/dev/full",
        "models >&-",
    ],
)
def test_output_that_cannot_be_written_is_told_in_one_sentence(arguments: str) -> None:
    done = run_in_shell(arguments)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "no full model is installed" not in line]
    assert len(errors) == 1
    assert errors[0].startswith("voiced: cannot write to standard output: ")
    assert errors[0].endswith("; send it elsewhere")


def test_sound_to_a_closed_output_is_told_in_one_sentence() -> None:
    done = run_in_shell(f"tts Hello. -o - --model {CHECKPOINT} >&-")
    assert done.returncode == 1
    assert done.stderr.startswith("voiced: cannot write")
    assert done.stderr.count("\n") == 1
    assert "standard output" in done.stderr


def test_text_from_a_closed_input_is_told_in_one_sentence() -> None:
    done = run_in_shell("tts - -o /dev/null <&-")
    assert done.returncode == 2
    assert done.stderr.startswith("voiced: cannot read standard input: ")
    assert done.stderr.count("\n") == 1


def test_a_recording_from_a_closed_input_is_told() -> None:
    done = run_in_shell("asr - <&-")
    assert done.returncode in (1, 2)
    assert "standard input" in done.stderr
    assert "internal error" not in done.stderr


def test_errors_do_not_go_into_the_output_when_there_is_nowhere_else() -> None:
    done = run_in_shell("tts '' -o - 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_the_output_may_be_closed_where_nothing_is_written_to_it(tmp_path: Path) -> None:
    done = run_in_shell(
        f"tts Hello. -o {shlex.quote(str(tmp_path / 'a.wav'))} --model {CHECKPOINT} >&- <&-"
    )
    assert done.returncode == 0
    assert (tmp_path / "a.wav").stat().st_size > 44
