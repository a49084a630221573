"""What happens in a conversation, as small values that every protocol maps to and from."""

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar, Literal

import msgspec

Role = Literal["user", "assistant"]
State = Literal["loading", "asleep", "listening", "hearing", "thinking", "speaking", "muted"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribed:
    """What the user says, or said, in words.

    Attributes:
        turn: number of the exchange, from 1; while the user still speaks it may turn out to be another.
        text: all of it so far.
        num_agreed: characters at its beginning that the next transcript of this turn will keep.
        is_final: the turn is over, and this is all of it.
    """

    event: ClassVar[str] = "transcribed"
    turn: int
    text: str
    num_agreed: int = 0
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """Something else goes on now.

    Attributes:
        state: "loading": the model is; "asleep": only the wake word is listened for; "listening": nobody speaks; "hearing": the
            user speaks; "thinking": the user is done and the reply has not begun; "speaking": the reply sounds, or is held;
            "muted": the microphone is closed.
    """

    event: ClassVar[str] = "state_changed"
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something that the user should know of; the conversation goes on."""

    event: ClassVar[str] = "noticed"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTimed:
    """When what happened in an exchange; told once nothing more of it will.

    All times are seconds on the conversation's clock; None: it did not happen.

    Attributes:
        turn: number of the exchange, from 1.
        speech_ended_s: the user's voice did; None also for written text.
        decided_s: it was decided that the user's turn is over.
        first_token_s: the reply's first token was made; before `decided_s` where the reply was prepared in a pause.
        first_frame_s: the first frame of its sound was made.
        first_sound_s: the first sample of it was played.
        transcribed_s: what the user said was known in words.
        held_s: it was held last, for somebody who may be interrupting.
        barged_in_s: the user interrupted it.
        silent_s: the speaker fell silent after that.
        num_holds: how often it was held for somebody who then did not interrupt.
        num_underruns: how often its sound was not there in time.
        num_discarded: replies that were prepared in vain before it, as the user went on.
        discarded_s: of sound that had been made of those.
    """

    event: ClassVar[str] = "turn_timed"
    turn: int
    decided_s: float
    speech_ended_s: float | None = None
    first_token_s: float | None = None
    first_frame_s: float | None = None
    first_sound_s: float | None = None
    transcribed_s: float | None = None
    held_s: float | None = None
    barged_in_s: float | None = None
    silent_s: float | None = None
    num_holds: int = 0
    num_underruns: int = 0
    num_discarded: int = 0
    discarded_s: float = 0.0


Event = TextAdded | TurnEnded | Transcribed | StateChanged | Noticed | TurnTimed
_KINDS: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (TextAdded, TurnEnded, Transcribed, StateChanged, Noticed, TurnTimed)
}


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


def decode_line(line: str | bytes) -> Event:
    """Return the event of a line that `encode_line` made; fields that this version does not know are left out.

    Raises:
        ValueError: it is no such line; says what was expected.
    """
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error
    kind = fields.get("event") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"no event: expected an object whose 'event' is {', '.join(_KINDS)}")
    try:
        return msgspec.convert(fields, _KINDS[kind])
    except msgspec.ValidationError as error:
        raise ValueError(f"event '{kind}': {error}") from error
