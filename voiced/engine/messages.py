"""What the daemon and the engine say to each other, as validated structs; the bytes between them are framed in `framing.py`.

    daemon ─▶ engine   Open · Prepare · Speak · Discard · Cut · Transcribe · Taken · Close · Ping
    engine ─▶ daemon   Ready · Unfit · Alive · Pong                                    of the engine
                       Opened · Text · Sound · Ended · Discarded · WasCut
                       Transcript · Trimmed · Failed · Closed                          of a session

A session is a number that the daemon gives, never used twice. A turn is one thing that the user said and the reply to it;
its number is the cancellation token: what comes of a turn that was discarded or cut is dropped. Every Prepare is answered
by one Ended or Failed, unless a Discard or Cut comes between; every Discard by one Discarded or Failed, every Cut by one
WasCut or Failed, every Transcribe by one Transcript or Failed, but for interim ones that a newer one replaced.

Times are seconds of the machine's monotonic clock, which both processes read. Sound is raw little-endian float32, mono.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct

from audio.chunk import Samples
from protocols.events import HowEnded
from voiced.errors import ProtocolError
from voiced.speech_model import FRAME_SAMPLES, HEARING_RATE_HZ, SOUND_RATE_HZ

# Of one message. A turn of 60 s takes 3.8 MB; a history holds 120 s of sound at most, see `record.py`.
MOST_BYTES_TO_ENGINE = 16 * 2**20
MOST_BYTES_FROM_ENGINE = 2**20
MOST_TURN_S = 60  # The turn machine ends a turn after 30 s.
MOST_TEXT_CHARS = 16_384
MOST_STEPS = 16_384  # Of one reply: 15 minutes of sound.
MOST_PAST_TURNS = 1024
# Text and Sound of a session that may be on their way: 5 s of sound. At so many the engine parks the session's reply and
# serves others, until the session has taken some.
WINDOW_EVENTS = 64
MOST_SAMPLES_BYTES = 4 * HEARING_RATE_HZ * MOST_TURN_S

SessionNumber = Annotated[int, Meta(ge=1, le=2**53)]
TurnNumber = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Line = Annotated[str, Meta(max_length=MOST_TEXT_CHARS)]
Pcm = Annotated[bytes, Meta(max_length=MOST_SAMPLES_BYTES)]
Codes = Annotated[
    tuple[Annotated[int, Meta(ge=0, le=2**16)], ...], Meta(min_length=1, max_length=32)
]
# A step of a reply: the number of a text token, or the codes of an audio frame.
Step = Annotated[int, Meta(ge=0, lt=2**31)] | Codes
Steps = Annotated[tuple[Step, ...], Meta(max_length=MOST_STEPS)]

FailureCode = Literal[
    "bad_request",  # Out of range, not finite, too short or too long; the request had no effect.
    "unknown_session",
    "turn_open",  # The reply before goes on: cut or discard it first.
    "unknown_turn",  # To cut or discard: not the session's last turn.
    "stale_turn",  # To prepare: not above the turns before.
    "context_full",  # The model cannot hold so much at once.
    "broken_arithmetic",  # The model computed something that is not finite.
    "at_capacity",  # As many sessions as the engine holds are open.
    "model",  # Anything else that the model refuses.
    "overrun",  # More requests waited than are kept.
    "not_ready",  # Told by the client: the engine is not there, and has been given up.
]


class SamplingOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a reply is drawn; what is None is as the model has it. Temperature 0 or top_k 1: always the likeliest."""

    text_temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    text_top_k: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    audio_temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    audio_top_k: Annotated[int, Meta(ge=1, le=2**31)] | None = None


