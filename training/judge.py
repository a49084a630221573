"""An independent recogniser: pocketsphinx, which may hear any sentence of the world and no other.

Its grammar is a finite automaton over words, made from the world's templates, about 800 states. Written as JSGF, even as one
tree of words, pocketsphinx expanded it to 25 times as many and needed eight times as long, to hear the same (24 sentences, one
core of a Xeon, November 2026).
"""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from training.world import World

# Of words that cmudict lacks, in its phonemes.
OWN_PRONUNCIATIONS = {"oink": "OY NG K"}
# Wider than pocketsphinx has them. With its own, 14 % of the words of espeak-ng's speech came out wrong; so, 2 % (24 sentences).
BEAMS = {"beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-60}

Values = Mapping[str, Sequence[str]]  # Of slots.
# What may still come: words, slots as "{name}", and tuples, of which one is to be said, itself a tuple of words.
Rest = tuple[Any, ...]


class Sentences:
    """All sentences of some templates, as an automaton: from each state words lead to others."""

    def __init__(self, templates: Iterable[str], slots: Values) -> None:
        """Build it.

        Args:
            templates: words, and slots as "{name}", separated by spaces.
            slots: the values of each, of one word or more.
        """
        same = {frozenset(values): name for name, values in slots.items()}

        def unified(piece: str) -> str:
            """Return one slot for all those with the same values, which makes the automaton half as large."""
            return f"{{{same[frozenset(slots[piece[1:-1]])]}}}" if piece[0] == "{" else piece

        start = frozenset(tuple(map(unified, template.split())) for template in templates)
        numbers = {start: 0}
        self.arcs: list[dict[str, int]] = []
        self.ends: set[int] = set()
        waiting = [start]
        for rests in waiting:  # It grows meanwhile.
            if () in rests:
                self.ends.add(numbers[rests])
            arcs = {}
            for word, following in _after_a_word(rests, slots).items():
                if following not in numbers:
                    numbers[following] = len(numbers)
                    waiting.append(following)
                arcs[word] = numbers[following]
            self.arcs.append(arcs)

    @classmethod
    def of_questions(cls, world: World) -> "Sentences":
        """Return what may be asked at any time."""
        templates = {
            template.text
            for section in world.intents
            for form in section.forms
            for template in form
        }
        return cls(sorted(templates), world.grammar.slots)

    def holds(self, sentence: str) -> bool:
        """Whether the sentence is one of them."""
        state: int | None = 0
        for word in sentence.split():
            state = None if state is None else self.arcs[state].get(word)
        return state in self.ends

    def write(self, path: Path) -> None:
        """Write the automaton in the form that sphinx calls FSG, with one state more that all ends lead to."""
        final = len(self.arcs)
        arcs = [
            f"TRANSITION {state} {target} 1 {word}"
            for state, targets in enumerate(self.arcs)
            for word, target in targets.items()
        ]
        arcs += [f"TRANSITION {state} {final} 1" for state in sorted(self.ends)]
        head = (
            "FSG_BEGIN world",
            f"NUM_STATES {final + 1}",
            "START_STATE 0",
            f"FINAL_STATE {final}",
        )
        path.write_text("\n".join((*head, *arcs, "FSG_END", "")), encoding="utf-8")


class Judge:
    """Hears sentences of the world, whoever speaks them."""

    def __init__(self, sentences: Sentences) -> None:
        """Load pocketsphinx' English model and these sentences; 0.5 s."""
        self.sentences = sentences
        words = {word for arcs in sentences.arcs for word in arcs}
        with tempfile.TemporaryDirectory() as name:
            grammar, dictionary = Path(name) / "world.fsg", Path(name) / "world.dict"
            sentences.write(grammar)
            dictionary.write_text("\n".join(pronunciations(words)) + "\n", encoding="utf-8")
            self._decoder = pocketsphinx.Decoder(
                hmm=pocketsphinx.get_model_path("en-us/en-us"),
                dict=str(dictionary),
                fsg=str(grammar),
                cmn="batch",  # Each sentence by itself, whatever was heard before.
                bestpath=False,
                loglevel="FATAL",
                **BEAMS,
            )

    def hear(self, samples: NDArray[np.float32]) -> str:
        """Return the sentence that is most likely said in a sound at 16 kHz; empty when none fits."""
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""


def pronunciations(words: Iterable[str]) -> list[str]:
    """Return the lines of a pronouncing dictionary for these words.

    Raises:
        ValueError: neither cmudict nor OWN_PRONUNCIATIONS has a word.
    """
    wanted = set(words)
    whole = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    found = defaultdict(list)
    for line in whole.read_text(encoding="utf-8").splitlines():
        # A second way to say a word is called "word(2)".
        word = re.sub(r"\(\d+\)$", "", line.partition(" ")[0])
        if word in wanted:
            found[word].append(line)
    for word in wanted & OWN_PRONUNCIATIONS.keys() - found.keys():
        found[word].append(f"{word} {OWN_PRONUNCIATIONS[word]}")
    if missing := sorted(wanted - found.keys()):
        raise ValueError(
            f"no pronunciation of {', '.join(missing)}: expected every word in cmudict or in OWN_PRONUNCIATIONS "
            "of training/judge.py; add it there"
        )
    return [line for word in sorted(found) for line in found[word]]


def _after_a_word(rests: frozenset[Rest], slots: Values) -> dict[str, frozenset[Rest]]:
    """Return, for each word that may come next, what may come after it."""
    found: dict[str, set[Rest]] = defaultdict(set)
    for rest in rests:
        if not rest:
            continue
        choices: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for words in _choices(rest[0], slots):
            choices[words[0]].append(words[1:])
        for word, left in choices.items():
            begun = tuple(words for words in left if words)
            if len(begun) < len(left):
                found[word].add(rest[1:])
            if begun:
                found[word].add((begun, *rest[1:]))
    return {word: frozenset(after) for word, after in found.items()}


def _choices(piece: Any, slots: Values) -> Iterable[tuple[str, ...]]:
    """Return the ways to say a piece, each as words: a word, a slot, or a slot that is half said."""
    if isinstance(piece, tuple):
        return piece
    if piece.startswith("{"):
        return [tuple(value.split()) for value in slots[piece[1:-1]]]
    return [(piece,)]
