"""The learning rate over a run."""

import pytest

from training.schedule import LAST, WARM_UP_STEPS, learning_rate


def test_it_rises_to_its_peak_in_the_first_steps() -> None:
    rates = [learning_rate(2.0, step, 0.0) for step in range(WARM_UP_STEPS + 50)]
    assert rates[0] == 2.0 / WARM_UP_STEPS
    assert rates == sorted(rates)
    assert set(rates[WARM_UP_STEPS - 1 :]) == {2.0}


def test_it_falls_with_the_time_spent_and_not_to_nothing() -> None:
    rates = [learning_rate(2.0, 1000, part / 100) for part in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[50] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(2.0 * LAST)


def test_a_run_resumed_at_its_end_does_not_warm_up_again() -> None:
    assert learning_rate(2.0, 5000, 0.9) == learning_rate(2.0, WARM_UP_STEPS, 0.9)
