"""Trains the encoder to hear: word CTC through the adapter and the backbone's text embedding.

The classifier is the text embedding itself, so what the adapter gives for a word lies where the word's own embedding
lies, and what it gives between words where the blank's does. The backbone then has little to learn of sound.
Run: python -m training.hearing --minutes 60
"""

import argparse
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.lfm2_audio.network import Network
from models.mel import LogMel
from training.distance import word_errors
from training.espeak import Espeak
from training.network import adapter_output, build_network, word_rows
from training.schedule import learning_rate
from training.setting import SEED, Setting, add_arguments, setting
from training.sound import augment, negative_sound, question_sound, reply_sound_16k, sentences_sound
from training.state import Run
from training.voices import HELD_OUT_SPEAKERS, REPLY_SPEAKERS, TRAINING_SPEAKERS, Speaker
from training.world import World

BLANK = 0  # <|pad|>, which nothing else uses.
CTC_SCALE = 8.0  # Of the logits, so that the adapter's output stays about as long as an embedding.
LENGTH_COST = 0.02
PEAK_RATE = 1e-3
EASY_STEPS = 1500  # Until then less is said at once and with less noise: so words are found sooner.
MAX_WORDS = 12
PAIR_PART = 0.12  # Two sentences, one after the other.
NEGATIVES = 0.04  # Part of the sounds in which nobody says a word of the world.
REPLIES = 0.12  # Part of the sounds spoken as replies are, so that the model understands itself.
MASKED_FEATURES, MASKED_FRAMES = (
    20,
    12,
)  # SpecAugment: at most so many in one mask; two masks of each.


@dataclass(frozen=True, slots=True)
class Heard:
    """A sound and what is said in it.

    Attributes:
        samples: 16 kHz, float32.
        text: empty where nothing is to be understood.
    """

    samples: NDArray[np.float32]
    text: str


class Sounds(IterableDataset[list[Heard]]):
    """Endless batches of made speech, of about equal length within a batch, all from a seed."""

    POOL = 8  # Batches drawn at once and sorted by length.

    def __init__(self, world: World, batch_size: int, seed: int, *, first_step: int = 0) -> None:
        self.world, self.batch_size = world, batch_size
        self.seed, self.first_step = seed + first_step, first_step

    def __iter__(self) -> Iterator[list[Heard]]:
        worker = get_worker_info()
        rng = random.Random(f"{self.seed}/{worker.id if worker else 0}")
        espeak = Espeak()
        for drawn in itertools.count(
            self.first_step, self.POOL * (worker.num_workers if worker else 1)
        ):
            roughness = min(1.0, drawn / EASY_STEPS)
            pool = [self._draw(espeak, rng, roughness) for _ in range(self.POOL * self.batch_size)]
            pool.sort(key=lambda heard: len(heard.samples))
            batches = [
                pool[start : start + self.batch_size]
                for start in range(0, len(pool), self.batch_size)
            ]
            rng.shuffle(batches)
            yield from batches

    def _draw(self, espeak: Espeak, rng: random.Random, roughness: float) -> Heard:
        kind = rng.random()
        if kind < NEGATIVES:
            return Heard(augment(negative_sound(espeak, rng), rng, roughness=roughness), "")
        exchange = self.world.draw(rng)
        if kind < NEGATIVES + REPLIES:
            text = exchange.answer if rng.random() < 0.7 else exchange.question
            voice = rng.choice(list(REPLY_SPEAKERS))
            return Heard(
                augment(reply_sound_16k(espeak, text, voice), rng, roughness=roughness), text
            )
        text = exchange.question if rng.random() < 0.85 else exchange.answer
        if rng.random() < 0.3:
            text = rng.choice(self.world.draw_dialogue(rng, 2)).question
        texts = [text]
        if roughness < 1:
            texts = [shortened(text, 1 + int(MAX_WORDS * roughness), rng)]
        elif rng.random() < PAIR_PART:
            texts.append(self.world.draw(rng).question)
        sound = sentences_sound(espeak, texts, rng.choice(TRAINING_SPEAKERS), rng)
        return Heard(augment(sound, rng, roughness=roughness), " ".join(texts))


