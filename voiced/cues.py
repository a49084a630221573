"""What the words so far tell about whose turn it is: small rules for English, to be read and argued with.

They only lengthen or shorten a wait that the voice has begun. Words in capitals or with punctuation are understood; so is
text without either, as voiced-mini writes it. Another language matches nothing, and the voice decides alone.
"""

import re

# Nobody ends with these. Left out on purpose: verb particles ("turn it on", "roll the blinds up", "come in"), and forms of
# to be, to have and the like ("yes i can", "here it is").
_LEADS_ON = frozenset(
    "a an the my your our their its every "  # Articles and owners
    "and or but nor because if unless while although though whereas whether than as until since "  # Conjunctions
    "into onto upon without between among against towards toward during despite per "  # Prepositions
    "i i'm i'd i'll i've we're we'll you're they're he's she's it's that's there's what's where's who's how's let's "
    "um umm uh uhm er erm hmm".split()  # Fillers
)
# So do these, except where a question has put them last: "where are you from", "what is this for".
_MAY_BE_LEFT_OVER = frozenset("of to for with from at about like".split())
_ASKING = frozenset("what which who whom whose where why how".split())
_FILLERS = (
    "you know",
    "i mean",
    "let me see",
    "let me think",
    "wait a moment",
    "hang on",
    "such as",
)
_UNFINISHED_MARKS = (",", ";", ":", "…", "...", "-", "–", "—")
_DIGITS = frozenset("zero oh one two three four five six seven eight nine".split())

# Said to go on listening, not to speak (backchannels).
_LISTENING = frozenset(
    "uh huh uhhuh uh-huh mm mhm mmhm mm-hm hm hmm mhmm yeah yep yes ok okay right sure aha ah oh i see really wow".split()
)
# Said to make the other stop.
_HALTING = frozenset("stop wait no cancel quiet enough silence shush halt hold pause".split())


def sounds_unfinished(words: str) -> bool:
    """Return whether somebody who has said `words` is likely to go on.

    True after a word that leads on (an article, a conjunction, most prepositions, a filler), after a comma or a dash, and
    in the middle of a list of numbers (two or more single digits, as of a telephone number). Words that nobody has
    recognised, "", are no sign.
    """
    text = words.strip().lower().replace("’", "'")
    if text.endswith(_UNFINISHED_MARKS):
        return True
    spoken = _spoken(text)
    if not spoken:
        return False
    if spoken[-1] in _LEADS_ON or " ".join(spoken).endswith(_FILLERS):
        return True
    if spoken[-1] in _MAY_BE_LEFT_OVER:
        return spoken[0] not in _ASKING
    return len(spoken) > 1 and all(_is_of_number_list(word) for word in spoken[-2:])


def only_shows_listening(words: str) -> bool:
    """Return whether `words` is nothing but "uh-huh" and its like, said while the other speaks."""
    spoken = _spoken(words.lower())
    return bool(spoken) and all(word in _LISTENING for word in spoken)


def asks_to_stop(words: str) -> bool:
    """Return whether `words` begins or ends with "stop", "wait", "no" and the like."""
    spoken = _spoken(words.lower())
    return bool(spoken) and not _HALTING.isdisjoint((spoken[0], spoken[-1]))


def _spoken(text: str) -> list[str]:
    return re.findall(r"[\w'-]*\w", text)


def _is_of_number_list(word: str) -> bool:
    return word in _DIGITS or word.isdecimal()
