"""Trains voiced-mini from nothing to a model folder; called again, goes on where it was left.

On a CPU two stages run side by side, one a core: the encoder learns to hear while the codec, and then the backbone,
learn to speak. Run: make train-mini, or python -m training.run --to FOLDER
"""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from training.curves import draw
from training.export import export
from training.setting import SEED
from training.state import default_folder

# Minutes of each stage. On a GPU the codec and the backbone need fewer; the encoder waits for the sounds to be made.
CPU_MINUTES = {"codec": 20, "hearing": 75, "imagined": 60, "speaking": 180}
CUDA_MINUTES = {"codec": 4, "hearing": 8, "imagined": 4, "speaking": 12}
NUM_PHRASES, LEAST_PHRASES = 24_000, 200


def positive_part(text: str) -> float:
    """Return a part of the usual time; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0, at most 100")
    return value


def stage(module: str, *options: object) -> list[str]:
    """Return the command line of one stage."""
    return [sys.executable, "-m", f"training.{module}", *map(str, options)]


def run_side_by_side(chains: Sequence[Sequence[list[str]]]) -> None:
    """Run chains of commands at the same time, those of one chain one after the other.

    Raises:
        SystemExit: a command failed; the others are stopped. What they saved stays, and another call goes on from there.
    """
    waiting = [list(chain) for chain in chains]
    running: dict[int, tuple[subprocess.Popen[bytes], list[str]]] = {}  # By the chain's index.
    try:
        while running or any(waiting):
            for index, chain in enumerate(waiting):
                if index not in running and chain:
                    command = chain.pop(0)
                    running[index] = (subprocess.Popen(command), command)
            pid, status = os.wait()
            for index, (process, command) in list(running.items()):
                if process.pid == pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    del running[index]
                    if process.returncode:
                        raise SystemExit(
                            f"training.run: {' '.join(command)} ended with {process.returncode}; "
                            "mend what it says above and call again"
                        )
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description=__doc__)
    parser.add_argument(
        "--state",
        type=Path,
        default=default_folder(),
        metavar="FOLDER",
        help="where states and made data lie (default: %(default)s)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        default=Path("voiced/mini"),
        metavar="FOLDER",
        help="the model folder to write (default: %(default)s)",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--part",
        type=positive_part,
        default=1.0,
        help="of the usual time, for each stage: 0.01 tries everything in minutes (default: all of it)",
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="of what is drawn (default: %(default)s)"
    )
    args = parser.parse_args()
    is_cuda = torch.cuda.is_available() and args.device != "cpu"
    usual = CUDA_MINUTES if is_cuda else CPU_MINUTES
    minutes = {name: args.part * value for name, value in usual.items()}
    num_phrases = max(LEAST_PHRASES, round(min(1.0, args.part) * NUM_PHRASES))
    state = ("--state", args.state)
    where = (*state, "--device", args.device, "--seed", args.seed)
    run_side_by_side(
        [
            [stage("hearing", *where, "--minutes", minutes["hearing"])],
            [
                stage("codec", *where, "--minutes", minutes["codec"]),
                stage("codes", *state, "--count", num_phrases),
                stage("speaking", *where, "--minutes", minutes["imagined"], "--imagined"),
            ],
        ]
    )
    threads = ("--threads", os.cpu_count() or 1)
    run_side_by_side([[stage("speaking", *where, "--minutes", minutes["speaking"], *threads)]])
    size = export(args.state, args.to)
    print(f"{args.to}: {size / 1e6:.1f} MB; measure it with 'make eval-mini'")
    with contextlib.suppress(FileNotFoundError):  # A trial is too short for a log.
        draw(args.state, args.state / "curves.png")


if __name__ == "__main__":
    main()
