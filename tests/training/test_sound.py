"""Made sound: replies on the grid of frames, questions, and what a room does to them."""

import random
import shutil
from itertools import pairwise

import numpy as np
import pytest

from training.espeak import Espeak
from training.sound import (
    CODECS,
    FRAME_SAMPLES,
    HEARD_HZ,
    Samples,
    _coded,
    augment,
    negative_sound,
    question_sound,
    reply_sound,
    reply_sound_16k,
)
from training.voices import HELD_OUT_SPEAKERS, REPLY_SPEAKERS, REPLY_VOICE, TRAINING_SPEAKERS

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"
)


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    return Espeak()


def tone(seconds: float) -> Samples:
    wave: Samples = (0.2 * np.sin(0.3 * np.arange(int(seconds * HEARD_HZ)))).astype(np.float32)
    return wave


@needs_espeak
def test_every_word_of_a_reply_begins_at_a_frame(espeak: Espeak) -> None:
    sound = reply_sound(espeak, "the kitchen light is on", REPLY_VOICE)
    assert len(sound) % FRAME_SAMPLES == 0
    frames = sound.reshape(-1, FRAME_SAMPLES)
    # What espeak puts between two words is cut there: a word fades in from zero, after the silence that fills a frame.
    starts = [0] + [
        index + 1
        for index, (before, after) in enumerate(pairwise(frames))
        if not before[-8:].any() and abs(after[0]) < 1e-6 and np.abs(after).max() > 1e-2
    ]
    assert len(starts) == 5


@needs_espeak
@pytest.mark.parametrize("voice", REPLY_SPEAKERS)
def test_a_word_sounds_alike_in_every_reply(espeak: Espeak, voice: str) -> None:
    first, second = (
        reply_sound(espeak, text, voice) for text in ("hello kitchen light", "hello bedroom light")
    )
    # Ends of a word lean towards the next word, so only the first frames are compared, without their phase, in pieces
    # of 27 ms. Measured over 100 draws: 0.99 for the same word, 0.7 at most for another.
    pieces = [
        sound[: 2 * FRAME_SAMPLES].reshape(6, -1) * np.hanning(640) for sound in (first, second)
    ]
    bands = [np.abs(np.fft.rfft(piece))[:, :320].reshape(6, -1, 8).mean(2) for piece in pieces]
    features = np.log(np.stack(bands) + 1e-3).reshape(2, -1)
    assert np.corrcoef(features)[0, 1] > 0.95


@needs_espeak
def test_a_reply_ends_without_a_silent_frame(espeak: Espeak) -> None:
    for voice in REPLY_SPEAKERS:
        sound = reply_sound(espeak, "set a timer for ten minutes", voice)
        assert np.abs(sound[-FRAME_SAMPLES:]).max() > 1e-3


@needs_espeak
def test_the_model_hears_its_replies_at_its_own_rate(espeak: Espeak) -> None:
    reply, heard = (
        make(espeak, "good night", "us_male") for make in (reply_sound, reply_sound_16k)
    )
    assert abs(len(heard) - len(reply) * 2 / 3) <= 1


@needs_espeak
def test_all_speakers_have_a_voice_and_none_is_both_trained_and_held_out(espeak: Espeak) -> None:
    rng = random.Random(1)
    for speaker in (*TRAINING_SPEAKERS, *HELD_OUT_SPEAKERS):
        assert len(question_sound(espeak, "hello", speaker, rng)) > 0.2 * HEARD_HZ
    trained = {speaker.voice for speaker in TRAINING_SPEAKERS}
    assert trained.isdisjoint(speaker.voice for speaker in HELD_OUT_SPEAKERS)


def test_training_hears_the_reply_voices_speak_plainly_too() -> None:
    trained = {speaker.voice: speaker for speaker in TRAINING_SPEAKERS}
    for speaker in REPLY_SPEAKERS.values():
        least, most = trained[speaker.voice].rate_wpm
        assert least <= speaker.rate_wpm[0] <= most


def test_the_same_seed_augments_alike_and_another_differently() -> None:
    clean = tone(0.5)
    first, again, other = (augment(clean, random.Random(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(other) != len(first) or not np.array_equal(other, first)


@pytest.mark.parametrize("seed", range(20))
def test_augmented_sound_is_bounded_and_has_silence_around_it(seed: int) -> None:
    clean = tone(0.5)
    heard = augment(clean, random.Random(seed))
    assert heard.dtype == np.float32
    assert 0.1 <= (len(heard) - len(clean)) / HEARD_HZ <= 1.7
    assert np.abs(heard).max() <= 1


def test_most_silence_is_dithered_and_some_is_digital() -> None:
    clean = tone(0.5)
    spreads = [augment(clean, random.Random(seed), roughness=0)[:400].std() for seed in range(80)]
    num_digital = sum(spread == 0 for spread in spreads)
    assert 0 < num_digital < 30
    # Dither is 1e-4 to 1e-3; 400 samples vary by some percent.
    assert all(8e-5 < spread < 1.2e-3 for spread in spreads if spread)


def test_augmenting_leaves_the_clean_sound_as_it_was() -> None:
    clean = tone(0.3)
    before = clean.copy()
    for seed in range(10):
        augment(clean, random.Random(seed))
    np.testing.assert_array_equal(clean, before)


@pytest.mark.parametrize("snr_db", [0, 15])
def test_noise_has_the_ratio_to_the_sound_that_was_asked_for(snr_db: float) -> None:
    clean = tone(2.0)
    heard = augment(clean, random.Random(3), snr_db=snr_db)
    noise = heard[:800].std()  # At least 50 ms before the sound are noise alone.
    loud = heard.std()
    sound = np.sqrt(loud**2 - noise**2) * np.sqrt(len(heard) / len(clean))
    # 800 samples of noise vary by a few percent.
    assert 20 * np.log10(sound / noise) == pytest.approx(snr_db, abs=1.0)


@needs_espeak
def test_negative_sounds_are_drawn_from_the_seed(espeak: Espeak) -> None:
    for seed in range(12):
        sounds = [negative_sound(espeak, random.Random(seed)) for _ in range(2)]
        assert len(sounds[0]) > 0.2 * HEARD_HZ
        assert np.isfinite(sounds[0]).all()
        # espeak-ng's own length varies with what it said before, and so does where it grows quiet.
        assert abs(len(sounds[0]) - len(sounds[1])) < 0.1 * HEARD_HZ


@needs_espeak
@pytest.mark.parametrize(("container", "codec"), CODECS)
def test_a_codec_leaves_speech_at_its_place_and_nearly_as_it_was(
    container: str, codec: str, espeak: Espeak
) -> None:
    clean = question_sound(
        espeak, "turn on the kitchen light", TRAINING_SPEAKERS[0], random.Random(1)
    )
    coded = _coded(clean, container, codec)
    assert coded.shape == clean.shape
    assert not np.array_equal(coded, clean)
    assert np.corrcoef(coded, clean)[0, 1] > 0.8  # A shift of a millisecond would lose it.