def shortened(text: str, num_words: int, rng: random.Random) -> str:
    """Return at most so many words of a text that follow each other."""
    words = text.split()
    start = rng.randint(0, max(0, len(words) - num_words))
    return " ".join(words[start : start + num_words])


def held_out_sounds(
    world: World, speakers: Sequence[Speaker], num: int, *, seed: int, snr_db: float | None = None
) -> list[Heard]:
    """Return sentences that training never draws, as `speakers` say them."""
    rng, espeak = random.Random(seed), Espeak()
    sounds = []
    for index in range(num):
        text = world.draw(rng, held_out=True).question
        sound = question_sound(espeak, text, speakers[index % len(speakers)], rng)
        sounds.append(Heard(augment(sound, rng, snr_db=60 if snr_db is None else snr_db), text))
    return sounds


def batch_features(sounds: Sequence[NDArray[np.float32]], log_mel: LogMel) -> Tensor:
    """Return log-mel features, shape (B, features, T), of sounds that are made equally long with their own last noise."""
    longest = max(len(sound) for sound in sounds)
    features = []
    for sound in sounds:
        tail = sound[-800:]
        missing = longest - len(sound)
        padded = np.concatenate((sound, np.resize(tail, missing))) if missing else sound
        features.append(log_mel(torch.from_numpy(padded)))
    return torch.stack(features)


