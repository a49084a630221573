"""Writes the model card: what stays from `card.md`, what is counted and measured between marks."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open

from training.figures import Figure, table
from training.setting import SEED
from training.voices import HELD_OUT_SPEAKERS, REPLY_SPEAKERS, TRAINING_SPEAKERS
from training.world import World

TEMPLATE = Path(__file__).with_name("card.md")
MARKS = ("<!-- {}: begin -->", "<!-- {}: end -->")

# Parts of the network by the first words of their tensors' names.
PARTS = {
    "conformer": "encoder, FastConformer",
    "audio_adapter": "adapter",
    "lfm": "backbone, LFM2, with the text embedding",
    "audio_embedding": "embedding of audio codes",
    "depth": "depthformer",
}
DETOKENIZER = "detokenizer, LFM2"
STAGES = {"codec": "codec", "hearing": "encoder", "speaking": "backbone and depthformer"}


def write_card(
    card: Path, folder: Path, state: Path, figures: Sequence[Figure], remarks: Sequence[str]
) -> None:
    """Write what was counted and measured into a model card; one that is not there yet is made of the template.

    Args:
        card: what stands outside the marks in it stays.
        folder: of the model.
        state: of the training; what is not there is not told.
        figures: the table.
        remarks: said under it.

    Raises:
        ValueError: the card lacks a mark.
    """
    text = (card if card.is_file() else TEMPLATE).read_text(encoding="utf-8")
    text = between_marks(text, "facts", facts(folder, state))
    text = between_marks(text, "figures", "\n\n".join((table(figures), *remarks)))
    card.write_text(text, encoding="utf-8")


def between_marks(text: str, name: str, content: str) -> str:
    """Return `text` with `content` between its two marks of that name.

    Raises:
        ValueError: it does not have both, each once, in order.
    """
    begin, end = (mark.format(name) for mark in MARKS)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if text.count(begin) != 1 or rest.count(end) != 1:
        raise ValueError(
            f"expected '{begin}' and after it '{end}' in the card, each once; put them where the {name} belong"
        )
    return f"{before}{begin}\n{content}\n{end}{after}"


def facts(folder: Path, state: Path) -> str:
    """Return what there is to count, as a Markdown table."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"]
    world = World.load()
    parts = parameters(folder)
    rows = [
        ("size", f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB, weights in bfloat16"),
        ("parameters", f"{sum(parts.values()) / 1e6:.2f} million"),
        *((f"— {part}", f"{number / 1e6:.2f} million") for part, number in parts.items()),
        (
            "world",
            f"{len(world.words)} words, {len(world.intents)} intents, {len(world.follow_ups)} kinds of follow-ups",
        ),
        (
            "voices heard in training",
            f"{len(TRAINING_SPEAKERS)}; {len(HELD_OUT_SPEAKERS)} more only for measuring",
        ),
        ("voices it speaks with", " and ".join(f"`{name}`" for name in REPLY_SPEAKERS)),
        ("seed", str(SEED)),
        *(
            (f"training of the {what}", told)
            for stage, what in STAGES.items()
            if (told := sittings(state / f"{stage}.json"))
        ),
    ]
    return "\n".join(("| | |", "| --- | --- |", *(f"| {name} | {what} |" for name, what in rows)))


def parameters(folder: Path) -> Counter[str]:
    """Return how many parameters each part of a model has."""
    counted: Counter[str] = Counter()
    for name, size in tensor_sizes(folder / "model.safetensors"):
        part = next((part for prefix, part in PARTS.items() if name.startswith(prefix)), None)
        if part is not None:
            counted[part] += size
    counted[DETOKENIZER] = sum(
        size for _, size in tensor_sizes(folder / "audio_detokenizer" / "model.safetensors")
    )
    return counted


def tensor_sizes(path: Path) -> list[tuple[str, int]]:
    """Return the names of a file's tensors and how many numbers each has."""
    with safe_open(path, "pt") as file:
        return [(name, math.prod(file.get_slice(name).get_shape())) for name in file.keys()]  # noqa: SIM118  # not a dict


def sittings(path: Path) -> str:
    """Return how long a stage of the training took, or nothing where its state is not there."""
    if not path.is_file():
        return ""
    progress = json.loads(path.read_text(encoding="utf-8"))
    return f"{progress['step']} steps in {progress['seconds'] / 60:.0f} minutes"
