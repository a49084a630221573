"""The wake word is heard when it is said, once, and in nothing else."""

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.reading import open_audio
from tests.speech import say
from training.world import World
from voiced.configuration import WAKE_WORDS

if TYPE_CHECKING:
    from models.wake_word import WakeWordDetector

RATE_HZ, WINDOW_SAMPLES = 16_000, 512
Sound = NDArray[np.float32]
# Two more, en-us+f2 and en-us+f3, are heard well the first time only.
VOICES = ("en-us", "en-gb", "en-gb-scotland", "en-us+m3", "en-us+m7", "en-gb+f4")

wake_word = pytest.importorskip(
    "models.wake_word", reason="pymicro-wakeword is not installed (pip install voiced[wake])"
)


def detector(word: str = "alexa") -> "WakeWordDetector":
    made: WakeWordDetector = wake_word.WakeWordDetector(word)
    return made


def heard_at(sound: Sound, hearing: "WakeWordDetector | None" = None) -> list[float]:
    """Return the ends of the windows in which the word was recognised, in seconds."""
    hearing = hearing or detector()
    starts = range(0, len(sound), WINDOW_SAMPLES)
    return [
        (start + WINDOW_SAMPLES) / RATE_HZ
        for start in starts
        if hearing.push(sound[start : start + WINDOW_SAMPLES])
    ]


def spoken(text: str, path: Path, voice: str = "en-us") -> Sound:
    """Return `text` as said in a quiet room, with a second of silence around it."""
    with open_audio(say(text, path, voice=voice), rate_hz=RATE_HZ) as reader:
        speech: Sound = np.concatenate([chunk.samples for chunk in reader])
    silence = np.zeros(RATE_HZ, np.float32)
    noise = 3e-4 * np.random.default_rng(0).standard_normal(len(speech) + 2 * RATE_HZ)
    quiet = np.concatenate([silence, 0.5 * speech, silence])
    return (quiet + noise).astype(np.float32)


def test_every_word_that_can_be_set_has_a_network() -> None:
    assert sorted(wake_word.WAKE_WORDS) == sorted(WAKE_WORDS)
    for word in WAKE_WORDS:
        assert heard_at(np.zeros(RATE_HZ, np.float32), detector(word)) == []


@pytest.mark.parametrize("voice", VOICES)
def test_the_word_is_heard_once_each_time_it_is_said(tmp_path: Path, voice: str) -> None:
    once = spoken("alexa", tmp_path / "a.wav", voice)
    word_end = np.flatnonzero(np.abs(once) > 0.01)[-1] / RATE_HZ
    first, second = heard_at(np.concatenate([once, once]))
    assert first - word_end == pytest.approx(0.25, abs=0.25)
    assert second - first == pytest.approx(len(once) / RATE_HZ, abs=0.1)


def test_no_other_word_of_the_package_is_taken_for_it(tmp_path: Path) -> None:
    hearing = detector()
    for word in WAKE_WORDS[1:]:
        assert heard_at(spoken(word, tmp_path / "a.wav"), hearing) == []


def test_nothing_that_is_said_in_the_small_world_is_taken_for_it(tmp_path: Path) -> None:
    world, rng = World.load(), random.Random(0)
    hearing = [detector(word) for word in WAKE_WORDS]
    for number in range(24):
        exchange = world.draw(rng)
        voice = VOICES[number % len(VOICES)]
        text = f"{exchange.question}. {exchange.answer}."
        sound = spoken(text, tmp_path / "a.wav", voice)
        assert [heard_at(sound, one) for one in hearing] == [[]] * len(hearing), (text, voice)


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.1, 10.0, np.nan, np.inf])
def test_silence_noise_and_damaged_sound_are_no_word(level: float) -> None:
    noise = np.random.default_rng(0).standard_normal(5 * RATE_HZ)
    assert heard_at((level * noise).astype(np.float32)) == []


def test_it_hears_again_after_damaged_sound(tmp_path: Path) -> None:
    damaged = np.full(RATE_HZ, np.nan, np.float32)
    assert len(heard_at(np.concatenate([damaged, spoken("alexa", tmp_path / "a.wav")]))) == 1


@pytest.mark.parametrize("size", [1, 100, 512, 5000])
def test_it_does_not_matter_how_the_sound_is_cut(tmp_path: Path, size: int) -> None:
    sound = spoken("alexa", tmp_path / "a.wav")
    hearing = detector()
    heard = [
        start for start in range(0, len(sound), size) if hearing.push(sound[start : start + size])
    ]
    (whole,) = heard_at(sound)
    assert len(heard) == 1
    assert heard[0] / RATE_HZ == pytest.approx(whole, abs=0.35)


def test_after_a_reset_everything_before_is_forgotten(tmp_path: Path) -> None:
    sound = spoken("alexa", tmp_path / "a.wav")
    hearing = detector()
    first = heard_at(sound, hearing)
    hearing.reset()
    assert heard_at(sound, hearing) == first

    hearing.reset()
    end = round(first[0] * RATE_HZ) - WINDOW_SAMPLES  # All but the window that tells.
    assert heard_at(sound[:end], hearing) == []
    hearing.reset()
    assert heard_at(sound[end:], hearing) == []


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np; from models.wake_word import WakeWordDetector; "
        "WakeWordDetector('alexa').push(np.zeros(16000, np.float32)); "
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