def mask_features(features: Tensor, rng: random.Random) -> Tensor:
    """Set random bands and stretches of features, shape (B, features, T), to their mean, zero, in place."""
    num_features, length = features.shape[1:]
    for one in features:
        for _ in range(2):
            width = rng.randint(0, MASKED_FEATURES)
            start = rng.randint(0, num_features - width)
            one[start : start + width] = 0
            width = rng.randint(0, min(MASKED_FRAMES, length // 8))
            start = rng.randint(0, length - width)
            one[:, start : start + width] = 0
    return features


class Ears:
    """Word numbers, and the CTC logits of a network's hearing half."""

    def __init__(self, network: Network, word_tokens: dict[str, int]) -> None:
        self.network = network
        self.words = list(word_tokens)
        self.class_of = {word: 1 + rank for rank, word in enumerate(self.words)}
        self.rows = torch.tensor([BLANK, *word_tokens.values()])

    def log_probabilities(self, features: Tensor) -> Tensor:
        """Return log probabilities of blank and words, shape (B, T', 1 + words), of features (B, features, T)."""
        return self.classify(self.adapted(features))

    def adapted(self, features: Tensor) -> Tensor:
        """Return what the backbone gets to hear, shape (B, T', hidden), of features (B, features, T)."""
        return self.network.audio_adapter(self.network.conformer(features))

    def classify(self, adapted: Tensor) -> Tensor:
        """Return log probabilities of blank and words, shape (B, T', 1 + words)."""
        rows = self.network.lfm.embed_tokens.weight[self.rows.to(adapted.device)]
        return functional.log_softmax(CTC_SCALE * functional.linear(adapted, rows).float(), -1)

    def loss(self, features: Tensor, texts: Sequence[str]) -> Tensor:
        """Return the mean CTC loss of what is said, and a little for length, which keeps other directions empty."""
        adapted = self.adapted(features)
        log_probabilities = self.classify(adapted)
        targets = [[self.class_of[word] for word in text.split()] for text in texts]
        ctc = functional.ctc_loss(
            log_probabilities.transpose(0, 1),
            torch.tensor([number for target in targets for number in target], dtype=torch.long),
            torch.full((len(texts),), log_probabilities.shape[1], dtype=torch.long),
            torch.tensor([len(target) for target in targets]),
            reduction="sum",
            zero_infinity=True,
        )
        length = adapted.float().square().sum(-1).mean()
        return ctc / max(1, sum(map(len, targets))) + LENGTH_COST * length

    def read(self, log_probabilities: Tensor) -> list[str]:
        """Return the best path's words for each sound."""
        texts = []
        for best in log_probabilities.argmax(-1).tolist():
            kept = [
                number
                for number, before in zip(best, [0, *best], strict=False)
                if number and number != before
            ]
            texts.append(" ".join(self.words[number - 1] for number in kept))
        return texts


@torch.inference_mode()
def word_error_rate(
    ears: Ears, sounds: Sequence[Heard], log_mel: LogMel, device: torch.device
) -> float:
    """Return the part of the words that the CTC output has wrong, in percent."""
    ears.network.eval()
    errors = words = 0
    for heard in sounds:
        features = log_mel(torch.from_numpy(heard.samples))[None].to(device)
        said = ears.read(ears.log_probabilities(features))[0]
        errors += word_errors(heard.text.split(), said.split())
        words += len(heard.text.split())
    ears.network.train()
    return 100 * errors / words


@torch.no_grad()
def begin_with_content(network: Network, features: Tensor) -> None:
    """Scale the first weights so that training begins with what is said and not with a constant, in place.

    The convolutions' rectified outputs have a mean eight times their deviation, and training then settles on ignoring
    the sound. Their projection is set so that each of its outputs has mean 0 and deviation 1 on `features`, shape
    (B, features, T); the adapter begins by saying blank, which most frames are.
    """
    projection = network.conformer.pre_encode.out
    outputs = network.conformer.pre_encode(features).flatten(0, 1)
    mean, deviation = outputs.mean(0), outputs.std(0)
    projection.weight.div_(deviation[:, None])
    projection.bias.copy_((projection.bias - mean) / deviation)
    adapter_output(network).bias.copy_(0.8 * network.lfm.embed_tokens.weight[BLANK])


def hearing_parameters(network: Network) -> list[nn.Parameter]:
    """Return the weights that hearing trains; the text embedding, which the other trainer shares, stays as it is."""
    return [*network.conformer.parameters(), *network.audio_adapter.parameters()]


def train(run: Run, where: Setting) -> None:
    """Train until the run's time is spent."""
    world = World.load()
    network, tokenizer = build_network(world.words, where.device, seed=SEED)
    ears = Ears(network, word_rows(world.words, tokenizer))
    network.conformer.pre_encode.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it.
    parameters = hearing_parameters(network)
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    is_resumed = run.resume(network, optimizer)
    log_mel = LogMel(network.config.preprocessor, torch.device("cpu"))
    batches = iter(
        DataLoader(
            Sounds(world, where.batch_size, where.seed, first_step=run.progress.step),
            batch_size=None,
            num_workers=where.workers,
        )
    )
    seen = held_out_sounds(world, TRAINING_SPEAKERS, 60, seed=1)
    unseen = held_out_sounds(world, HELD_OUT_SPEAKERS, 60, seed=2)
    if not is_resumed:
        sounds = [heard.samples for heard in next(batches)]
        begin_with_content(network, batch_features(sounds, log_mel).to(where.device))
    rng = random.Random(where.seed + run.progress.step)
    since_check = math.inf
    while run.fraction < 1:
        batch = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(PEAK_RATE, run.progress.step, run.fraction)
        features = batch_features([heard.samples for heard in batch], log_mel)
        if run.progress.step > EASY_STEPS / 4:
            features = mask_features(features, rng)
        with torch.autocast(where.device.type, torch.bfloat16, enabled=where.is_cuda):
            loss = ears.loss(features.to(where.device), [heard.text for heard in batch])
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        run.advance(loss=loss.item(), norm=float(norm))
        if run.log_is_due:
            since_check += 1
            if since_check >= 4:
                since_check = 0
                run.log(
                    lr=optimizer.param_groups[0]["lr"],
                    seen=word_error_rate(ears, seen, log_mel, where.device),
                    unseen=word_error_rate(ears, unseen, log_mel, where.device),
                )
            else:
                run.log(lr=optimizer.param_groups[0]["lr"])
        if run.save_is_due:
            run.save(network, optimizer)
    run.save(network, optimizer)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.hearing", description=__doc__)
    add_arguments(parser, minutes=60)
    args = parser.parse_args()
    where = setting(args, cpu_batch=24, cuda_batch=192)
    train(Run(args.state, "hearing", args.minutes), where)


if __name__ == "__main__":
    main()
