"""What the daemon keeps of a session, so that a new engine can be told the conversation when the old one has died.

Kept are the words of all turns, up to a number, and the steps of each reply as far as it was heard: prefilled again, they
are the very history that the model had. The user's sound is kept of the newest turns, up to a number of seconds; an older turn
is told by its transcript, which the model hears less in (no tone of voice, and the transcript's errors), and one without
a transcript is left out together with its reply.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from voiced.engine.cutting import MadeStep, Place, place_of_cut
from voiced.engine.messages import (
    Ended,
    PastTurn,
    Sound,
    Text,
    Transcript,
    WasCut,
)
from voiced.speech_model import HEARING_RATE_HZ

MOST_SOUND_S: Final = 120  # Of the user, float32: 7.7 MB.
MOST_TURNS: Final = 256
MOST_KEPT_STEPS: Final = 16_384  # Of all turns together; 15 minutes of sound.


@dataclass(slots=True)
class KeptTurn:
    """One turn as it is known to the daemon.

    Attributes:
        pcm: the user's sound; dropped when newer turns need the room.
        said: the user's written words, or the transcript once there is one.
        made: the reply's steps, as far as they came or were heard.
        has_ended: no more of the reply comes.
    """

    turn: int
    pcm: bytes = b""
    said: str = ""
    made: list[MadeStep] = field(default_factory=list)
    has_ended: bool = False


class Record:
    """The turns of one session, the newest of them perhaps still open."""

    def __init__(self, history: tuple[PastTurn, ...] = ()) -> None:
        self._turns: deque[KeptTurn] = deque(_kept(turn) for turn in history)
        self._bound()

    @property
    def newest(self) -> KeptTurn | None:
        """The turn that can still be cut or discarded."""
        return self._turns[-1] if self._turns else None

    def prepared(self, turn: int, *, text: str, pcm: bytes) -> None:
        """Take note that the user said something and a reply was asked for."""
        self.dropped(turn)  # Asked again, after a failure.
        self._turns.append(KeptTurn(turn, pcm, text))
        self._bound()

    def dropped(self, turn: int) -> None:
        """Take note that the newest turn was discarded or has failed; does nothing if it is another."""
        if self._turns and self._turns[-1].turn == turn:
            self._turns.pop()

    def made(self, message: Text | Sound | Ended) -> None:
        """Take note of the steps of a reply."""
        kept = self._find(message.turn)
        if kept is None:
            return
        kept.made += [MadeStep(step) for step in message.steps]
        if isinstance(message, Text) and kept.made:
            last = kept.made[-1]
            kept.made[-1] = MadeStep(last.step, last.text + message.text)
        kept.has_ended = kept.has_ended or isinstance(message, Ended)

    def was_cut(self, message: WasCut) -> None:
        """Take note of where the engine has cut a reply."""
        kept = self._find(message.turn)
        if kept is not None:
            del kept.made[message.num_steps :]
            kept.has_ended = True

    def cut(self, turn: int, heard_samples: int) -> Place:
        """Cut a reply ourselves, there being no engine to do it; return where."""
        kept = self._find(turn)
        if kept is None:
            return place_of_cut([], 0, has_ended=False)
        place = place_of_cut(kept.made, heard_samples, has_ended=kept.has_ended)
        del kept.made[place.num_steps :]
        kept.has_ended = True
        return place

    def heard(self, message: Transcript) -> None:
        """Take note of what the user said."""
        kept = self._find(message.turn)
        if kept is not None and message.is_final and kept.pcm:
            kept.said = message.text

    def history(self) -> tuple[PastTurn, ...]:
        """Return what a new engine is told, oldest first."""
        return tuple(
            PastTurn(
                turn=kept.turn,
                said=kept.said,
                pcm=kept.pcm,
                steps=tuple(made.step for made in kept.made),
                reply="".join(made.text for made in kept.made),
            )
            for kept in self._turns
            if kept.said or kept.pcm
        )

    def _find(self, turn: int) -> KeptTurn | None:
        return next((kept for kept in reversed(self._turns) if kept.turn == turn), None)

    def _bound(self) -> None:
        """Let go of the oldest turns, and of the sound of older ones, beyond what is kept."""
        room_bytes = MOST_SOUND_S * HEARING_RATE_HZ * 4
        room_steps = MOST_KEPT_STEPS
        for index, kept in enumerate(reversed(self._turns)):
            room_bytes -= len(kept.pcm)
            room_steps -= len(kept.made)
            if room_bytes < 0:
                kept.pcm = b""
            if index >= MOST_TURNS or (room_steps < 0 and index):
                for _ in range(len(self._turns) - index):
                    self._turns.popleft()
                break


def _kept(turn: PastTurn) -> KeptTurn:
    made = [MadeStep(step) for step in turn.steps]
    if made and turn.reply:
        made[0] = MadeStep(made[0].step, turn.reply)
    return KeptTurn(turn.turn, turn.pcm, turn.said, made, has_ended=True)
