"""Puts the trained parts together as a model folder: the published layout, in bfloat16, and `demonstration.json`.

Run: python -m training.export --to FOLDER
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.codec import Codec, export_detokenizer
from training.config import DEMONSTRATION, model_config
from training.network import build_network, clear_dead_codebooks
from training.setting import SEED, needed
from training.speaking import load_hearing
from training.state import default_folder, load_into, write_json
from training.tokenizer import prompt_words, write_tokenizer
from training.world import World


def export(state: Path, folder: Path) -> int:
    """Write the model folder and return its size in bytes.

    Args:
        state: where `training.hearing`, `training.codec` and `training.speaking` saved what they trained.
        folder: made where it is not there; what is not written anew stays.

    Raises:
        FileNotFoundError: one of them has not saved anything yet.
    """
    world = World.load()
    network, _ = build_network(world.words, torch.device("cpu"), seed=SEED)
    load_into(network, load_file(state / "speaking.safetensors"))
    load_hearing(network, state)
    clear_dead_codebooks(network)
    folder.mkdir(parents=True, exist_ok=True)
    vocab_size = write_tokenizer(folder, world.words)
    write_json(folder / "config.json", model_config(vocab_size))
    write_json(
        folder / "demonstration.json", DEMONSTRATION | {"prompt_words": prompt_words(world.words)}
    )
    weights = {name: rounded(tensor) for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    export_detokenizer(Codec.load(state), folder / "audio_detokenizer")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)  # Written for the owner alone.
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rounded(tensor: Tensor) -> Tensor:
    """Return a contiguous copy, bfloat16 where it is of floating point."""
    return (
        tensor.detach()
        .to(torch.bfloat16 if tensor.is_floating_point() else tensor.dtype)
        .contiguous()
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    parser.add_argument("--state", type=Path, default=default_folder(), metavar="FOLDER")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    for name in ("codec", "hearing", "speaking"):
        needed(args.state / f"{name}.safetensors", name)
    print(json.dumps({"folder": str(args.to), "bytes": export(args.state, args.to)}))


if __name__ == "__main__":
    main()
