"""Reads the grammar file: sections with forms become intents with templates, slot lists and tables."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.world.numbers import NUMBERS

GRAMMAR_FILE = Path(__file__).with_name("grammar.txt")
ANY_INTENT = "any"  # A follow-up `after any` fits every exchange and repeats its answer.

_HEADER = re.compile(r"\[((?:parts|slots|table|intent|follow|reply)\b[^\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"<(\w+)>")
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:/(\d+))?")


class GrammarError(ValueError):
    """The grammar file cannot be read; the message names the line and what was expected."""


@dataclass(frozen=True, slots=True)
class Template:
    """One way to say something: words and slots, without alternatives."""

    text: str  # As "turn on the {room} light".
    slots: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Template":
        return cls(text, tuple(_SLOT.findall(text)))

    def fill(self, values: Mapping[str, str]) -> str:
        return self.text.format_map(values)


@dataclass(slots=True)
class Section:
    """An intent, a follow-up or a reply as the file has it, forms expanded into templates."""

    name: str
    is_follow_up: bool
    forms: list[tuple[Template, ...]] = field(default_factory=list)
    answer: Template | None = None
    rule: str | None = None
    weight: float = 1.0
    after: dict[str, str] = field(default_factory=dict)  # Intent before -> intent that answers.
    renamed: dict[str, str] = field(default_factory=dict)  # Slot now -> slot of the answer before.
    defaults: dict[str, str] = field(default_factory=dict)  # Slots where that answer has none.


@dataclass(slots=True)
class Table:
    key: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Grammar:
    """What the file says. `slots` has every value of every list in the order of the file."""

    sections: dict[str, Section] = field(default_factory=dict)
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = GRAMMAR_FILE) -> "Grammar":
        """Return the grammar of a file; raise GrammarError when a line of it makes no sense."""
        grammar = cls()
        _Reader(grammar).read(path.read_text(encoding="utf-8").splitlines())
        return grammar

    def num_sentences(self, template: Template) -> int:
        """Return how many sentences a template makes."""
        return math.prod(len(self.slots[name]) for name in template.slots)

    def sentences(self, template: Template) -> Iterator[str]:
        """Yield every sentence of a template."""
        for values in itertools.product(*(self.slots[name] for name in template.slots)):
            yield template.fill(dict(zip(template.slots, values, strict=True)))


def expand(form: str) -> tuple[str, ...]:
    """Return every string that a form with (a|b) and [a] stands for, each once, in order."""
    pieces = re.findall(r"[()\[\]|]|[^()\[\]|\s]+", form)
    position = 0

    def alternatives(closing: str) -> list[list[str]]:
        nonlocal position
        found: list[list[str]] = []
        current: list[list[str]] = [[]]
        while position < len(pieces):
            piece = pieces[position]
            position += 1
            if piece in {")", "]"}:
                if piece != closing:
                    raise GrammarError(f"expected {closing or 'a word'!r}, found {piece!r}: {form}")
                return found + current
            if piece == "|":
                found, current = found + current, [[]]
            elif piece in {"(", "["}:
                inner = alternatives(")" if piece == "(" else "]")
                choices = [[], *inner] if piece == "[" else inner
                current = [left + right for left in current for right in choices]
            else:
                current = [[*left, piece] for left in current]
        if closing:
            raise GrammarError(f"expected {closing!r} before the end of the form: {form}")
        return found + current

    return tuple(dict.fromkeys(" ".join(words) for words in alternatives("")))


class _Reader:
    """Goes through the lines once; the section that was opened last takes them."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._kind = ""
        self._section = Section("", is_follow_up=False)
        self._table = Table("")

    def read(self, lines: Iterable[str]) -> None:
        for number, line in enumerate(lines, 1):
            text = line.split("#")[0].strip()
            if not text:
                continue
            try:
                self._line(text)
            except ValueError as error:
                message = f"line {number} of the grammar: {error!s}; found {text!r}"
                raise GrammarError(message) from error

    def _line(self, text: str) -> None:
        if header := _HEADER.fullmatch(text):
            self._open(header[1].split())
        elif self._kind in {"parts", "slots", "table"}:
            name, _, value = text.partition(":")
            self._list(name.strip(), value.strip())
        else:
            word, _, rest = text.partition(" ")
            self._statement(word, rest)

    def _open(self, words: Sequence[str]) -> None:
        self._kind = words[0]
        if self._kind == "table":
            _, value, of, key = words
            if of != "of":
                raise GrammarError("expected [table VALUE of KEY]")
            self._table = self._grammar.tables[value] = Table(key)
        elif self._kind in {"intent", "follow", "reply"}:
            name = words[1]
            if name in self._grammar.sections:
                raise GrammarError(f"expected each name once, found {name!r} again")
            self._section = Section(name, is_follow_up=self._kind == "follow")
            self._grammar.sections[name] = self._section

    def _list(self, name: str, value: str) -> None:
        grammar = self._grammar
        if not value:
            raise GrammarError("expected NAME: VALUE")
        if self._kind == "parts":
            grammar.parts[name] = value
        elif self._kind == "slots":
            items = itertools.chain.from_iterable(map(self._values, value.split("|")))
            grammar.slots[name] = tuple(dict.fromkeys(items))
        else:
            self._table.values[name] = value
            table_name = next(key for key, t in grammar.tables.items() if t is self._table)
            grammar.slots[table_name] = tuple(dict.fromkeys(self._table.values.values()))
            if name not in grammar.slots.get(self._table.key, ()):
                grammar.slots[self._table.key] = (*grammar.slots.get(self._table.key, ()), name)

    def _values(self, item: str) -> Iterator[str]:
        found = _RANGE.fullmatch(item.strip())
        if found:
            first, last, step = (int(group or 1) for group in found.groups())
            yield from NUMBERS[first : last + 1 : step]
        else:
            yield from self._grammar.sentences(self._template(item.strip()))

    def _statement(self, word: str, rest: str) -> None:
        section = self._section
        match word:
            case "?":
                whole = _PART.sub(self._part, rest)
                texts = [text for text in expand(whole) if text.split().count("please") < 2]
                section.forms.append(tuple(map(self._template, texts)))
            case "=":
                section.answer = self._template(rest)
            case "rule":
                section.rule = rest
            case "weight":
                section.weight = float(rest)
            case "after":
                before, _, target = rest.partition(" -> ")
                section.after[before] = target or section.name
            case "let":
                now, _, before = rest.partition(" = ")
                section.renamed[now] = before
            case "default":
                name, _, value = rest.partition(" = ")
                section.defaults[name] = value
            case _:
                raise GrammarError("expected ?, =, rule, weight, after, let or default")

    def _part(self, found: re.Match[str]) -> str:
        if found[1] not in self._grammar.parts:
            raise GrammarError(f"expected a part of the list above, not <{found[1]}>")
        return self._grammar.parts[found[1]]

    def _template(self, text: str) -> Template:
        template = Template.of(text)
        unknown = set(template.slots) - set(self._grammar.slots)
        if unknown:
            raise GrammarError(f"expected slots that have a list above, not {sorted(unknown)}")
        return template
