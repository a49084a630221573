"""espeak-ng through its C library: sound, places of words, and errors that say what to do."""

import shutil

import numpy as np
import pytest

from training.espeak import Espeak, EspeakError

pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"
)


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    return Espeak()


def test_a_text_is_spoken_as_sound_between_minus_one_and_one(espeak: Espeak) -> None:
    spoken = espeak.say("turn on the kitchen light", "en-us")
    assert spoken.samples.dtype == np.float32
    assert espeak.rate_hz < len(spoken.samples) < 3 * espeak.rate_hz
    assert 0.1 < np.abs(spoken.samples).max() <= 1


def test_every_word_has_a_start_and_silence_has_none(espeak: Espeak) -> None:
    spoken = espeak.say("set a timer for ten minutes", "en-us")
    assert len(spoken.word_starts) == 6
    assert spoken.word_starts == sorted(set(spoken.word_starts))
    assert spoken.word_starts[0] == 0
    # A sentence that ends in a voiced consonant is followed by a pause, which the library reports as a word of no length.
    assert len(espeak.say("it is twenty two degrees", "en-us").word_starts) == 5


def test_a_higher_rate_takes_less_time(espeak: Espeak) -> None:
    slow, fast = (espeak.say("good morning", "en-us", rate_wpm=rate) for rate in (120, 220))
    assert len(fast.samples) < 0.8 * len(slow.samples)


def test_voices_sound_different(espeak: Espeak) -> None:
    man, woman = (espeak.say("hello", voice).samples for voice in ("en-us", "en-us+f2"))
    num = min(len(man), len(woman))
    assert not np.allclose(man[:num], woman[:num], atol=0.05)


def test_two_objects_may_take_turns(espeak: Espeak) -> None:
    other = Espeak()
    num_before = len(espeak.say("hello", "en-us").samples)
    other.say("guten morgen", "de+f2")
    num_after = len(espeak.say("hello", "en-us").samples)
    # The library carries over the phase of the voice: up to 5 % in 200 utterances.
    assert num_before == pytest.approx(num_after, rel=0.06)


def test_an_empty_text_is_no_words(espeak: Espeak) -> None:
    assert espeak.say("", "en-us").word_starts == []


def test_a_voice_that_does_not_exist_is_named_in_the_error(espeak: Espeak) -> None:
    with pytest.raises(EspeakError, match=r"no voice 'tlh-qonos'.*espeak-ng --voices"):
        espeak.say("hello", "tlh-qonos")
    assert len(espeak.say("hello", "en-us").samples)


def test_a_library_that_is_not_there_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPEAK_LIBRARY", "/nowhere/libespeak.so")
    with pytest.raises(EspeakError, match=r"/nowhere/libespeak\.so.*ESPEAK_LIBRARY"):
        Espeak()
