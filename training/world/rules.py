"""The answers that are computed: each rule gets the slots said and gives those that follow.

A rule returns None when the world has no answer (a number over ten to add to, minutes beyond sixty);
such a question is then neither drawn nor understood.
"""

from collections.abc import Callable, Mapping

from training.world.numbers import to_number, to_words

Slots = dict[str, str]
Rule = Callable[[Mapping[str, str]], Slots | None]

WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_LARGEST_NUMBER = 10  # To which something is added.
_DURATION_LIMITS = range(1, 61)  # Minutes that a timer takes.


def _numeral(slot: str, number: int) -> Slots | None:
    words = to_words(number)
    return None if words is None else {slot: words}


def _shifted(slot: str, result: str, by: int) -> Rule:
    def rule(slots: Mapping[str, str]) -> Slots | None:
        return _numeral(result, to_number(slots[slot]) + by)

    return rule


def _neighbour(cycle: list[str], slot: str, result: str, by: int) -> Rule:
    def rule(slots: Mapping[str, str]) -> Slots | None:
        return {result: cycle[(cycle.index(slots[slot]) + by) % len(cycle)]}

    return rule


def _sum(slots: Mapping[str, str]) -> Slots | None:
    number = to_number(slots["number"])
    return (
        None if number > _LARGEST_NUMBER else _numeral("total", number + to_number(slots["step"]))
    )


def _count(slots: Mapping[str, str]) -> Slots | None:
    numbers = [to_words(number) or "" for number in range(1, to_number(slots["up_to"]) + 1)]
    return {"counted": " ".join(numbers)}


def _count_back(slots: Mapping[str, str]) -> Slots | None:
    numbers = [to_words(number) or "" for number in range(to_number(slots["up_to"]), 0, -1)]
    return {"backwards": " ".join(numbers)}


def _backwards(slots: Mapping[str, str]) -> Slots | None:
    return {"backwards": " ".join(reversed(slots["counted"].split()))}


def _more_time(slots: Mapping[str, str]) -> Slots | None:
    """Minutes are added to minutes only; half an hour and an hour stay what they are."""
    number, _, unit = slots["duration"].rpartition(" ")
    if unit not in {"minute", "minutes"}:
        return None
    minutes = to_number(number) + to_number(slots["more_minutes"])
    return {"duration": f"{to_words(minutes)} minutes"} if minutes in _DURATION_LIMITS else None


def _moved(slot: str, by: int, lowest: int, highest: int) -> Rule:
    def rule(slots: Mapping[str, str]) -> Slots | None:
        return _numeral(slot, min(max(to_number(slots[slot]) + by, lowest), highest))

    return rule


RULES: dict[str, Rule] = {
    "sum": _sum,
    "count": _count,
    "count_back": _count_back,
    "backwards": _backwards,
    "more_time": _more_time,
    "day_after": _neighbour(WEEKDAYS, "weekday", "other_day", 1),
    "day_before": _neighbour(WEEKDAYS, "weekday", "other_day", -1),
    "number_after": _shifted("before_hundred", "total", 1),
    "louder": _moved("loudness", 1, 1, 10),
    "quieter": _moved("loudness", -1, 1, 10),
    "warmer": _moved("heat", 1, 10, 30),
    "colder": _moved("heat", -1, 10, 30),
}
