"""Where the golden tests find the published implementation's outputs."""

import os
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.lfm2_audio import Lfm2Audio

FOLDER = Path(os.environ.get("VOICED_GOLDEN", Path(__file__).parents[1] / "data" / "golden"))
CHECKPOINT = FOLDER / "checkpoint"


@cache
def tensors() -> dict[str, Tensor]:
    """Return all golden tensors by name."""
    return load_file(FOLDER / "golden.safetensors")


@cache
def model() -> Lfm2Audio:
    """Return the golden checkpoint in float32, as its outputs were computed."""
    return Lfm2Audio.load(CHECKPOINT, dtype=torch.float32)
