"""What happens in a conversation, as small values that every protocol maps to and from."""

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar, Literal

Role = Literal["user", "assistant"]
HowEnded = Literal["end", "step limit", "context full", "interrupted", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAdded:
    """A reply's text grew.

    Attributes:
        turn: number of the exchange, from 1; what the user says and the reply to it share it.
        role: whose turn it is.
        text: what was added, often a few words; may begin or end with a space.
        start_s: seconds on the conversation's clock: the place in the reply's sound at which the text came.
    """

    event: ClassVar[str] = "text_added"
    turn: int
    role: Role
    text: str
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded:
    """Somebody's turn is over.

    The conversation's clock counts the sound of all turns in seconds, from 0: of a live conversation as it was heard,
    of one on files each turn right after the one before. A turn of written text takes no time on it.

    Attributes:
        turn: number of the exchange, from 1; what the user said and the reply to it share it.
        role: whose turn it was.
        text: all of its text; empty where only the sound is known.
        start_s: seconds on the conversation's clock at which its sound began.
        end_s: seconds on the conversation's clock at which its sound ended.
        ended: "end": it was complete; "step limit", "context full": the model was cut off by the length allowed, or by
            the length it can hold; "interrupted": the user cut it off; "failed": an error did.
        audio: the file that holds its sound; None where it was not kept, or there was none.
        audio_start_s: seconds into that file at which its sound begins; None without a file.
    """

    event: ClassVar[str] = "turn_ended"
    turn: int
    role: Role
    text: str
    start_s: float
    end_s: float
    ended: HowEnded = "end"
    audio: str | None = None
    audio_start_s: float | None = None


Event = TextAdded | TurnEnded


def encode_line(event: Event) -> str:
    """Return `event` as one JSON object on one line, without the line's end.

    The key `event` names the kind; seconds are rounded to thousandths. Characters beyond ASCII are escaped, so that the
    line means the same under every locale.
    """
    fields = {"event": event.event} | dataclasses.asdict(event)
    return json.dumps(
        {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in fields.items()
        }
    )
