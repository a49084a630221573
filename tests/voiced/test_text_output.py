"""What a command writes arrives, or what happened to it is said."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.permissions import without_root
from voiced.errors import OutputError
from voiced.text_output import TextOutput


@contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """Let no file grow beyond so much, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_file_has_each_text_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with TextOutput(path, on_failure=pytest.fail) as output:
        output.write("höre ")
        assert path.read_text("utf-8") == "höre "
        output.write("es")
    assert path.read_text("utf-8") == "höre es"
    assert not output.failed


def test_text_that_the_file_cannot_take_goes_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failures: list[str] = []
    with TextOutput(tmp_path / "a.txt", on_failure=failures.append) as output, file_size_limit(10):
        output.write("in the file\n"[:10])
        output.write("second\n")
        output.write("third\n")

    assert capsys.readouterr().out == "second\nthird\n"
    assert (tmp_path / "a.txt").read_text() == "in the fil"
    assert output.failed
    assert len(failures) == 1
    assert "a.txt: no space is left" in failures[0]


def test_paths_that_cannot_be_written_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "no" / "a.txt", "does not exist"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(OutputError, match=message):
            TextOutput(path, on_failure=pytest.fail)
    with without_root(), pytest.raises(OutputError, match="no permission"):
        TextOutput(tmp_path / "a.txt", on_failure=pytest.fail)


def run_python(code: str, *, stdout: int) -> subprocess.CompletedProcess[str]:
    prelude = (
        "from voiced.text_output import TextOutput\nout = TextOutput(None, on_failure=print)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error_and_no_second_one_at_exit() -> None:
    code = "from voiced.errors import OutputError\ntry: out.write('x')\nexcept OutputError as e: raise SystemExit(str(e))"
    with open("/dev/full", "wb") as full:
        done = run_python(code, stdout=full.fileno())

    assert done.returncode == 1
    assert done.stderr.startswith("cannot write standard output: no space is left")
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_of_another_encoding_gets_question_marks() -> None:
    done = run_python("out.write('caf\\u00e9\\n')", stdout=subprocess.PIPE)

    assert (done.returncode, done.stdout) == (0, "caf?\n")
