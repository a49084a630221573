"""Trains voiced-mini from nothing to a model folder; called again, goes on where it was left.

On a CPU two stages run side by side, one a core: the encoder learns to hear while the codec, and then the backbone,
learn to speak. Run: make train-mini, or python -m training.run --to FOLDER
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from training.export import export
from training.state import default_folder

# Minutes of each stage. On a GPU the codec and the backbone need fewer; the encoder waits for the sounds to be made.
CPU_MINUTES = {"codec": 20, "hearing": 75, "imagined": 60, "speaking": 180}
CUDA_MINUTES = {"codec": 4, "hearing": 8, "imagined": 0, "speaking": 12}
NUM_PHRASES = 24_000


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
    args = parser.parse_args()
    minutes = CUDA_MINUTES if torch.cuda.is_available() else CPU_MINUTES
    state = ("--state", args.state)
    run_side_by_side(
        [
            [stage("hearing", *state, "--minutes", minutes["hearing"])],
            [
                stage("codec", *state, "--minutes", minutes["codec"]),
                stage("codes", *state, "--count", NUM_PHRASES),
                stage("speaking", *state, "--minutes", minutes["imagined"], "--imagined"),
            ],
        ]
    )
    threads = ("--threads", os.cpu_count() or 1)
    run_side_by_side([[stage("speaking", *state, "--minutes", minutes["speaking"], *threads)]])
    size = export(args.state, args.to)
    print(f"{args.to}: {size / 1e6:.1f} MB; measure it with 'make eval-mini'")


if __name__ == "__main__":
    main()
