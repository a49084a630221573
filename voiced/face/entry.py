"""What keys mean: commands, or a line of text to say in writing.

Pure. On an empty line `m` and `q` are commands only when nothing follows for a moment: somebody who just types "my name"
is not muted. `settle` tells that the moment is over.
"""

import unicodedata

from voiced.commands import Command, EnterText, Interrupt, Press, Quit, Release, ToggleMute
from voiced.face.keys import Key, Pasted, Special, Typed

MOST_CHARACTERS = 2000  # More than anybody types in a turn; what exceeds it is not taken.
_LETTERS: dict[str, Command] = {"m": ToggleMute(), "q": Quit()}


class Entry:
    """Takes keys and returns commands.

    Args:
        push_to_talk: the space bar begins and ends talking; otherwise it interrupts the reply.

    Attributes:
        text: of the line so far.
        is_talking: the key to talk was pressed, and not again since then.
    """

    def __init__(self, *, push_to_talk: bool) -> None:
        self.text = ""
        self.is_talking = False
        self._push_to_talk = push_to_talk
        self._letter = ""  # A command unless more follows.

    @property
    def is_undecided(self) -> bool:
        """Whether a letter waits for what follows."""
        return bool(self._letter)

    def take(self, key: Key) -> list[Command]:
        """Take a key and return what it means; mostly nothing."""
        match key:
            case Typed(character=character):
                return self._type(character)
            case Pasted(text=text):
                self._append(text)
            case Special.ENTER:
                return self.settle() or self._enter()
            case Special.ESCAPE:
                if not self.text and not self._letter:
                    return [Interrupt()]
                self.text = self._letter = ""
            case Special.BACKSPACE:
                self.text = _without_last(self.text)
                self._letter = ""
            case Special.ERASE_LINE:
                self.text = self._letter = ""
            case Special.ERASE_WORD:
                self.text = self.text.rstrip().rpartition(" ")[0]
                self.text += " " if self.text else ""
                self._letter = ""
            case Special.STOP:
                return [Quit()]
            case Special.END:
                return [] if self.text else [Quit()]
        return []

    def settle(self) -> list[Command]:
        """Return the command of a letter that stands alone."""
        letter, self._letter = self._letter, ""
        return [_LETTERS[letter]] if letter else []

    def _type(self, character: str) -> list[Command]:
        if not self.text and not self._letter:
            if character == " ":
                return [self._space()]
            if character in _LETTERS:
                self._letter = character
                return []
        self._append(character)
        return []

    def _space(self) -> Command:
        if not self._push_to_talk:
            return Interrupt()
        self.is_talking = not self.is_talking
        return Press() if self.is_talking else Release()

    def _append(self, text: str) -> None:
        self.text = (self.text + self._letter + text)[:MOST_CHARACTERS]
        self._letter = ""

    def _enter(self) -> list[Command]:
        text, self.text = self.text.strip(), ""
        return [EnterText(text)] if text else []


def _without_last(text: str) -> str:
    """Return `text` without its last character and the accents on it."""
    end = len(text) - 1
    while end > 0 and unicodedata.combining(text[end]):
        end -= 1
    return text[: max(0, end)]
