"""The encoder's training: what it hears, how it begins, that it learns, and how its output is read."""

import itertools
import random
import shutil

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from models.mel import LogMel
from training.hearing import (
    BLANK,
    PEAK_RATE,
    Ears,
    Heard,
    Sounds,
    batch_features,
    begin_with_content,
    hearing_parameters,
    held_out_sounds,
    mask_features,
    shortened,
    word_error_rate,
)
from training.network import adapter_output, build_network, word_rows
from training.voices import HELD_OUT_SPEAKERS
from training.world import World, is_held_out

WORDS = ("hello", "kitchen", "light", "on")
RATE_HZ = 16_000


def sound_of(text: str, seed: int = 1) -> NDArray[np.float32]:
    """Return a tone for each word, 0.25 s long, and some noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE_HZ // 4) / RATE_HZ
    tones = [
        0.3 * np.sin(2 * np.pi * 400 * (1 + WORDS.index(word)) * time) for word in text.split()
    ]
    clean = np.concatenate([*tones, np.zeros(RATE_HZ // 10)])
    return (clean + 0.01 * rng.standard_normal(len(clean))).astype(np.float32)


@pytest.fixture(scope="module")
def log_mel(untrained: tuple[Network, TextTokenizer]) -> LogMel:
    return LogMel(untrained[0].config.preprocessor, torch.device("cpu"))


def test_shorter_sounds_are_filled_up_with_their_own_last_noise(log_mel: LogMel) -> None:
    rng = np.random.default_rng(2)
    short, long = (
        0.1 * rng.standard_normal(num).astype(np.float32) for num in (RATE_HZ, 2 * RATE_HZ)
    )
    features = batch_features([short, long], log_mel)
    assert features.shape == (2, log_mel.config.features, 201)
    torch.testing.assert_close(features[1], log_mel(torch.from_numpy(long)))
    # Noise that goes on: what was added is like what was there. Silence would lie far below.
    assert abs(float(features[0, :, 110:190].mean() - features[0, :, 10:90].mean())) < 0.2


def test_masks_set_bands_and_stretches_to_the_mean_and_change_nothing_else() -> None:
    features = torch.ones(6, 128, 200)
    masked = mask_features(features.clone(), random.Random(3))
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert 0.02 < float((masked == 0).float().mean()) < 0.4
    is_band = (masked == 0).all(2)[:, :, None]
    is_stretch = (masked == 0).all(1)[:, None, :]
    assert torch.equal(masked == 0, (is_band | is_stretch).expand_as(masked))


def test_a_text_is_shortened_to_words_that_follow_each_other() -> None:
    rng = random.Random(4)
    text = "turn on the kitchen light"
    assert shortened(text, 7, rng) == text
    drawn = {shortened(text, 2, rng) for _ in range(100)}
    assert drawn == {"turn on", "on the", "the kitchen", "kitchen light"}
    assert shortened("", 2, rng) == ""


def test_training_begins_with_outputs_of_mean_0_and_deviation_1_and_with_blanks(
    log_mel: LogMel,
) -> None:
    network, _ = build_network(WORDS, torch.device("cpu"), seed=1)
    features = batch_features([sound_of("hello on light"), sound_of("kitchen")], log_mel)
    with torch.no_grad():
        before = network.conformer.pre_encode(features).flatten(0, 1)
    begin_with_content(network, features)
    with torch.no_grad():
        outputs = network.conformer.pre_encode(features).flatten(0, 1)
    assert float((before.mean(0) / before.std(0)).abs().max()) > 1  # Which is why.
    torch.testing.assert_close(outputs.mean(0), torch.zeros(outputs.shape[1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(outputs.std(0), torch.ones(outputs.shape[1]), atol=1e-3, rtol=0)
    blank = network.lfm.embed_tokens.weight[BLANK]
    torch.testing.assert_close(adapter_output(network).bias, 0.8 * blank)


def test_a_few_steps_on_four_sounds_lower_the_loss(log_mel: LogMel) -> None:
    network, tokenizer = build_network(WORDS, torch.device("cpu"), seed=1)
    ears = Ears(network, word_rows(WORDS, tokenizer))
    texts = ["hello", "kitchen light", "on", "light"]
    features = batch_features([sound_of(text) for text in texts], log_mel)
    begin_with_content(network, features)
    embedding = network.lfm.embed_tokens.weight.clone()
    optimizer = torch.optim.AdamW(hearing_parameters(network), lr=PEAK_RATE, betas=(0.9, 0.98))
    losses = []
    for _ in range(8):
        loss = ears.loss(features, texts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-3:]) < 0.7 * losses[0]
    assert torch.equal(network.lfm.embed_tokens.weight, embedding), "the other trainer shares it"


def test_of_the_best_path_repetitions_and_blanks_are_left_out(
    untrained: tuple[Network, TextTokenizer],
) -> None:
    ears = Ears(untrained[0], {"hello": 300, "on": 301})
    path = torch.tensor([[0, 1, 1, 0, 1, 2, 2, 0], [0] * 8])
    assert ears.read(torch.nn.functional.one_hot(path, 3).float()) == ["hello hello on", ""]


def test_the_error_rate_counts_words_over_all_sounds(
    untrained: tuple[Network, TextTokenizer], log_mel: LogMel
) -> None:
    class DeafEars(Ears):
        def read(self, log_probabilities: torch.Tensor) -> list[str]:
            return ["hello"] * len(log_probabilities)

    ears = DeafEars(untrained[0], {"hello": 300, "on": 301})
    sounds = [Heard(sound_of(text), text) for text in ("hello", "hello on light")]
    try:
        assert word_error_rate(ears, sounds, log_mel, torch.device("cpu")) == 50
    finally:
        untrained[0].eval()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_same_seed_gives_the_same_texts_and_most_of_the_first_are_single_words(
    world: World,
) -> None:
    batches = [list(itertools.islice(Sounds(world, 2, seed=5), 8)) for _ in range(2)]
    # Only their order within a pool may differ: it goes by length, which espeak-ng varies by some samples.
    texts = [sorted(heard.text for batch in drawn for heard in batch) for drawn in batches]
    assert texts[0] == texts[1]
    assert sum(len(text.split()) == 1 for text in texts[0]) > 8
    for batch in batches[0]:
        assert all(heard.samples.dtype == np.float32 for heard in batch)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_what_is_held_out_is_of_sentences_that_training_never_draws(world: World) -> None:
    sounds = held_out_sounds(world, HELD_OUT_SPEAKERS, 5, seed=2)
    assert len(sounds) == 5
    assert all(is_held_out(heard.text) and len(heard.samples) > RATE_HZ / 4 for heard in sounds)
