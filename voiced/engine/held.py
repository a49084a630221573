"""What the engine holds of a session, and what that session wants done."""

from dataclasses import dataclass, field
from typing import Any

from voiced.engine import messages as m
from voiced.engine.cutting import MadeStep
from voiced.engine.reading import Reading
from voiced.engine.reply import Reply
from voiced.engine.talk import Rebuild, Talk, Turn, estimated_positions
from voiced.engine.transcribing import Desk
from voiced.errors import (
    AudioError,
    NonFiniteError,
    ProtocolError,
    RangeError,
    UsageError,
    VoicedError,
)


@dataclass(slots=True)
class HeldSession:
    """All that the engine holds of a session."""

    opening: m.Open
    talk: Talk
    reply: Reply | None = None  # While it is made.
    waiting: m.Prepare | None = None  # While the history is being told to the model.
    rebuild: Rebuild | None = None  # While the history is told, or the oldest turns leave.
    is_open: bool = False  # The history has been told.
    num_left_out: int = 0  # Turns of the history.
    reading: Reading | None = None  # While a text is read aloud.
    desk: Desk = field(default_factory=Desk)
    encoded: tuple[bytes, Any] | None = (
        None  # The sound that was last encoded, and what came of it.
    )
    num_on_their_way: int = 0  # Text and Sound that the session has not taken.
    last_timings: m.Timings | None = None  # Of the newest reply, once it is done.

    @property
    def is_parked(self) -> bool:
        """Whether so much was made for the session that it must take some before more is made."""
        return self.num_on_their_way >= m.WINDOW_EVENTS


def code_of(error: VoicedError) -> m.FailureCode:
    """Return the code that tells what kind of error it was."""
    match error:
        case NonFiniteError():
            return "broken_arithmetic"
        case ProtocolError() | AudioError() | UsageError():
            return "bad_request"
        case RangeError():
            return "context_full" if "a conversation holds at most" in str(error) else "bad_request"
        case _:
            return "model"


def wants_reply(session: HeldSession) -> bool:
    """Whether a step of a reply can be made, or of telling the history, which stands before all replies."""
    return not session.is_open or (session.reply is not None and not session.is_parked)


def wants_reading(session: HeldSession) -> bool:
    """Whether a step of a reading can be made."""
    return session.reading is not None and not session.is_parked


def wants_transcript(session: HeldSession) -> bool:
    """Whether a step of a transcription can be made."""
    return session.is_open and session.desk.has_work


def wants_rebuild(session: HeldSession) -> bool:
    """Whether the oldest turns should leave, and nobody waits for a reply."""
    return (
        session.is_open
        and session.reply is None
        and (session.rebuild is not None or session.talk.is_long)
    )


def told(past: m.PastTurn) -> Turn:
    """Return a turn of an earlier engine; its length is estimated until it has been told."""
    said: Any = m.unpack_samples(past.pcm) if past.pcm else past.said
    made = [MadeStep(step) for step in past.steps]
    if made:  # Which step says which words is known once it has been told.
        made[0] = MadeStep(made[0].step, past.reply)
    return Turn(
        past.turn,
        said,
        made,
        reply="" if made else past.reply,
        has_ended=True,
        num_positions=estimated_positions(said, len(made) or len(past.reply)),
    )


def unanswered(request: m.Prepare) -> Turn:
    """Return a turn whose reply was cut before there was any."""
    said: Any = m.unpack_samples(request.pcm) if request.pcm else request.text
    return Turn(request.turn, said, has_ended=True, num_positions=estimated_positions(said))
