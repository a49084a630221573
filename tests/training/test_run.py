"""Stages run side by side, those of a chain one after the other."""

import importlib
import os
import sys
from pathlib import Path

import psutil
import pytest

from training.run import CPU_MINUTES, CUDA_MINUTES, run_side_by_side, stage


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-S", "-c", f"import sys; {code}", *map(str, arguments)]


def write(path: Path, text: str) -> list[str]:
    return python("open(sys.argv[1], 'a').write(sys.argv[2])", path, text)


def test_the_commands_of_a_chain_run_in_order(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    run_side_by_side([[write(one, "1"), write(one, "2"), write(one, "3")], [write(other, "4")]])
    assert (one.read_text(), other.read_text()) == ("123", "4")


def test_chains_run_at_the_same_time(tmp_path: Path) -> None:
    # Each waits until the other has opened the pipe.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    run_side_by_side(
        [[python("open(sys.argv[1], 'w').close()", pipe)], [python("open(sys.argv[1])", pipe)]]
    )


def test_a_failure_names_the_command_stops_the_others_and_runs_nothing_more(
    tmp_path: Path,
) -> None:
    pipe, never = tmp_path / "pipe", tmp_path / "never"
    os.mkfifo(pipe)
    waiting = python(
        "import os, signal; print(os.getpid(), file=open(sys.argv[1], 'w')); signal.pause()", pipe
    )
    failing = python(
        "open(sys.argv[2], 'w').write(open(sys.argv[1]).read()); sys.exit(3)",
        pipe,
        tmp_path / "pid",
    )
    with pytest.raises(SystemExit, match=r"training\.run: .* ended with 3; mend what it says"):
        run_side_by_side([[waiting], [failing, write(never, "")]])
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert not never.exists()


def test_no_chains_are_run_at_once() -> None:
    run_side_by_side([[], []])


def test_a_stage_is_a_module_of_training_with_its_options() -> None:
    assert stage("codec", "--minutes", 20) == [
        sys.executable,
        "-m",
        "training.codec",
        "--minutes",
        "20",
    ]


def test_no_stage_is_given_no_time() -> None:
    assert CPU_MINUTES.keys() == CUDA_MINUTES.keys()
    assert min(*CPU_MINUTES.values(), *CUDA_MINUTES.values()) > 0


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("hearing", "--minutes 0", "expected minutes, above 0"),
        ("hearing", "--minutes -1", "expected minutes, above 0"),
        ("hearing", "--minutes nan", "expected minutes, above 0"),
        ("codec", "--threads 0", "expected a whole number from 1"),
        ("codec", "--device cuda", "there is no CUDA device here"),
        ("codes", "--count -3", "expected a whole number from 1"),
        ("codes", "", "'python -m training.codec' leaves"),
        ("speaking", "", "'python -m training.codec' leaves"),
        ("export", "--to out", "'python -m training.codec' leaves"),
        ("run", "--part 0", "expected a number above 0"),
        ("evaluate", "--model nowhere", "nowhere"),
    ],
)
def test_bad_options_and_missing_states_are_one_sentence(
    module: str,
    options: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    state = [] if module == "run" else ["--state", str(tmp_path / "state")]
    monkeypatch.setattr(sys, "argv", [module, *options.split(), *state])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"training.{module}").main()
    assert ended.value.code not in (0, None)
    told = f"{capsys.readouterr().err}{ended.value.code}"
    assert message in told
    assert "Traceback" not in told
