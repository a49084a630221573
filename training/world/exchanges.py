"""Draws questions, answers and dialogues of the world, and answers questions by rule."""

import functools
import itertools
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.world.grammar import ANY_INTENT, Grammar, GrammarError, Section, Template
from training.world.matching import Matcher
from training.world.rules import RULES, Slots

NOT_UNDERSTOOD = "sorry i did not understand"
UNKNOWN = "unknown"  # The intent of what means nothing in the world.

_UNKNOWN_PART = 0.02  # Of all draws that stand alone; as much again is nonsense of the grammar's.
_LONGEST_QUESTION = 10  # Words; longer ones are understood but not drawn.
_FOLLOW_UP_PART = 0.6  # Of the turns after the first, where a follow-up fits.
_HELD_OUT_ONE_IN = 12
_SMALL_FORM = 10  # Sentences; a form with fewer is never held out, it would hardly be learnt.


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and its answer."""

    intent: str  # A name in the grammar, or "unknown". A follow-up has that of what it leads to.
    question: str
    answer: str
    is_follow_up: bool = False  # Only understood with the exchange before it.


class World:
    """What may be said at home and what is answered; see grammar.txt beside this file."""

    words: tuple[str, ...]  # Every word of any question or answer, sorted.

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        sections = grammar.sections.values()
        self.intents = [s for s in sections if s.forms and not s.is_follow_up]
        self.follow_ups = [s for s in sections if s.is_follow_up]
        _check(grammar)
        self._weights = list(itertools.accumulate(s.weight for s in self.intents))
        self.words = tuple(sorted(_words(grammar)))
        self._known = frozenset(self.words)
        self._questions: Matcher[str] = Matcher(grammar.slots)
        self._follow_ups: Matcher[str] = Matcher(grammar.slots)
        for section in sections:
            matcher = self._follow_ups if section.is_follow_up else self._questions
            for template in itertools.chain.from_iterable(section.forms):
                matcher.add(template, section.name)
        self._answers: dict[str, Matcher[str]] = {}
        for name in {before for s in self.follow_ups for before in s.after} - {ANY_INTENT}:
            answer = grammar.sections[name].answer
            assert answer is not None
            self._answers[name] = Matcher(grammar.slots)
            self._answers[name].add(answer, name)
        self._fitting = {
            s.name: [f for f in self.follow_ups if s.name in f.after or ANY_INTENT in f.after]
            for s in sections
        }

    @classmethod
    def load(cls) -> "World":
        """Return the world of grammar.txt; the same one at every call."""
        return _load()

    # ------------------------------------------------------------ drawing

    def draw(self, rng: random.Random, *, held_out: bool = False) -> Exchange:
        """Return one question that stands alone, with its answer.

        Args:
            rng: where every choice comes from. Intents are drawn by their weight, then one of
                their forms, one of its templates and the values of the slots, each evenly.
            held_out: only questions kept from training; otherwise only the others.
        """
        while True:
            if rng.random() < _UNKNOWN_PART:
                exchange = self._draw_unknown(rng)
            else:
                exchange = self._draw_known(rng)
            if exchange is not None and self.is_held_out(exchange.question) == held_out:
                return exchange

    def draw_dialogue(
        self, rng: random.Random, num_turns: int, *, held_out: bool = False
    ) -> list[Exchange]:
        """Return `num_turns` exchanges, about half of those after the first being follow-ups.

        With `held_out` the questions that stand alone are kept from training, so that the
        follow-ups come after something never heard; without it no question is.
        """
        dialogue: list[Exchange] = []
        while len(dialogue) < num_turns:
            exchange = None
            if dialogue and rng.random() < _FOLLOW_UP_PART:
                exchange = self._draw_follow_up(rng, dialogue[-1], held_out=held_out)
            if exchange is None:
                exchange = self.draw(rng, held_out=held_out)
                if len(dialogue) + 1 < num_turns and not self._leads_on(exchange.intent):
                    exchange = self.draw(rng, held_out=held_out)
                if dialogue and self.answer(exchange.question, dialogue[-1]) != exchange:
                    continue  # It stands alone, but not after this.
            dialogue.append(exchange)
        return dialogue

    def _leads_on(self, intent: str) -> bool:
        return any(ANY_INTENT not in f.after for f in self._fitting.get(intent, ()))

    def _draw_known(self, rng: random.Random) -> Exchange | None:
        target = rng.random() * self._weights[-1]
        section = self.intents[_first_above(self._weights, target)]
        template, slots = self._draw_template(rng, section)
        answer = self._answer_of(section, slots, section.rule)
        if answer is None:
            return None
        question = template.fill(slots)
        if question.count(" ") >= _LONGEST_QUESTION:
            return None
        return Exchange(intent=section.name, question=question, answer=answer)

    def _draw_template(self, rng: random.Random, section: Section) -> tuple[Template, Slots]:
        form = section.forms[int(rng.random() * len(section.forms))]
        template = form[int(rng.random() * len(form))]
        return template, {name: self._draw_value(rng, name) for name in template.slots}

    def _draw_value(self, rng: random.Random, name: str) -> str:
        values = self.grammar.slots[name]
        return values[int(rng.random() * len(values))]

    def _draw_follow_up(
        self, rng: random.Random, before: Exchange, *, held_out: bool
    ) -> Exchange | None:
        fitting = self._fitting.get(before.intent, [])
        if not self._leads_on(before.intent):
            fitting = [f for f in fitting if rng.random() < 0.1]
        if not fitting:
            return None
        (section,) = rng.choices(fitting, [f.weight for f in fitting])
        for _ in range(20):
            template, slots = self._draw_template(rng, section)
            question = template.fill(slots)
            if self.is_held_out(question) and not held_out:
                continue
            exchange = self._followed(section, question, slots, before)
            if exchange is not None:
                return exchange
        return None

    def _draw_unknown(self, rng: random.Random) -> Exchange | None:
        kind = rng.random()
        if kind < 0.2:  # Any words in any order.
            words = rng.choices(self.words, k=rng.randint(2, 5))
        elif kind < 0.35:  # The words of a question, no two neighbours left together.
            known = self._draw_known(rng)
            words = known.question.split() if known else []
            pairs = set(itertools.pairwise(words))
            rng.shuffle(words)
            if len(words) < 4 or pairs & set(itertools.pairwise(words)):
                return None
        else:  # A follow-up after nothing.
            section = self.follow_ups[int(rng.random() * len(self.follow_ups))]
            template, slots = self._draw_template(rng, section)
            words = template.fill(slots).split()
        question = " ".join(words)
        if next(self._questions.readings(question), None) is not None:
            return None
        if kind < 0.35 and self.is_follow_up(question):
            return None
        return Exchange(intent=UNKNOWN, question=question, answer=NOT_UNDERSTOOD)

    # ------------------------------------------------------------ answering

    def answer(self, question: str, before: Exchange | None = None) -> Exchange | None:
        """Return the exchange that `question` leads to, or None when it is not in the world.

        What is made of the world's words and means nothing is answered with NOT_UNDERSTOOD, also
        a follow-up that does not fit `before`. None comes for other words, and for questions
        whose answer lies outside the world (minutes beyond sixty).
        """
        for exchange in self.readings(question, before):
            return exchange
        words = question.split()
        if not words or not self._known.issuperset(words):
            return None
        if next(self._questions.readings(question), None) is not None:
            return None
        return Exchange(intent=UNKNOWN, question=question, answer=NOT_UNDERSTOOD)

    def readings(self, question: str, before: Exchange | None = None) -> Iterator[Exchange]:
        """Yield every exchange that the question may lead to; all have the same answer."""
        if before is not None:
            for _, exchange in self._follow_up_readings(question, before):
                yield exchange
        for name, slots in self._questions.readings(question):
            section = self.grammar.sections[name]
            answer = self._answer_of(section, slots, section.rule)
            if answer is not None:
                yield Exchange(intent=name, question=question, answer=answer)

    def is_follow_up(self, question: str) -> bool:
        """Return whether a question is understood after some exchange, and only there."""
        return next(self._follow_ups.readings(question), None) is not None

    def follow_ups_of(self, question: str, before: Exchange) -> set[str]:
        """Return the names of the follow-ups that a question is after an exchange; {} for none."""
        return {name for name, _ in self._follow_up_readings(question, before)}

    def answers_leading_on(self, answer: str) -> set[str]:
        """Return the intents with follow-ups that may have given this answer; at most one has."""
        matchers = self._answers.items()
        return {name for name, matcher in matchers if next(matcher.readings(answer), None)}

    def _follow_up_readings(
        self, question: str, before: Exchange
    ) -> Iterator[tuple[str, Exchange]]:
        for name, slots in self._follow_ups.readings(question):
            section = self.grammar.sections[name]
            if before.intent in section.after or ANY_INTENT in section.after:
                exchange = self._followed(section, question, slots, before)
                if exchange is not None:
                    yield name, exchange

    def _followed(
        self, section: Section, question: str, slots: Slots, before: Exchange
    ) -> Exchange | None:
        if ANY_INTENT in section.after:
            if before.intent == UNKNOWN:
                return None
            intent, answer = before.intent, before.answer
        else:
            intent = section.after[before.intent]
            _, earlier = next(self._answers[before.intent].readings(before.answer), ("", None))
            if earlier is None:
                return None
            for now, then in section.renamed.items():
                if then in earlier:
                    earlier[now] = earlier[then]
            target = self.grammar.sections[intent]
            computed = self._answer_of(
                target, section.defaults | earlier | slots, section.rule or target.rule
            )
            if computed is None:
                return None
            answer = computed
        return Exchange(intent=intent, question=question, answer=answer, is_follow_up=True)

    def _answer_of(self, section: Section, slots: Slots, rule: str | None) -> str | None:
        """Return the answer of an intent, its slots completed by rule and tables, or None."""
        values = slots
        if rule is not None:
            computed = RULES[rule](slots)
            if computed is None:
                return None
            values = slots | computed
        template = section.answer
        assert template is not None
        for name in template.slots:
            table = self.grammar.tables.get(name)
            if table is not None and table.key in values:
                found = table.values.get(values[table.key])
                if found is None:
                    return None
                values = values | {name: found}
        return template.fill(values)

    # ------------------------------------------------------------ holding out

    def is_held_out(self, sentence: str) -> bool:
        """Return whether a sentence is kept from training; see the function of this name."""
        held = zlib.crc32(sentence.encode()) % _HELD_OUT_ONE_IN == 0
        return held and sentence not in self._sentences_of_small_forms

    @functools.cached_property
    def _sentences_of_small_forms(self) -> frozenset[str]:
        grammar = self.grammar
        small = {NOT_UNDERSTOOD}
        for section in grammar.sections.values():
            for form in section.forms:
                if sum(map(grammar.num_sentences, form)) < _SMALL_FORM:
                    small.update(s for template in form for s in grammar.sentences(template))
            if section.answer is not None and self._num_answers(section) < _SMALL_FORM:
                small.update(grammar.sentences(section.answer))
        return frozenset(small)

    def _num_answers(self, section: Section) -> int:
        """Return how many answers a section has at most: no more than slots said to it."""
        assert section.answer is not None
        in_answer = self.grammar.num_sentences(section.answer)
        if section.is_follow_up or not section.forms:
            return in_answer
        said = {name for form in section.forms for template in form for name in template.slots}
        return min(in_answer, self.grammar.num_sentences(Template("", tuple(said))))


@functools.cache
def _load() -> World:
    return World(Grammar.read())


def is_held_out(sentence: str) -> bool:
    """Return whether a sentence is kept from training, by a hash of its text: about one in 12.

    Sentences of forms that make fewer than 10 are never kept: they could not be learnt.
    """
    return _load().is_held_out(sentence)


def _first_above(sums: Sequence[float], target: float) -> int:
    low, high = 0, len(sums) - 1
    while low < high:
        middle = (low + high) // 2
        if sums[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


def _words(grammar: Grammar) -> set[str]:
    texts = {NOT_UNDERSTOOD}
    for section in grammar.sections.values():
        answer = (section.answer,) if section.answer else ()
        for template in (*itertools.chain.from_iterable(section.forms), *answer):
            texts.add(template.text)
            for name in template.slots:
                texts.update(grammar.slots.get(name, ()))
    return {word for text in texts for word in text.split() if not word.startswith("{")}


def _check(grammar: Grammar) -> None:
    """Raise GrammarError where a section names what is not there."""
    for section in grammar.sections.values():
        named: Mapping[str, str] = section.after
        missing = {*named, *named.values()} - set(grammar.sections) - {ANY_INTENT}
        if missing:
            raise GrammarError(f"{section.name}: expected intents of the file, found {missing}")
        if section.rule is not None and section.rule not in RULES:
            raise GrammarError(f"{section.name}: expected a rule of rules.py, found {section.rule}")
        if section.answer is None and not section.is_follow_up:
            raise GrammarError(f"{section.name}: expected a line '= ANSWER'")
