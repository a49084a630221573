"""The conversation of a session: turns that are added, taken back, cut, and, when it gets long, shed from the oldest on.

Shedding builds a second conversation beside the first, of the system prompt and the newest turns, in parts between other
work; when it has caught up it takes the first one's place. What it is built of is kept of each turn: the user's sound as
the encoder has left it, or the words, and the reply's steps as far as they were heard. So a shed talk is to the model as
one that began with its oldest kept turn. What was said before is gone for it; nothing of it is summed up.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from audio.chunk import Samples
from voiced.dialogue import SYSTEM_PROMPT
from voiced.engine.cutting import MadeStep, Place
from voiced.engine.messages import Step
from voiced.engine.model import EngineConversation, EngineModel
from voiced.errors import RangeError

if TYPE_CHECKING:
    from torch import Tensor

# A talk is kept within so many positions, about eight minutes, also by models that could hold more: so the cost of a step
# and the memory of a session stay as they were in its first minutes.
MOST_POSITIONS: Final = 8192
SHED_ABOVE: Final = 3 / 4  # Of them; then, when nothing else is to be done,
KEPT: Final = 3 / 8  # so many stay.
PREFILL_POSITIONS: Final = 128  # Computed between two looks at the messages.
TEMPLATE_POSITIONS: Final = 16  # Around what is said in a turn.
ENCODED_SAMPLES: Final = 1280  # Of sound at 16 kHz, one position.


@dataclass(slots=True, eq=False)
class Turn:
    """One turn as the model knows it.

    Attributes:
        said: words, sound at 16 kHz that is not yet encoded, or sound as the encoder has left it.
        made: the steps of the reply, as far as they stay.
        reply: its words, where the steps are not known.
        has_ended: no more steps come.
        num_positions: in the conversation; an estimate for turns of an earlier engine.
    """

    number: int
    said: Any
    made: list[MadeStep] = field(default_factory=list)
    reply: str = ""
    has_ended: bool = False
    num_positions: int = 0


class Talk:
    """Turns with one model, the newest of which can be taken back or cut.

    Attributes:
        turns: oldest first.
        version: rises whenever the newest turn is another or has changed.
        is_told: the conversation holds the turns; not while those of an earlier engine are being told to it.
    """

    def __init__(
        self, model: EngineModel, *, instructions: str = "", most_positions: int = MOST_POSITIONS
    ) -> None:
        """Begin with the system prompt alone.

        Raises:
            RangeError: the instructions are too long for the model.
        """
        self.model = model
        self.most_positions = min(most_positions, model.max_positions)
        self._system = f"{SYSTEM_PROMPT} {instructions}".strip()
        self._mark: Any = None  # Before the newest turn; None where that cannot be taken back.
        self.turns: deque[Turn] = deque()
        self.version = 0
        self.is_told = True
        self.conversation = self.begin_conversation()
        self.num_system = self.conversation.num_positions  # Positions of the system prompt.

    @property
    def newest(self) -> Turn | None:
        """The turn that can be cut and taken back."""
        return self.turns[-1] if self.turns else None

    @property
    def can_be_taken_back(self) -> bool:
        """Whether `take_back` can be called."""
        return not self.is_told or self._mark is not None

    @property
    def num_positions(self) -> int:
        """That the conversation holds."""
        return self.conversation.num_positions

    @property
    def is_long(self) -> bool:
        """Whether the oldest turns should leave when there is time for it."""
        return self.num_positions > SHED_ABOVE * self.most_positions and len(self.turns) > 1

    def has_room(self, num_positions: int) -> bool:
        """Whether the model can hold so much more."""
        return self.num_positions + num_positions <= self.model.max_positions

    def begin_conversation(self) -> EngineConversation:
        """Return a new conversation that holds the system prompt."""
        conversation = self.model.conversation()
        conversation.begin_turn("system")
        conversation.append_text(self._system)
        conversation.end_turn()
        return conversation

    def begin(self, number: int, said: "str | Tensor") -> Turn:
        """Add what the user said, up to where the reply begins.

        Raises:
            RangeError: no room; the talk is as before.
        """
        mark = self.conversation.mark()
        before = self.num_positions
        try:
            if self.turns:
                self.conversation.end_turn()
            append_said(self.conversation, said)
        except RangeError:
            self.conversation.return_to(mark)
            raise
        self._mark = mark
        turn = Turn(number, said, num_positions=self.num_positions - before)
        self.turns.append(turn)
        self.version += 1
        return turn

    def add(self, made: MadeStep) -> None:
        """Take note of a step that the conversation has just generated."""
        turn = self.turns[-1]
        turn.made.append(made)
        turn.num_positions += 1
        self.version += 1

    def take_back(self) -> int:
        """Forget the newest turn, as if it had never been; return how many positions that were."""
        before = self.num_positions
        if self.is_told:
            self.conversation.return_to(self._mark)
            self._mark = None
        self.turns.pop()
        self.version += 1
        return before - self.num_positions

    def cut(self, place: Place) -> int:
        """End the newest reply at `place`; return how many steps were rolled back."""
        turn = self.turns[-1]
        num_rolled_back = len(turn.made) - place.num_steps
        if num_rolled_back:
            if self.is_told:
                self.conversation.rollback(place.num_steps)
            del turn.made[place.num_steps :]
            turn.num_positions -= num_rolled_back
        turn.has_ended = True
        self.version += 1
        return num_rolled_back

    def replace(self, conversation: EngineConversation, mark: Any, num_left: int) -> None:
        """Go on with another conversation, in which the `num_left` oldest turns are missing."""
        self.conversation, self._mark, self.is_told = conversation, mark, True
        for _ in range(num_left):
            self.turns.popleft()
        self.version += 1


class Rebuild:
    """Builds the conversation of a talk anew, without its oldest turns, a part at each call of `advance`."""

    def __init__(
        self, talk: Talk, *, most_positions: int, encode: "Callable[[Samples], Tensor]"
    ) -> None:
        """Choose what stays: the newest turns.

        Args:
            talk: goes on being used meanwhile.
            most_positions: that the turns may have together.
            encode: used for sound that is not yet encoded.
        """
        self._talk = talk
        self._encode = encode
        self._conversation = talk.begin_conversation()
        self._version = -1  # Of the talk when the newest turn was appended; -1: it is not.
        self._mark: Any = None  # Before the newest turn.
        self._done: Turn | None = None  # The last turn that is in and will not change.
        self.num_left = 0  # Turns that leave.
        room = most_positions
        for index, turn in enumerate(reversed(talk.turns)):
            room -= turn.num_positions
            if room < 0:
                self.num_left = len(talk.turns) - index
                break

    def advance(self) -> bool:
        """Do a part of the work; return whether it is done and the talk has the new conversation.

        Raises:
            RangeError, NonFiniteError: a turn cannot be told to the model; the talk is as before.
        """
        if self._version >= 0 and self._version != self._talk.version:
            self._conversation.return_to(self._mark)  # The newest turn has changed meanwhile.
            self._version = -1
        if self._conversation.prefill(PREFILL_POSITIONS):
            return False
        turns = list(self._talk.turns)[self.num_left :]
        rest = turns[turns.index(self._done) + 1 :] if self._done in turns else turns
        if len(rest) > 1:
            self._append(rest[0])
            self._append_reply(rest[0])
            self._done = rest[0]
            return False
        if rest and self._version < 0:
            self._mark = self._conversation.mark()
            self._append(rest[0])
            self._version = self._talk.version
            return False
        if rest and not rest[0].made:
            self._append_reply(rest[0])
        elif rest:
            made = self._conversation.resume_reply([step.step for step in rest[0].made])
            rest[0].made = [
                MadeStep(before.step, getattr(step, "text", ""))
                for before, step in zip(rest[0].made, made, strict=True)
            ]
            self._conversation.prefill()
        self._talk.replace(self._conversation, self._mark if rest else None, self.num_left)
        return True

    def _append(self, turn: Turn) -> None:
        if self._done is not None:
            self._conversation.end_turn()
        if isinstance(turn.said, np.ndarray):
            turn.said = self._encode(turn.said)
        append_said(self._conversation, turn.said)

    def _append_reply(self, turn: Turn) -> None:
        if not turn.made:
            self._conversation.append_text(turn.reply)
        append_steps(self._conversation, [made.step for made in turn.made])


def append_said(conversation: EngineConversation, said: "str | Tensor") -> None:
    """Append a turn of the user and the opening of the reply to it."""
    conversation.begin_turn("user")
    if isinstance(said, str):
        conversation.append_text(said)
    else:
        conversation.append_encoded(said)
    conversation.end_turn()
    conversation.begin_turn("assistant")


def append_steps(conversation: EngineConversation, steps: Sequence[Step]) -> None:
    """Append a reply of before, step by step."""
    import torch

    for is_text, run in groupby(steps, lambda step: isinstance(step, int)):
        if is_text:
            conversation.append_tokens([step for step in run if isinstance(step, int)])
        else:
            frames = [step for step in run if not isinstance(step, int)]
            conversation.append_frames(torch.tensor(frames).T)


def estimated_positions(said: "str | Samples | Tensor", num_steps: int = 0) -> int:
    """Return about how many positions a turn takes, rather too many."""
    num_said = len(said)
    if isinstance(said, np.ndarray):
        num_said = 1 + len(said) // ENCODED_SAMPLES
    return TEMPLATE_POSITIONS + num_said + num_steps
