"""Cut text at sentences, so that each piece can be spoken on its own."""

import re
import unicodedata
from collections.abc import Iterator

MAX_CHARS = 200  # About 13 s of English speech; longer replies drift in voice and pace.
MIN_CHARS = 24  # A shorter sentence is spoken together with the next one of its paragraph.

_PARAGRAPH_END = re.compile(
    r"\n\s*\n"  # An empty line,
    r"|\n(?=[ \t]*(?:[-*•‣]|\d{1,3}[.)])[ \t])"  # or the next item of a list.
    r"|[\u2028\u2029\f\v]"
)
_CLOSERS = "\"'”’»›)]}」』）】〉》"
# A run of closing marks and the quotes and brackets that it takes along. Marks of Chinese and Japanese need no
# space after them; the others do, which is what keeps 3.14, 10.30 and www.example.org in one piece. Possessive and
# tried once a run, so that a hundred thousand full stops take linear time.
_SENTENCE_END = re.compile(
    rf"(?P<mark>[。！？｡︒]++|(?<![.!?…؟।])[.!?…؟।]++(?=[{re.escape(_CLOSERS)}]*+\s))"
    rf"(?P<close>[{re.escape(_CLOSERS)}]*+)"
)
_CLAUSE_END = re.compile(r"[,;:](?=\s)|[—–](?=\s|\w)|[、，；：]")
_WORD_BEFORE = re.compile(r"[^\s\"'“”‘’«»(\[{]+$")
_LIST_NUMBER = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z])[.)]$")

# A name or an explanation follows these, whatever its first letter.
_NEVER_LAST = frozenset(
    "mr mrs ms mx dr prof rev hon st gen col capt cmdr lt sgt maj gov sen rep pres messrs mme mlle sr. "
    "e.g i.e viz cf vs approx ca esp incl resp".split()
)
# These may end a sentence; then a word that often begins one follows.
_SELDOM_LAST = frozenset(
    "jr sr inc ltd co corp bros etc al est dept univ assn ave blvd rd jan feb mar apr jun jul aug sep sept oct nov "
    "dec a.m p.m ph.d b.a m.a b.sc m.sc m.d a.d b.c u.s.a".split()
)
_BEFORE_NUMBER = frozenset("no nos nr fig figs p pp ch sec vol art eq tab ver".split())
_INITIALS = re.compile(
    r"(?:[^\W\d_]\.)*[^\W\d_]"
)  # J, U.S, e.g: single letters between full stops.
_OPENERS = frozenset(
    "the a an this that these those there here he she it we they you i his her its our their your my but and or so "
    "then if when while after before although however in on at for from with as what who why where how which "
    "yes no not now today once one some all most many".split()
)


def pieces(text: str, *, max_chars: int = MAX_CHARS, min_chars: int = MIN_CHARS) -> list[str]:
    """Return `text` cut into pieces of at most `max_chars` characters, at sentences wherever that is possible.

    A sentence over the limit is cut at clauses, else between words, else anywhere. A sentence shorter than
    `min_chars` goes together with the next one of its paragraph. Nothing but white space is lost: the pieces, one
    after the other, hold every other character of the text in order. Runs of white space become one space.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars {max_chars}: expected at least 1")
    return [
        piece
        for paragraph in _paragraphs(text)
        for sentence in _joined(_sentences(paragraph), min_chars, max_chars)
        for piece in _cut(sentence, max_chars)
    ]


def sentences(text: str) -> list[str]:
    """Return the sentences of `text`, however long or short, with white space trimmed to single spaces."""
    return [sentence for paragraph in _paragraphs(text) for sentence in _sentences(paragraph)]


def is_speakable(text: str) -> bool:
    """Say whether there is a letter or a digit in `text`; punctuation, symbols and emoji alone are not spoken."""
    return any(character.isalnum() for character in text)


def _paragraphs(text: str) -> Iterator[str]:
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    for paragraph in _PARAGRAPH_END.split(unified):
        if words := paragraph.split():
            yield " ".join(words)


def _sentences(paragraph: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        if _ends_sentence(paragraph, start, match):
            yield paragraph[start : match.end()].strip()
            start = match.end()
    if rest := paragraph[start:].strip():
        yield rest


def _ends_sentence(paragraph: str, start: int, match: re.Match[str]) -> bool:
    mark, close = match["mark"], match["close"]
    following = paragraph[match.end() : match.end() + 40].lstrip()
    if mark[0] in "。！？｡︒":
        return not (close and following.startswith(("と", "っ")))  # 「…。」と言った goes on.
    if not following:
        return True
    goes_on = following[0].islower()
    if close and goes_on:
        return False  # "Why?" she asked.
    if "…" in mark or (set(mark) == {"."} and len(mark) > 1):
        return not goes_on
    if mark != ".":
        return True
    if _LIST_NUMBER.match(paragraph, start, match.end()):
        return False  # 1. First item
    return not _is_abbreviation(
        paragraph[max(start, match.start() - 40) : match.start()], following
    )


def _is_abbreviation(before: str, following: str) -> bool:
    word_match = _WORD_BEFORE.search(before)
    word = word_match.group() if word_match else ""
    lowered = word.lower()
    if lowered in _NEVER_LAST:
        return True
    if lowered in _BEFORE_NUMBER:
        return following[0].isdigit()
    if lowered in _SELDOM_LAST or (_INITIALS.fullmatch(word) and ("." in word or word.isupper())):
        next_word = re.split(r"[^\w]", following.lstrip("\"'“‘«(["), maxsplit=1)[0]
        return not (next_word[:1].isupper() and next_word.lower() in _OPENERS)
    return False


def _joined(parts: Iterator[str], min_chars: int, max_chars: int) -> Iterator[str]:
    """Yield the sentences, short ones joined to the next as long as both fit."""
    held = ""
    for part in parts:
        together = f"{held} {part}" if held else part
        if held and len(together) > max_chars:
            yield held
            together = part
        if len(together) < min_chars:
            held = together
        else:
            yield together
            held = ""
    if held:
        yield held


def _cut(sentence: str, max_chars: int) -> Iterator[str]:
    start = 0
    while len(sentence) - start > max_chars:
        end = _cut_position(sentence, start, max_chars)
        if piece := sentence[start:end].strip():
            yield piece
        start = end
    if rest := sentence[start:].strip():
        yield rest


def _cut_position(sentence: str, start: int, max_chars: int) -> int:
    """Return where to end a piece that begins at `start`: after a clause, else after a word, else at the limit."""
    limit = start + max_chars
    earliest_clause = start + max_chars // 3  # A clause that ends sooner would leave a scrap.
    clauses = [
        match.end()
        for match in _CLAUSE_END.finditer(sentence, start, min(limit + 1, len(sentence)))
        if earliest_clause <= match.end() <= limit
    ]
    if clauses:
        return clauses[-1]
    space = sentence.rfind(" ", start + 1, limit + 1)
    if space > start:
        return space
    return _hard_cut(sentence, start, limit)


def _hard_cut(sentence: str, start: int, limit: int) -> int:
    """Return `limit`, or a few characters less so that accents and joined emoji stay with their base."""
    for end in range(limit, max(start, limit - 8), -1):
        joined = sentence[end - 1] == "\u200d"
        if not joined and not unicodedata.category(sentence[end]).startswith(("M", "Cf")):
            return end
    return limit
