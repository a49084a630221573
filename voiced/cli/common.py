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
        help="number format to compute in (default: the checkpoint's own)",
    )


def load_model(args: argparse.Namespace) -> "Lfm2Audio":
    """Find and load the model that the options ask for; says on standard error when it is the random stand-in.

    Raises:
        UsageError: no such model or device.
        CheckpointError: the folder is incomplete, damaged or of another model.
    """
    import torch

    from models.lfm2_audio import Lfm2Audio
    from voiced.weights import announce_stand_in, choose_device, choose_dtype, find_model

    found = find_model(args.model)
    announce_stand_in(found)
    model = Lfm2Audio.load(
        found.folder, device=choose_device(args.device), dtype=choose_dtype(args.dtype)
    )
    if model.config.lfm.hidden_size < SHARED_FROM_HIDDEN_SIZE:
        torch.set_num_threads(1)
    return model
