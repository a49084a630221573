"""Options and helpers that several commands share."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.lfm2_audio import Lfm2Audio

# The work of a smaller model's step is too little to share: its threads mostly wait for each other, and where other
# programs compute too a reply took 67 s of processor time instead of 5 (hidden size 64, 2 cores, November 2026).
SHARED_FROM_HIDDEN_SIZE = 512


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, `--device` and `--dtype`."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="a folder, a hub name such as LiquidAI/LFM2.5-Audio-1.5B, or an alias listed by 'voiced models'",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    group.add_argument(
        "--dtype",
        choices=("auto", "bfloat16", "float16", "float32"),
        default="auto",
        help="number format to compute in (default: the checkpoint's own; float32 for voiced-mini on a CPU)",
    )


def load_model(args: argparse.Namespace) -> "Lfm2Audio":
    """Find and load the model that the options ask for; says on standard error when it is no full one.

    Raises:
        UsageError: no such model or device.
        CheckpointError: the folder is incomplete, damaged or of another model.
    """
    import torch

    from models.lfm2_audio import Lfm2Audio
    from voiced.demonstration import read_demonstration
    from voiced.weights import announce, choose_device, choose_dtype, find_model

    found = find_model(args.model)
    announce(found)
    device, dtype = choose_device(args.device), choose_dtype(args.dtype)
    # voiced-mini's weights are bfloat16 for the size of the file. Computing in float32 on a CPU takes two thirds of the
    # time: 0.16 of a reply's length against 0.26 (one thread; with two 0.14 against 0.22; 2 Zen 4 cores, November 2026).
    if dtype is None and device == "cpu" and read_demonstration(found.folder) is not None:
        dtype = torch.float32
    model = Lfm2Audio.load(found.folder, device=device, dtype=dtype)
    if model.config.lfm.hidden_size < SHARED_FROM_HIDDEN_SIZE:
        torch.set_num_threads(1)
    return model
