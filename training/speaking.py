"""Trains the backbone and the depthformer: what to answer, and how to say it.

With --imagined the user's sound is made up from the text embedding, so that this can be trained beside the encoder;
without it, the encoder that `training.hearing` has trained listens to made speech, and stays as it is.
Run: python -m training.speaking --minutes 120
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.lfm2_audio.loss import teacher_forced_losses
from models.lfm2_audio.network import Network
from training.codes import SpokenCodes
from training.conversations import Conversations
from training.network import build_network
from training.schedule import learning_rate
from training.sequences import hidden_states, targets
from training.setting import SEED, Setting, add_arguments, needed, setting
from training.state import Run
from training.world import World

PEAK_RATE = 1e-3
CORRUPTION = (
    0.15  # Of the history codes: without it the model trusts what it said more than the text.
)
FRAME_PART = 1.0  # Of the frames go through the depthformer.


def part_right(logits: Tensor, wanted: Tensor) -> float:
    """Return the part of the most likely choices, logits (n, choices), that are the wanted ones (n,)."""
    return float((logits.argmax(-1) == wanted).float().mean()) if len(wanted) else 0.0


def load_hearing(network: Network, folder: Path) -> None:
    """Copy the trained encoder and adapter into `network`, which stays in evaluation mode there."""
    trained = load_file(folder / "hearing.safetensors")
    for prefix, part in (
        ("model.conformer.", network.conformer),
        ("model.audio_adapter.", network.audio_adapter),
    ):
        part.load_state_dict(
            {
                name.removeprefix(prefix): tensor
                for name, tensor in trained.items()
                if name.startswith(prefix)
            }
        )


def speaking_parameters(network: Network) -> list[nn.Parameter]:
    """Return the weights that speaking trains: all but the encoder, the adapter and the text embedding."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if not name.startswith(("conformer.", "audio_adapter.", "lfm.embed_tokens."))
    ]


def train(run: Run, where: Setting, *, imagined: bool) -> None:
    """Train until the run's time is spent."""
    world = World.load()
    network, tokenizer = build_network(world.words, where.device, seed=SEED)
    parameters = speaking_parameters(network)
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    run.resume(network, optimizer)
    listener, _ = build_network(world.words, torch.device("cpu"), seed=SEED)
    if not imagined:
        load_hearing(listener, run.folder)
        load_hearing(network, run.folder)
    codes = SpokenCodes.load(run.folder)
    batches = iter(
        DataLoader(
            Conversations(
                world,
                tokenizer,
                codes,
                listener.eval(),
                imagined=imagined,
                batch_size=where.batch_size,
                seed=where.seed + run.progress.step,
            ),
            batch_size=None,
            num_workers=where.workers,
        )
    )
    while run.fraction < 1:
        batch = next(batches).to(where.device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(PEAK_RATE, run.progress.step, run.fraction)
        with torch.autocast(where.device.type, torch.bfloat16, enabled=where.is_cuda):
            wanted = targets(batch, frame_part=FRAME_PART)
            hidden = hidden_states(network, batch, corruption=CORRUPTION)
            losses = teacher_forced_losses(network, hidden, wanted)
        optimizer.zero_grad()
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        run.advance(
            total=losses.total.item(),
            text=losses.text.item(),
            audio=losses.audio.item(),
            norm=float(norm),
            text_right=part_right(losses.text_logits, wanted.text_tokens),
            code_right=part_right(losses.audio_logits[:, 0], wanted.frame_codes[:, 0]),
            positions=math.prod(batch.shape),
        )
        if run.log_is_due:
            run.log(lr=optimizer.param_groups[0]["lr"], phrases=len(codes))
        if run.save_is_due:
            run.save(network, optimizer)
    run.save(network, optimizer)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.speaking", description=__doc__)
    add_arguments(parser, minutes=120)
    parser.add_argument("--imagined", action="store_true", help="make up what the encoder hears")
    args = parser.parse_args()
    where = setting(args, cpu_batch=24, cuda_batch=256)
    needed(args.state / "codec.safetensors", "codec")
    needed(args.state / "codes-000.safetensors", "codes")
    if not args.imagined:
        needed(args.state / "hearing.safetensors", "hearing")
        where = replace(where, workers=max(1, where.workers))  # Speaking and listening beside.
    train(Run(args.state, "speaking", args.minutes), where, imagined=args.imagined)


if __name__ == "__main__":
    main()
