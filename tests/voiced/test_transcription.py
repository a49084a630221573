"""One piece of speech becomes text, and a model that does not end is stopped."""

from collections.abc import Generator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import RangeError
from models.lfm2_audio import Mode, Sampling
from tests.fakes import FakeModel, frame, words
from voiced.transcription import (
    LOOP_REPEATS,
    LOOP_TOKENS,
    Ending,
    is_loop,
    max_tokens,
    transcribe_piece,
)

TEN_SECONDS = np.zeros(160_000, np.float32)


def run(decoding: Generator[str, None, Ending]) -> tuple[str, Ending]:
    text = ""
    while True:
        try:
            text += next(decoding)
        except StopIteration as stop:
            return text, stop.value


def test_the_model_is_asked_as_it_was_trained() -> None:
    model = FakeModel(words("hello out there"))

    assert run(transcribe_piece(model, TEN_SECONDS)) == ("hello out there", Ending.COMPLETE)

    (conversation,) = model.conversations
    assert [(turn.role, turn.text) for turn in conversation.turns[:2]] == [
        ("system", "Perform ASR."),
        ("user", ""),
    ]
    np.testing.assert_array_equal(conversation.turns[1].audio[0], TEN_SECONDS)
    assert conversation.calls == [(Mode.SEQUENTIAL, 275, Sampling())]


def test_text_is_yielded_as_it_is_decoded() -> None:
    decoding = transcribe_piece(FakeModel(["so", " far", RuntimeError("too far")]), TEN_SECONDS)

    assert [next(decoding), next(decoding)] == ["so", " far"]


def test_every_piece_is_a_conversation_of_its_own() -> None:
    model = FakeModel(words("one"), words("two"))

    assert [run(transcribe_piece(model, TEN_SECONDS))[0] for _ in range(2)] == ["one", "two"]
    assert len(model.conversations) == 2


@pytest.mark.parametrize("loop", [["and"], ["and", " on"], [f" w{i}" for i in range(10)]])
def test_a_model_that_repeats_itself_is_stopped(loop: list[str]) -> None:
    model = FakeModel(["once", *(loop * 1000)])

    text, ending = run(transcribe_piece(model, TEN_SECONDS))

    assert ending is Ending.LOOP
    assert text.count(loop[0]) <= max(LOOP_REPEATS, LOOP_TOKENS)


def test_a_model_that_never_ends_is_stopped_in_proportion_to_the_sound() -> None:
    model = FakeModel([f" w{i}" for i in range(10_000)])

    for num_samples in (16_000, 320_000):
        text, ending = run(transcribe_piece(model, np.zeros(num_samples, np.float32)))
        assert ending is Ending.LIMIT
        assert len(text.split()) == max_tokens(num_samples)


def test_a_model_that_begins_to_speak_is_stopped() -> None:
    model = FakeModel(["well", frame(), "no"])

    assert run(transcribe_piece(model, TEN_SECONDS)) == ("well", Ending.SOUND)


def test_less_than_20_ms_is_refused() -> None:
    with pytest.raises(RangeError):
        run(transcribe_piece(FakeModel(), np.zeros(160, np.float32)))


@given(st.lists(st.integers(), max_size=50), st.lists(st.integers(), min_size=1, max_size=40))
def test_a_loop_of_any_tokens_is_found_wherever_it_begins(
    before: list[int], loop: list[int]
) -> None:
    assert is_loop(before + loop * LOOP_TOKENS)


def test_what_people_repeat_is_no_loop() -> None:
    no = [1, 2]  # "no" and a comma.
    chorus = list(range(50))
    assert not is_loop(no * 8)
    assert not is_loop([7] * 20)
    assert not is_loop(chorus * 5)
