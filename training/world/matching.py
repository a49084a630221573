"""Finds which templates a sentence fits, by a tree of words whose branches may also be slots."""

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from training.world.grammar import Template

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("ends", "slots", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node[T]] = {}
        self.slots: dict[str, _Node[T]] = {}
        self.ends: list[T] = []  # What the templates that end here stand for.


class Matcher(Generic[T]):
    """Templates, each with something that it stands for."""

    def __init__(self, slots: Mapping[str, Collection[str]]) -> None:
        """`slots` are the lists of values."""
        self._values = {name: frozenset(values) for name, values in slots.items()}
        self._longest = {
            name: max(len(value.split()) for value in values) for name, values in slots.items()
        }
        self._root: _Node[T] = _Node()

    def add(self, template: Template, meaning: T) -> None:
        node = self._root
        for piece in template.text.split():
            if piece.startswith("{"):
                node = node.slots.setdefault(piece[1:-1], _Node())
            else:
                node = node.words.setdefault(piece, _Node())
        if meaning not in node.ends:
            node.ends.append(meaning)

    def readings(self, sentence: str) -> Iterator[tuple[T, dict[str, str]]]:
        """Yield what the sentence may mean, with the values of its slots, each way it fits."""
        yield from self._descend(self._root, sentence.split(), 0, {})

    def _descend(
        self, node: _Node[T], words: list[str], start: int, values: dict[str, str]
    ) -> Iterator[tuple[T, dict[str, str]]]:
        if start == len(words):
            for meaning in node.ends:
                yield meaning, dict(values)
            return
        if words[start] in node.words:
            yield from self._descend(node.words[words[start]], words, start + 1, values)
        for name, following in node.slots.items():
            for end, value in self._fitting(name, words, start):
                yield from self._descend(following, words, end, values | {name: value})

    def _fitting(self, name: str, words: list[str], start: int) -> Iterator[tuple[int, str]]:
        for end in range(start + 1, min(start + self._longest[name], len(words)) + 1):
            value = " ".join(words[start:end])
            if value in self._values[name]:
                yield end, value
