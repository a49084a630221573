"""Options and helpers that several commands share."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.lfm2_audio import Lfm2Audio


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
    from voiced.engine.loading import load_model as load
    from voiced.engine.process import ModelChoice
    from voiced.weights import announce, find_model

    found = find_model(args.model)
    announce(found)
    return load(found, ModelChoice(model=args.model, device=args.device, dtype=args.dtype))