class PastTurn(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A turn of an earlier engine, to be prefilled again.

    Attributes:
        turn: its number.
        said: the user's words; used where there is no sound.
        pcm: the user's sound at 16 kHz.
        steps: of the reply as far as it was heard.
        reply: its words; used where there are no steps.
    """

    turn: TurnNumber
    said: Line = ""
    pcm: Pcm = b""
    steps: Steps = ()
    reply: Line = ""


class _Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="is"):
    """The form of all messages: a tagged map, so that a field more or less is noticed."""


# From the daemon to the engine.


class Open(_Message, frozen=True, tag="open"):
    """Begin a session; answered by Opened.

    Attributes:
        instructions: follow the system prompt that the model was trained with.
        seed: of all replies: the same seed on the same turns gives the same replies.
        max_reply_s: of sound; a longer reply is cut off there.
        history: oldest first; what does not fit is left out from the oldest on.
    """

    session: SessionNumber
    instructions: Line = ""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    sampling: SamplingOptions = SamplingOptions()
    max_reply_s: Annotated[float, Meta(gt=0, le=600)] = 60.0
    history: Annotated[tuple[PastTurn, ...], Meta(max_length=MOST_PAST_TURNS)] = ()


class Prepare(_Message, frozen=True, tag="prepare"):
    """Reply to what the user said, at once. Whether the reply is wanted is the session's to know: it holds the sound back.

    Attributes:
        turn: above those before; the number of a discarded or failed turn may come again.
        text: written words; empty where there is sound.
        pcm: the user's sound at 16 kHz, at least 20 ms.
    """

    session: SessionNumber
    turn: TurnNumber
    text: Line = ""
    pcm: Pcm = b""

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.pcm):
            raise ValueError("expected either text or pcm, and not both")


class Speak(_Message, frozen=True, tag="speak"):
    """Read a text aloud, as no part of the conversation; answered by Sound and at last Ended, or by Failed.

    Attributes:
        turn: any that no reply or reading of this session has now.
        voice: one of those that Ready names.
    """

    session: SessionNumber
    turn: TurnNumber
    text: Annotated[str, Meta(min_length=1, max_length=MOST_TEXT_CHARS)]
    voice: Annotated[str, Meta(min_length=1, max_length=64)]
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Discard(_Message, frozen=True, tag="discard"):
    """Forget the last turn, as if it had never been prepared, or a reading that goes on; answered by Discarded."""

    session: SessionNumber
    turn: TurnNumber


class Cut(_Message, frozen=True, tag="cut"):
    """End the reply of the last turn where it was heard; answered by WasCut.

    Attributes:
        heard_samples: of the reply's sound at 24 kHz.
    """

    session: SessionNumber
    turn: TurnNumber
    heard_samples: Count


class Transcribe(_Message, frozen=True, tag="transcribe"):
    """Say in words what the user said; of lower priority than any reply; answered by Transcript.

    Attributes:
        pcm: the user's sound so far, at 16 kHz, at least 20 ms.
        is_final: it is all of it. An interim request is replaced by any newer one of the session.
    """

    session: SessionNumber
    turn: TurnNumber
    pcm: Pcm
    is_final: bool = False


class Taken(_Message, frozen=True, tag="taken"):
    """The session has taken so many Text and Sound; a job is parked while too many are on their way."""

    session: SessionNumber
    num_events: Count


class Close(_Message, frozen=True, tag="close"):
    """End a session, whatever goes on in it; answered by Closed."""

    session: SessionNumber


class Ping(_Message, frozen=True, tag="ping"):
    """Ask whether the engine answers."""

    number: Count = 0


# From the engine to the daemon: of the engine.


class Ready(_Message, frozen=True, tag="ready", kw_only=True):
    """The model is loaded and sessions can be opened.

    Attributes:
        name: of the model.
        load_s: from the start of the engine until now.
        device: "cpu", "cuda" or "cuda:N"; dtype: "float32", "bfloat16", …
        voices: that it can speak text with.
        demonstration: the name of a model of a small world, else None; `closed_vocabulary` and `longest_piece_s` as in
            `voiced/demonstration.py`.
        max_positions: that one session keeps to, as its oldest turns leave.
    """

    name: str
    load_s: float
    device: str = "cpu"
    dtype: str = "float32"
    voices: tuple[str, ...] = ()
    demonstration: str | None = None
    closed_vocabulary: bool = False
    longest_piece_s: float | None = None
    max_positions: int = 0
    hearing_rate_hz: int = HEARING_RATE_HZ
    sound_rate_hz: int = SOUND_RATE_HZ
    frame_samples: int = FRAME_SAMPLES


class Unfit(_Message, frozen=True, tag="unfit"):
    """The engine cannot start, and starting it again would not help: no such model, a damaged one."""

    message: Line


class Alive(_Message, frozen=True, tag="alive"):
    """The step loop goes round; sent every half second, and before a step that takes long.

    Attributes:
        num_steps: made so far.
        num_jobs: replies and transcriptions that wait or are being made.
        patience_s: how long the next step may take, where that is more than half a second; else 0.
    """

    num_steps: Count = 0
    num_jobs: Count = 0
    patience_s: Annotated[float, Meta(ge=0, le=600)] = 0.0


class Pong(_Message, frozen=True, tag="pong"):
    """The answer to Ping."""

    number: Count = 0


# Of a session.


class Opened(_Message, frozen=True, tag="opened", kw_only=True):
    """The session can be used.

    Attributes:
        num_turns: of the history that are in it.
        num_left_out: older ones that the model could not hold.
    """

    session: SessionNumber
    num_turns: Count = 0
    num_left_out: Count = 0
    num_positions: Count = 0


class Text(_Message, frozen=True, tag="text", kw_only=True):
    """The reply's text grew.

    Attributes:
        text: what was added.
        position_samples: how much of the reply's sound, at 24 kHz, belongs before it.
        steps: since the last Text or Sound, for the history.
    """

    session: SessionNumber
    turn: TurnNumber
    text: Line
    position_samples: Count = 0
    steps: Steps = ()


class Sound(_Message, frozen=True, tag="sound", kw_only=True):
    """The reply's sound goes on.

    Attributes:
        pcm: mono at 24 kHz.
        position_samples: of the reply's sound before it.
        steps: since the last Text or Sound, for the history.
    """

    session: SessionNumber
    turn: TurnNumber
    pcm: Pcm
    position_samples: Count = 0
    steps: Steps = ()

    @property
    def samples(self) -> Samples:
        """The sound, float32, shape (n,); not to be written to."""
        return np.frombuffer(self.pcm, "<f4")


class Timings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """When a reply was made, in seconds of the monotonic clock; None: it did not come to that.

    Attributes:
        received_s: Prepare came. begun_s: the first step began. encoded_s: the user's sound was embeddings.
        prefilled_s: the reply could begin. first_token_s, first_frame_s: the first text token, the first sound of a
            frame. ended_s: the last step.
        computed_s: a duration: the steps of this reply alone, without those of others between.
    """

    received_s: float
    begun_s: float | None = None
    encoded_s: float | None = None
    prefilled_s: float | None = None
    first_token_s: float | None = None
    first_frame_s: float | None = None
    ended_s: float | None = None
    computed_s: float = 0.0


class Ended(_Message, frozen=True, tag="ended", kw_only=True):
    """The reply was made to its end. It can still be cut or discarded, until the next turn is prepared.

    Attributes:
        steps: since the last Text or Sound.
        num_positions: of the session, this turn included.
        warnings: of a reading: pieces that gave no sound or did not end by themselves.
    """

    session: SessionNumber
    turn: TurnNumber
    how: HowEnded
    num_tokens: Count = 0
    num_frames: Count = 0
    num_samples: Count = 0
    num_positions: Count = 0
    steps: Steps = ()
    warnings: Annotated[tuple[Line, ...], Meta(max_length=64)] = ()
    timings: Timings


class Discarded(_Message, frozen=True, tag="discarded", kw_only=True):
    """The turn never was; what had been computed for it in vain."""

    session: SessionNumber
    turn: TurnNumber
    num_positions: Count = 0
    num_steps: Count = 0
    computed_s: float = 0.0


class WasCut(_Message, frozen=True, tag="was_cut", kw_only=True):
    """The reply ends where it was heard, in the history and in the model's caches.

    Attributes:
        heard: the words that were heard, estimated to a word, since text runs ahead of sound.
        kept: the words that stay in the model's history: those before the last frame heard.
        num_samples: of the reply's sound at 24 kHz that stay: whole frames.
        num_steps: that stay. num_rolled_back: that do not.
        is_whole: the reply had ended, and all of it was heard.
        timings: of the reply, as far as it had come.
    """

    session: SessionNumber
    turn: TurnNumber
    heard: Line = ""
    kept: Line = ""
    num_samples: Count = 0
    num_frames: Count = 0
    num_steps: Count = 0
    num_rolled_back: Count = 0
    is_whole: bool = False
    num_positions: Count = 0
    timings: Timings | None = None


class Transcript(_Message, frozen=True, tag="transcript", kw_only=True):
    """What the user said, in words.

    Attributes:
        text: all of it so far.
        num_agreed: characters at its beginning that the next interim transcript will keep; all of a final one.
        num_samples: of the sound at 16 kHz that was heard for it.
        is_complete: the model ended it by itself, and was not stopped.
    """

    session: SessionNumber
    turn: TurnNumber
    text: Line
    num_agreed: Count = 0
    is_final: bool = False
    num_samples: Count = 0
    is_complete: bool = True


class Trimmed(_Message, frozen=True, tag="trimmed", kw_only=True):
    """The oldest turns have left the model's history, which was as long as it may be; the system prompt stayed."""

    session: SessionNumber
    num_turns: Count
    num_positions: Count = 0


class Failed(_Message, frozen=True, tag="failed", kw_only=True):
    """A request had no effect, or a reply broke off and its turn is as if it had never been prepared.

    Attributes:
        turn: that it was about, if any.
        request: the kind of message that failed: "open", "prepare", …
        message: what was expected, what came, what to do.
    """

    session: SessionNumber
    turn: TurnNumber | None = None
    request: str
    code: FailureCode
    message: Line


class Closed(_Message, frozen=True, tag="closed"):
    """The session is over; the last message of it."""

    session: SessionNumber


ToEngine = Open | Prepare | Speak | Discard | Cut | Transcribe | Taken | Close | Ping
OfSession = (
    Opened | Text | Sound | Ended | Discarded | WasCut | Transcript | Trimmed | Failed | Closed
)
FromEngine = Ready | Unfit | Alive | Pong | OfSession

_Any = TypeVar("_Any")
_ENCODER = msgspec.msgpack.Encoder()
_TO_ENGINE: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
_FROM_ENGINE: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)


