"""What replies and texts sound like in codes: the targets of speech, made once and kept.

Run: python -m training.codes --count 24000
"""

import argparse
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from training.codec import Codec
from training.espeak import Espeak
from training.setting import SEED, needed, positive_number
from training.sound import reply_sound
from training.state import default_folder, save_tensors
from training.voices import REPLY_SPEAKERS, REPLY_VOICE
from training.world import NOT_UNDERSTOOD, World, is_held_out

SHARD = 2000
SECOND_VOICE_PART = 0.4  # Of the answers are spoken by the other voices as well.
MAX_STALE = 20_000  # Draws in a row that gave nothing new: the world has no more to say.

Phrase = tuple[str, str]  # Text and voice.


class SpokenCodes(Mapping[Phrase, Tensor]):
    """Codes of phrases, each of shape (frames, live codebooks), by text and voice."""

    def __init__(self, codes: dict[Phrase, Tensor]) -> None:
        self._codes = codes

    def __getitem__(self, phrase: Phrase) -> Tensor:
        return self._codes[phrase].long()

    def __iter__(self) -> Iterator[Phrase]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)

    @classmethod
    def load(cls, folder: Path) -> "SpokenCodes":
        """Return everything that the shards in `folder` hold."""
        codes: dict[Phrase, Tensor] = {}
        for path in sorted(folder.glob("codes-*.safetensors")):
            frames = load_file(path)["codes"]
            lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
            for line in map(json.loads, lines):
                start, num = line["start"], line["frames"]
                codes[line["text"], line["voice"]] = frames[start : start + num]
        return cls(codes)


def phrases(world: World, seed: int) -> Iterator[Phrase]:
    """Yield what is to be spoken, most wanted first and without end: answers, questions, and words in any order."""
    rng = random.Random(f"phrases/{seed}")
    voices = list(REPLY_SPEAKERS)
    for voice in voices:
        yield NOT_UNDERSTOOD, voice
    while True:
        for exchange in world.draw_dialogue(rng, 2):
            yield exchange.answer, REPLY_VOICE
            if rng.random() < SECOND_VOICE_PART:
                yield exchange.answer, rng.choice(voices)
            if rng.random() < 0.5 and not is_held_out(exchange.question):
                yield exchange.question, rng.choice(voices)


def make(folder: Path, count: int, seed: int) -> None:
    """Speak and encode until `count` phrases lie in `folder`, in shards of SHARD.

    Fewer where the world has no more to say.
    """
    world, codec, espeak = World.load(), Codec.load(folder), Espeak()
    done = set(SpokenCodes.load(folder))
    print(f"codes: {len(done)} phrases are there", flush=True)
    index = len(list(folder.glob("codes-*.safetensors")))
    waiting: list[Phrase] = []
    num_stale = 0
    for phrase in phrases(world, seed + index):
        num_stale = num_stale + 1 if phrase in done else 0
        if len(done) < count and not num_stale:
            done.add(phrase)
            waiting.append(phrase)
        is_last = len(done) >= count or num_stale == MAX_STALE
        if len(waiting) == SHARD or (is_last and waiting):
            write_shard(folder / f"codes-{index:03d}.safetensors", waiting, codec, espeak)
            print(f"codes: {len(done)} phrases", flush=True)
            waiting, index = [], index + 1
        if is_last:
            return


def write_shard(path: Path, wanted: list[Phrase], codec: Codec, espeak: Espeak) -> None:
    """Write the codes of some phrases: one tensor, and a line of JSON for each phrase beside it."""
    pieces, lines, start = [], [], 0
    for text, voice in wanted:
        codes = codec.encode(torch.from_numpy(reply_sound(espeak, text, voice)))
        pieces.append(codes.to(torch.int16))
        lines.append({"text": text, "voice": voice, "start": start, "frames": len(codes)})
        start += len(codes)
    path.with_suffix(".jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    save_tensors(path, {"codes": torch.cat(pieces)})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.codes", description=__doc__)
    parser.add_argument("--state", type=Path, default=default_folder(), metavar="FOLDER")
    parser.add_argument(
        "--count", type=positive_number, default=24_000, help="phrases (default: %(default)s)"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    needed(args.state / "codec.safetensors", "codec")
    make(args.state, args.count, SEED)


if __name__ == "__main__":
    main()
