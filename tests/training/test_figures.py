"""Figures: what is counted, between which bounds it lies, and whether it is enough."""

import pytest

from training.figures import (
    Trial,
    answered_trial,
    at_least,
    at_most,
    error_points,
    error_rate,
    heard_trial,
    median,
    share_right,
    table,
    wilson,
    words_right,
    worst,
)


def heard(wanted: str, got: str) -> Trial:
    return heard_trial("", wanted, got)


def test_an_error_rate_counts_words_that_are_wrong_missing_or_too_many() -> None:
    trials = [heard("one two three four", "one three five four"), heard("six", "six seven")]
    figure = error_rate("n", "what", trials, of="sentences")
    assert figure.value == pytest.approx(100 * 3 / 5)
    assert figure.low <= figure.value <= figure.high


def test_no_errors_at_all_still_leave_room_for_some() -> None:
    figure = error_rate("n", "what", [heard("one two", "one two")] * 20, of="sentences")
    assert figure.value == figure.low == 0
    assert 5 < figure.high < 10


def test_nothing_heard_is_all_words_wrong() -> None:
    assert error_rate("n", "what", [heard("one two", "")], of="sentences").value == 100


def test_words_right_is_what_the_error_rate_leaves() -> None:
    figure = words_right("n", "what", [heard("one two three four", "one two three")], of="replies")
    assert figure.value == 75


def test_an_answer_is_right_only_as_a_whole() -> None:
    trials = [
        answered_trial("", "the light is on", got) for got in ("the light is on", "the light")
    ]
    assert share_right("n", "what", trials, of="questions").value == 50


def test_points_compare_the_same_sentences() -> None:
    trials = [heard("one two", "one"), heard("one two", "one two")]
    base = [heard("one two", "one"), heard("one two", "one two")]
    figure = error_points("n", "what", trials, base, of="sentences")
    assert (figure.value, figure.low, figure.high) == (0, 0, 0)


def test_the_median_has_an_interval_around_it() -> None:
    figure = median("n", "what", [0.1, 0.2, 0.3, 0.4, 5.0], unit="s", of="replies")
    assert figure.value == 0.3
    assert figure.low < 0.3 < figure.high


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("demand", "verdict"),
    [
        (at_most(50), "met"),
        (at_most(49), "missed"),
        (at_least(50), "met"),
        (at_least(51), "missed"),
    ],
)
def test_a_demand_is_met_up_to_its_limit(demand: object, verdict: str) -> None:
    figure = share_right(
        "n",
        "what",
        [answered_trial("", "a", "a"), answered_trial("", "a", "b")],
        demand,  # type: ignore[arg-type]  # as the table above has it
        of="questions",
    )
    assert figure.verdict == verdict


def test_the_worst_come_first_and_those_without_errors_never() -> None:
    trials = [heard("one", "one"), heard("one", "two"), heard("one two", "")]
    assert [trial.errors for trial in worst(trials)] == [2, 1]


def test_the_table_tells_the_demand_the_interval_and_the_number_of_trials() -> None:
    figure = error_rate("n", "words", [heard("one two", "one")], at_most(3), of="sentences")
    assert table([figure]).splitlines()[-1] == (
        "| words | 50.0 % | 50.0 to 50.0 | ≤ 3 % | missed | 1 sentences |"
    )