def encode(message: ToEngine | FromEngine) -> bytes:
    """Return the bytes of a message, without its length."""
    return _ENCODER.encode(message)


def decode_to_engine(payload: bytes | memoryview) -> ToEngine:
    """Return the message for the engine that `payload` holds.

    Raises:
        ProtocolError: it is none, or a field of it is missing, unknown, of another type or out of range.
    """
    return _decode(_TO_ENGINE, payload)


def decode_from_engine(payload: bytes | memoryview) -> FromEngine:
    """Return the engine's message that `payload` holds.

    Raises:
        ProtocolError: as `decode_to_engine`.
    """
    return _decode(_FROM_ENGINE, payload)


def pack_samples(samples: Samples) -> bytes:
    """Return sound as it travels."""
    return samples.astype("<f4", copy=False).tobytes()


def unpack_samples(pcm: bytes) -> Samples:
    """Return sound that came, float32, shape (n,), not to be written to.

    Raises:
        ProtocolError: half a sample, or one that is not finite.
    """
    if len(pcm) % 4:
        raise ProtocolError(
            f"sound of {len(pcm)} bytes: expected a multiple of 4; send whole float32 samples"
        )
    samples = np.frombuffer(pcm, "<f4")
    if not np.isfinite(samples).all():
        raise ProtocolError(
            f"sample {int(np.argmin(np.isfinite(samples)))} is NaN or infinite: expected finite numbers"
        )
    return samples


def is_sound(step: int | Sequence[int]) -> bool:
    """Whether a step is a frame that a decoder makes sound of; 2048 stands for the end of sound in every model."""
    return not isinstance(step, int) and 2048 not in step


def _decode(decoder: "msgspec.msgpack.Decoder[_Any]", payload: bytes | memoryview) -> _Any:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"message of {len(payload)} bytes cannot be read: {error}; "
            "run the daemon and the engine of one version"
        ) from error
