"""The answers that are computed: each rule gets the slots said and gives those that follow.

A rule returns None when the world has no answer (a sum over one hundred, a dog compared with a
dog); such a question is then neither drawn nor understood.
"""

from collections.abc import Callable, Mapping

from training.world.numbers import to_number, to_words

Slots = dict[str, str]
Rule = Callable[[Mapping[str, str]], Slots | None]

WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTHS = (
    "january february march april may june july august september october november december"
).split()
ANIMALS_BY_SIZE = "mouse frog duck cat snake dog wolf pig lion cow horse".split()
ABILITIES = {
    "fly": {"duck"},
    "swim": {"dog", "cow", "duck", "frog", "snake", "pig", "horse", "wolf", "lion"},
    "climb": {"cat", "lion", "snake", "mouse", "frog"},
}
_WARMTHS = ((4, "freezing"), (12, "cold"), (18, "cool"), (27, "warm"), (40, "hot"))
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
    return _numeral("total", to_number(slots["number"]) + to_number(slots["step"]))


def _difference(slots: Mapping[str, str]) -> Slots | None:
    return _numeral("total", to_number(slots["number"]) - to_number(slots["step"]))


def _double(slots: Mapping[str, str]) -> Slots | None:
    return _numeral("total", 2 * to_number(slots["doubled"]))


def _half(slots: Mapping[str, str]) -> Slots | None:
    number = to_number(slots["halved"])
    return None if number % 2 else _numeral("total", number // 2)


def _weeks_days(slots: Mapping[str, str]) -> Slots | None:
    return _numeral("days", 7 * to_number(slots["weeks"]))


def _days_after(slots: Mapping[str, str]) -> Slots | None:
    index = WEEKDAYS.index(slots["weekday"]) + to_number(slots["few"])
    return {"other_day": WEEKDAYS[index % len(WEEKDAYS)]}


def _parity(slots: Mapping[str, str]) -> Slots | None:
    return {"parity": "odd" if to_number(slots["number"]) % 2 else "even"}


def _compare(slots: Mapping[str, str]) -> Slots | None:
    number, other = to_number(slots["number"]), to_number(slots["other"])
    if number == other:
        return None
    return {"relation": "more" if number > other else "less"}


def _feel(slots: Mapping[str, str]) -> Slots | None:
    degrees = to_number(slots["degrees"])
    return {"warmth": next(word for limit, word in _WARMTHS if degrees <= limit)}


def _hours_later(slots: Mapping[str, str]) -> Slots | None:
    hour = (to_number(slots["clock"]) + to_number(slots["hours"]) - 1) % 12 + 1
    return _numeral("later_clock", hour)


def _count(slots: Mapping[str, str]) -> Slots | None:
    numbers = [to_words(number) or "" for number in range(1, to_number(slots["up_to"]) + 1)]
    return {"counted": " ".join(numbers)}


def _count_back(slots: Mapping[str, str]) -> Slots | None:
    numbers = [to_words(number) or "" for number in range(to_number(slots["up_to"]), 0, -1)]
    return {"backwards": " ".join(numbers)}


def _backwards(slots: Mapping[str, str]) -> Slots | None:
    return {"backwards": " ".join(reversed(slots["counted"].split()))}


def _ability(slots: Mapping[str, str]) -> Slots | None:
    if slots["animal"] in ABILITIES[slots["act"]]:
        return {"yes_no": "yes", "can_word": "can"}
    return {"yes_no": "no", "can_word": "cannot"}


def _size(slots: Mapping[str, str]) -> Slots | None:
    animal, other = slots["animal"], slots["other_animal"]
    if animal == other:
        return None
    bigger, smaller = sorted((animal, other), key=ANIMALS_BY_SIZE.index, reverse=True)
    return {"bigger_animal": bigger, "smaller_animal": smaller}


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


def _repeat(slots: Mapping[str, str]) -> Slots | None:
    return {"phrase": slots["anything"]} if "anything" in slots else {}


RULES: dict[str, Rule] = {
    "sum": _sum,
    "difference": _difference,
    "double": _double,
    "half": _half,
    "weeks_days": _weeks_days,
    "days_after": _days_after,
    "parity": _parity,
    "compare": _compare,
    "feel": _feel,
    "hours_later": _hours_later,
    "count": _count,
    "count_back": _count_back,
    "backwards": _backwards,
    "ability": _ability,
    "size": _size,
    "more_time": _more_time,
    "repeat": _repeat,
    "day_after": _neighbour(WEEKDAYS, "weekday", "other_day", 1),
    "day_before": _neighbour(WEEKDAYS, "weekday", "other_day", -1),
    "month_after": _neighbour(MONTHS, "month", "other_month", 1),
    "month_before": _neighbour(MONTHS, "month", "other_month", -1),
    "number_after": _shifted("before_hundred", "total", 1),
    "number_before": _shifted("after_zero", "total", -1),
    "louder": _moved("loudness", 1, 1, 10),
    "quieter": _moved("loudness", -1, 1, 10),
    "warmer": _moved("heat", 1, 10, 30),
    "colder": _moved("heat", -1, 10, 30),
}
