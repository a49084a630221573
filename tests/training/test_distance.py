"""Word errors between what was said and what was heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.distance import word_errors


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("", "", 0),
        ("turn on the light", "turn on the light", 0),
        ("turn on the light", "turn off the light", 1),
        ("turn on the light", "turn on light", 1),
        ("turn on the light", "turn it on the light", 1),
        ("turn on the light", "", 4),
        ("", "turn on", 2),
        ("a b c d", "b c d a", 2),
    ],
)
def test_changed_missing_and_added_words_are_counted(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split()) == errors


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_it_is_a_distance(one: str, other: str) -> None:
    errors = word_errors(one, other)
    assert errors == word_errors(other, one)
    assert abs(len(one) - len(other)) <= errors <= max(len(one), len(other))
    assert (errors == 0) == (one == other)
