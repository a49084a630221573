"""What every trainer asks at the command line, and the device, threads and batch that follow from it."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from training.state import default_folder

SEED = 20261122


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how a trainer computes.

    Attributes:
        device: of the model.
        batch_size: sounds or sequences in a step.
        workers: processes that make data; 0 makes them in the training process.
        seed: of everything that is drawn.
    """

    device: torch.device
    batch_size: int
    workers: int
    seed: int

    @property
    def is_cuda(self) -> bool:
        """Whether bfloat16 and large batches pay."""
        return self.device.type == "cuda"


def add_arguments(parser: argparse.ArgumentParser, *, minutes: float) -> None:
    """Add the options that all trainers have."""
    parser.add_argument(
        "--state",
        type=Path,
        default=default_folder(),
        metavar="FOLDER",
        help="where states and made data lie (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes",
        type=positive_minutes,
        default=minutes,
        help="training time in all sittings together (default: %(default)s)",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=positive_number, default=1, help="on a CPU (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        help="of what is drawn; the first weights are always the same (default: %(default)s)",
    )


def positive_minutes(text: str) -> float:
    """Return a time in minutes; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected minutes, above 0")
    return value


def positive_number(text: str) -> int:
    """Return a whole number from 1; for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1")
    return value


def needed(path: Path, stage: str) -> Path:
    """Return `path`, which another stage of the training leaves.

    Raises:
        SystemExit: it is not there.
    """
    if not path.exists():
        raise SystemExit(
            f"error: {path} is not there: expected what 'python -m training.{stage}' leaves in that folder; run that "
            "first, or all of it with 'make train-mini'"
        )
    return path


def setting(args: argparse.Namespace, *, cpu_batch: int, cuda_batch: int) -> Setting:
    """Return the setting that the parsed options ask for, and make its folder.

    Raises:
        SystemExit: there is no such device.
    """
    name = args.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: --device cuda: there is no CUDA device here; leave the option out")
    torch.set_num_threads(args.threads)
    args.state.mkdir(parents=True, exist_ok=True)
    is_cuda = name == "cuda"
    return Setting(
        device=torch.device(name),
        batch_size=cuda_batch if is_cuda else cpu_batch,
        workers=max(1, (os.cpu_count() or 2) - 2) if is_cuda else 0,
        seed=args.seed,
    )
