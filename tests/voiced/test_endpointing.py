"""The wait for the end of a turn follows the speaker's own pauses, within its limits."""

from hypothesis import given
from hypothesis import strategies as st

from voiced.endpointing import (
    FIRST_SILENCE,
    LEAST_SILENCE,
    MOST_SILENCE,
    UNFINISHED_SILENCE,
    Patience,
)
from voiced.voice_activity import RATE_HZ


def test_the_first_wait_is_that_of_peers() -> None:
    assert Patience().silence(None) == FIRST_SILENCE == 0.6 * RATE_HZ


def test_the_wait_comes_to_exceed_the_pauses() -> None:
    patience = Patience()
    for _ in range(6):
        patience.went_on(RATE_HZ)

    assert RATE_HZ < patience.silence(None) < 1.5 * RATE_HZ


def test_a_longer_pause_counts_at_once_and_a_shorter_one_slowly() -> None:
    patience = Patience()
    patience.went_on(RATE_HZ)
    raised = patience.silence(None)
    patience.ended(5 * RATE_HZ)
    patience.ended(5 * RATE_HZ)

    assert FIRST_SILENCE < patience.silence(None) < raised
    assert raised - patience.silence(None) < raised - FIRST_SILENCE


def test_short_answers_do_not_make_it_impatient() -> None:
    patience = Patience()
    for _ in range(20):
        patience.ended(RATE_HZ // 4)

    assert patience.silence(None) == FIRST_SILENCE


def test_unknown_and_empty_words_change_nothing() -> None:
    assert Patience().silence("") == Patience().silence(None) == Patience().silence("yes")
    assert Patience().silence("and") == Patience().silence(None) + UNFINISHED_SILENCE


@given(st.lists(st.one_of(st.integers(0, 10**6), st.tuples(st.integers(0, 10**7))), max_size=50))
def test_the_wait_keeps_its_limits(learnt: list[int | tuple[int]]) -> None:
    patience = Patience()
    for one in learnt:
        if isinstance(one, int):
            patience.went_on(one)
        else:
            patience.ended(*one)
        assert LEAST_SILENCE <= patience.silence(None) <= MOST_SILENCE
        assert patience.silence("and") <= MOST_SILENCE + UNFINISHED_SILENCE
