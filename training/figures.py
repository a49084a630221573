"""Figures of an examination: from trials to a value, its 95 % interval, and whether it is what was demanded."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.distance import word_errors

Z = 1.959964  # 95 % of a normal distribution lie within so many deviations.
RESAMPLINGS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing that was asked, and how it went.

    Attributes:
        about: what it was, for a list of errors: an intent, a voice, what was said before.
        wanted: the right answer.
        got: the model's.
        errors: words that are wrong, or 1 for an answer that is.
        words: how many there were, or 1.
    """

    about: str
    wanted: str
    got: str
    errors: int
    words: int


def heard_trial(about: str, wanted: str, got: str) -> Trial:
    """Return a trial that counts wrong words."""
    said = wanted.split()
    return Trial(
        about=about,
        wanted=wanted,
        got=got,
        errors=word_errors(said, got.split()),
        words=len(said),
    )


def answered_trial(about: str, wanted: str, got: str) -> Trial:
    """Return a trial that is right only when every word is."""
    return Trial(about=about, wanted=wanted, got=got, errors=int(wanted != got), words=1)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a figure shall be: at most, or else at least, `limit`."""

    limit: float
    is_most: bool

    def is_met_by(self, value: float) -> bool:
        """Whether the figure is good enough."""
        return value <= self.limit if self.is_most else value >= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: short, for files.
        what: for people.
        value, low, high: in `unit`; the last two are the 95 % interval.
        unit: "%", "points", "s" or "" for a ratio.
        count: how many trials, and `of` what they were.
        demand: None where nothing is demanded.
    """

    name: str
    what: str
    value: float
    low: float
    high: float
    unit: str
    count: int
    of: str
    demand: Demand | None = None

    @property
    def verdict(self) -> str:
        """Whether the demand is "met" or "missed"; empty where there is none."""
        if self.demand is None:
            return ""
        return "met" if self.demand.is_met_by(self.value) else "missed"

    def as_json(self) -> dict[str, Any]:
        """Return the line for a JSON file."""
        line: dict[str, Any] = {
            name: getattr(self, name) for name in ("name", "what", "unit", "count", "of")
        }
        line |= {name: round(getattr(self, name), 4) for name in ("value", "low", "high")}
        if self.demand is not None:
            line["at_most" if self.demand.is_most else "at_least"] = self.demand.limit
            line["verdict"] = self.verdict
        return line


def at_most(limit: float) -> Demand:
    """Return the demand of a figure that shall be small."""
    return Demand(limit, is_most=True)


def at_least(limit: float) -> Demand:
    """Return the demand of a figure that shall be large."""
    return Demand(limit, is_most=False)


def error_rate(
    name: str, what: str, trials: Sequence[Trial], demand: Demand | None = None, *, of: str
) -> Figure:
    """Return wrong words in percent of all, its interval by resampling the trials."""
    errors, words = _counted(trials)
    low, high = resampled(len(trials), lambda drawn: _rate(errors[drawn], words[drawn]))
    if not errors.any():
        # Resampling knows nothing of errors that were not seen.
        high = 100 * wilson(0, int(words.sum()))[1]
    return Figure(
        name=name,
        what=what,
        value=_rate(errors, words),
        low=low,
        high=high,
        unit="%",
        count=len(trials),
        of=of,
        demand=demand,
    )


def words_right(
    name: str, what: str, trials: Sequence[Trial], demand: Demand | None = None, *, of: str
) -> Figure:
    """Return 100 less the error rate: words that are there, a word too much counted as one missing."""
    rate = error_rate(name, what, trials, of=of)
    return Figure(
        name=name,
        what=what,
        value=100 - rate.value,
        low=100 - rate.high,
        high=100 - rate.low,
        unit="%",
        count=rate.count,
        of=of,
        demand=demand,
    )


def error_points(
    name: str,
    what: str,
    trials: Sequence[Trial],
    base: Sequence[Trial],
    demand: Demand | None = None,
    *,
    of: str,
) -> Figure:
    """Return by how many points the error rate lies above that of `base`, trial for trial the same sentences."""
    errors, words = _counted(trials)
    errors_base, words_base = _counted(base)

    def points(drawn: NDArray[np.int64]) -> float:
        return _rate(errors[drawn], words[drawn]) - _rate(errors_base[drawn], words_base[drawn])

    low, high = resampled(len(trials), points)
    return Figure(
        name=name,
        what=what,
        value=points(np.arange(len(trials))),
        low=low,
        high=high,
        unit="points",
        count=len(trials),
        of=of,
        demand=demand,
    )


def share_right(
    name: str, what: str, trials: Sequence[Trial], demand: Demand | None = None, *, of: str
) -> Figure:
    """Return in percent the share of trials without an error, with its Wilson interval."""
    num_right = sum(trial.errors == 0 for trial in trials)
    low, high = wilson(num_right, len(trials))
    return Figure(
        name=name,
        what=what,
        value=100 * num_right / max(1, len(trials)),
        low=100 * low,
        high=100 * high,
        unit="%",
        count=len(trials),
        of=of,
        demand=demand,
    )


def median(
    name: str,
    what: str,
    values: Sequence[float],
    demand: Demand | None = None,
    *,
    unit: str,
    of: str,
) -> Figure:
    """Return the median of measured values, its interval by resampling."""
    array = np.array(values)
    low, high = resampled(len(array), lambda drawn: float(np.median(array[drawn])))
    return Figure(
        name=name,
        what=what,
        value=statistics.median(values),
        low=low,
        high=high,
        unit=unit,
        count=len(values),
        of=of,
        demand=demand,
    )


def wilson(num_right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0 to 1 each; (0, 1) of nothing.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    if not count:
        return 0.0, 1.0
    share, spread = num_right / count, Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def resampled(count: int, figure: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """Return the 95 % interval of a figure of `count` trials, by drawing as many of them with replacement, often."""
    if not count:
        return 0.0, 0.0
    rng = np.random.default_rng(0)
    drawn = rng.integers(count, size=(RESAMPLINGS, count))
    low, high = np.quantile([figure(indices) for indices in drawn], (0.025, 0.975))
    return float(low), float(high)


def worst(trials: Iterable[Trial], most: int = 20) -> list[Trial]:
    """Return the trials with the most errors, those with any."""
    wrong = [trial for trial in trials if trial.errors]
    return sorted(wrong, key=lambda trial: -trial.errors)[:most]


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| what | figure | 95 % interval | demanded | | of |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for figure in figures:
        demand = figure.demand
        demanded = ""
        if demand is not None:
            demanded = f"{'≤' if demand.is_most else '≥'} {_with_unit(demand.limit, figure.unit)}"
        cells = (
            figure.what,
            _with_unit(figure.value, figure.unit, _digits(figure.unit)),
            f"{_number(figure.low, _digits(figure.unit))} to {_number(figure.high, _digits(figure.unit))}",
            demanded,
            figure.verdict,
            f"{figure.count} {figure.of}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _counted(trials: Sequence[Trial]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return (
        np.array([trial.errors for trial in trials], np.int64),
        np.array([trial.words for trial in trials], np.int64),
    )


def _rate(errors: NDArray[np.int64], words: NDArray[np.int64]) -> float:
    return 100 * float(errors.sum()) / max(1, int(words.sum()))


def _digits(unit: str) -> int:
    return 1 if unit in {"%", "points"} else 2


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def _with_unit(value: float, unit: str, digits: int | None = None) -> str:
    number = f"{value:g}" if digits is None else _number(value, digits)
    return f"{number} {unit}".strip()
