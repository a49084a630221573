"""Keys from the bytes of a terminal.

Pure: bytes in, keys out. An escape byte may be the key of that name or the beginning of what another key sends; which of
them is only known when nothing follows for a moment, which `settle` tells.
"""

import codecs
from dataclasses import dataclass
from enum import Enum

MOST_SEQUENCE = 32  # Characters of what a key sends; longer is none.
MOST_PASTED = 10_000  # Characters; the rest is left out.
PASTE_BEGINS, PASTE_ENDS = "200~", "\x1b[201~"


class Special(Enum):
    """A key that is no character."""

    ENTER = "\r"
    ESCAPE = "\x1b"
    BACKSPACE = "\x7f"
    ERASE_LINE = "\x15"  # Ctrl-U
    ERASE_WORD = "\x17"  # Ctrl-W
    STOP = "\x03"  # Ctrl-C, where the terminal makes no signal of it.
    END = "\x04"  # Ctrl-D


@dataclass(frozen=True, slots=True)
class Typed:
    """A character."""

    character: str


@dataclass(frozen=True, slots=True)
class Pasted:
    """Text that came from elsewhere, so that none of it is a command."""

    text: str


Key = Special | Typed | Pasted
_CONTROLS = {key.value: key for key in Special} | {
    "\n": Special.ENTER,
    "\x08": Special.BACKSPACE,
}


class KeyReader:
    """Cuts bytes into keys; arrows, function keys and what else is not understood is left out."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence = ""  # What began with an escape and is not complete.
        self._pasted: list[str] | None = None  # What was pasted so far; None outside of a paste.
        self._tail = ""  # Its last characters, which may be its end.

    @property
    def is_undecided(self) -> bool:
        """Whether an escape waits for what follows."""
        return bool(self._sequence)

    def push(self, data: bytes) -> list[Key]:
        """Return the keys that `data` completes."""
        keys: list[Key] = []
        for character in self._decoder.decode(data):
            keys += self._push_character(character)
        return keys

    def settle(self) -> list[Key]:
        """Return the keys, now that nothing followed for a moment."""
        sequence, self._sequence = self._sequence, ""
        return [Special.ESCAPE] if sequence == "\x1b" else []

    def _push_character(self, character: str) -> list[Key]:
        if self._pasted is not None:
            return self._paste(character)
        if self._sequence:
            return self._follow_escape(character)
        if character == "\x1b":
            self._sequence = character
            return []
        if character in _CONTROLS:
            return [_CONTROLS[character]]
        return [Typed(character)] if character.isprintable() else []

    def _follow_escape(self, character: str) -> list[Key]:
        if self._sequence == "\x1b":
            if character == "\x1b":
                return [Special.ESCAPE]  # The second one may begin something.
            # Else it is a character with Alt, which means nothing here.
            self._sequence = self._sequence + character if character in "[O" else ""
            return []
        self._sequence += character
        is_complete = self._sequence.startswith("\x1bO") or "@" <= character <= "~"
        if is_complete or len(self._sequence) > MOST_SEQUENCE:
            if self._sequence[2:] == PASTE_BEGINS:
                self._pasted, self._tail = [], ""
            self._sequence = ""
        return []

    def _paste(self, character: str) -> list[Key]:
        assert self._pasted is not None
        self._tail = (self._tail + character)[-len(PASTE_ENDS) :]
        if len(self._pasted) < MOST_PASTED:
            self._pasted.append(character)
        if self._tail != PASTE_ENDS:
            return []
        text = "".join(self._pasted).removesuffix(PASTE_ENDS)
        self._pasted = None
        text = "".join(one if one.isprintable() else " " for one in text)
        return [Pasted(text)] if text else []
