"""Numbers as words: 0 to 100."""

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def _spell(number: int) -> str:
    if number == 100:
        return "one hundred"
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f" {_ONES[ones]}" if ones else "")


NUMBERS: tuple[str, ...] = tuple(_spell(number) for number in range(101))
_VALUES = {words: number for number, words in enumerate(NUMBERS)}


def to_words(number: int) -> str | None:
    """Return `number` in words, or None outside 0 to 100, which is as far as the world counts."""
    return NUMBERS[number] if 0 <= number <= 100 else None


def to_number(words: str) -> int:
    """Return the number that `words` say; raise KeyError when they are none from 0 to 100."""
    return _VALUES[words]
