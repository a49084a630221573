"""The learning rate over a run that is measured in time, not in steps."""

import math

WARM_UP_STEPS = 200
LAST = 0.02  # Of the peak, at the end.


def learning_rate(peak: float, step: int, fraction: float) -> float:
    """Return the rate at a step, `fraction` of the run's time spent: a linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return peak * warm * max(LAST, 0.5 * (1 + math.cos(math.pi * fraction)))
