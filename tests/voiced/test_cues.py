"""Words tell who wants to go on, who only listens and who wants silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.cues import asks_to_stop, only_shows_listening, sounds_unfinished


@pytest.mark.parametrize(
    "words",
    [
        "turn on the",
        "Turn on the.",  # Recognisers like to close what is open.
        "i want the red one and",
        "because",
        "we drove into",
        "a glass of",
        "I would like to",
        "tell me about",
        "well, um",
        "and then you know",
        "The number is 0 4 9",
        "five five five",
        "my number is 555 123",
        "bread, milk,",
        "I was thinking…",
        "what I’ve",
    ],
)
def test_words_that_lead_on_sound_unfinished(words: str) -> None:
    assert sounds_unfinished(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "  ",
        "...?",
        "yes",
        "stop the music",
        "turn the kitchen light on",
        "roll the blinds up",
        "set the heater to twenty one",
        "what is two plus two?",
        "set the volume to five",
        "where are you from",
        "What is this for?",
        "call her",
        "yes i can",
        "it was in 1984",
    ],
)
def test_what_can_stand_alone_sounds_finished(words: str) -> None:
    assert not sounds_unfinished(words)


@pytest.mark.parametrize(
    "words", ["uh-huh", "Uh huh.", "mhm", "yeah yeah", "Oh, I see!", "okay right"]
)
def test_uh_huh_and_its_like_only_show_listening(words: str) -> None:
    assert only_shows_listening(words)


@pytest.mark.parametrize("words", ["", "yeah but", "okay stop", "hmm what", "what"])
def test_anything_else_does_more(words: str) -> None:
    assert not only_shows_listening(words)


@pytest.mark.parametrize(
    "words", ["stop", "Stop!", "no", "wait a second", "okay stop", "please be quiet"]
)
def test_who_asks_to_stop_is_understood(words: str) -> None:
    assert asks_to_stop(words)


@pytest.mark.parametrize("words", ["", "yes", "the bus does not stop here", "nobody"])
def test_who_does_not_ask_to_stop_is_not(words: str) -> None:
    assert not asks_to_stop(words)


@given(st.text())
def test_any_text_can_be_judged(words: str) -> None:
    for judge in (sounds_unfinished, only_shows_listening, asks_to_stop):
        assert judge(words) in {True, False}
