"""What follows from what happens in a live talk: from turns, the engine and the speaker to what each shall do next.

Pure: takes what happened and returns actions, which somebody else carries out, in order. It holds the reply's sound back
while it is only prepared, and the user's words while a reply to them was never heard.

    Paused ─▶ Prepare ──WentOn──▶ Discard
                 └──Ended──▶ Play … ──(all played)──▶ the reply is over
                               └──BargedIn──▶ StopSound ─▶ Cut
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audio.chunk import Samples
from protocols.events import HowEnded
from voiced.turns import (
    Abandoned,
    BargedIn,
    Ended,
    Paused,
    ReplyHeld,
    ReplyResumed,
    Speech,
    SpeechEvent,
    Started,
    WentOn,
)
from voiced.voice_activity import RATE_HZ

# Between two utterances that are answered together; as long as the machine's own shortest pause.
JOIN_GAP = RATE_HZ // 5
# More than this is not said at once: the engine takes no more. Of utterances that are answered together the oldest leave.
LONGEST = 60 * RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class Prepare:
    """Make the reply of exchange `turn` to what was said: mono float32 at 16 kHz, or text."""

    turn: int
    said: Samples | str


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget exchange `turn` wholly, what the user said in it too, and what the speaker was given of it and has not played.

    Attributes:
        made_samples: of its sound at 24 kHz that were made in vain.
    """

    turn: int
    made_samples: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """Stop making the reply of `turn`, and remember of it what was heard: so many samples at 24 kHz.

    The reply is over with that; the engine's answer tells which words were heard.
    """

    turn: int
    heard_samples: int


@dataclass(frozen=True, slots=True, eq=False)
class Transcribe:
    """Write down what the user said in exchange `turn`."""

    turn: int
    speech: Speech


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """Play `samples`, float32 at 24 kHz, after what is being played; they are of the reply of `turn`."""

    turn: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class EndSound:
    """Nothing more will come of the reply of `turn`: tell when all of it has been played."""

    turn: int


@dataclass(frozen=True, slots=True)
class HoldSound:
    """Fall silent, and keep everything for later."""


@dataclass(frozen=True, slots=True)
class ResumeSound:
    """Go on where the sound was held."""


@dataclass(frozen=True, slots=True)
class StopSound:
    """Fall silent for good, and tell how much of the reply of `turn` was played."""

    turn: int


@dataclass(frozen=True, slots=True)
class UserSaid:
    """The user's side of exchange `turn` is complete: `speech`, or text where that is None."""

    turn: int
    speech: Speech | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ReplyTextGrew:
    """Show more of the reply's text: what comes after `position_samples` of its sound at 24 kHz."""

    turn: int
    text: str
    position_samples: int


@dataclass(frozen=True, slots=True)
class ReplyOver:
    """The reply was heard to its end: `text` is what it said, `num_samples` at 24 kHz how long it lasted."""

    turn: int
    text: str
    num_samples: int
    ended: HowEnded


Action = (
    Prepare
    | Discard
    | Cut
    | Transcribe
    | Play
    | EndSound
    | HoldSound
    | ResumeSound
    | StopSound
    | UserSaid
    | ReplyTextGrew
    | ReplyOver
)


@dataclass(slots=True, eq=False)
class _Reply:
    """The reply that is being made or played."""

    turn: int
    said: tuple[Speech, ...]  # What it answers; empty for text.
    is_wanted: bool  # The user's turn is over; before that its sound is held back.
    sound: list[Samples] = field(default_factory=list)  # Made, and not wanted yet.
    text: list[tuple[str, int]] = field(default_factory=list)  # With its place in the sound.
    num_samples: int = 0  # Made so far.
    ended: HowEnded | None = None  # How the engine ended it; None while it makes more.
    is_given: bool = False  # Some of it was given to the speaker,
    is_sounding: bool = False  # and that has begun to play it.


class Conductor:
    """Keeps who may speak, and what is said, in step.

    Every method takes one thing that happened and returns what to do about it, in order; mostly nothing.

    Attributes:
        is_preemptive: prepare a reply at every pause, so that it is ready when the turn is over.
        wants_transcripts: have what the user says written down.
        turn: number of the newest exchange; what comes for another one is late and means nothing.
    """

    def __init__(self, *, is_preemptive: bool, wants_transcripts: bool) -> None:
        self.turn = 0
        self.is_preemptive = is_preemptive
        self.wants_transcripts = wants_transcripts
        self._reply: _Reply | None = None
        # What the user said that no reply to was heard: it is answered together with what comes next.
        self._unanswered: tuple[Speech, ...] = ()

    @property
    def is_thinking(self) -> bool:
        """Whether the user waits for a reply that has not begun to sound."""
        return self._reply is not None and self._reply.is_wanted and not self._reply.is_sounding

    @property
    def is_speaking(self) -> bool:
        """Whether a reply sounds or is on hold."""
        return self._reply is not None and self._reply.is_sounding

    @property
    def is_waiting_for_engine(self) -> bool:
        """Whether a wanted reply is still being made."""
        return self._reply is not None and self._reply.is_wanted and self._reply.ended is None

    # What the turn machine says

    def heard(self, event: SpeechEvent) -> list[Action]:
        """Take an event of the turn machine."""
        match event:
            case Started():
                return self._take_back()
            case Paused(speech=speech):
                if not self.is_preemptive or self._reply is not None:
                    return []
                return self._begin(self._all_with(speech), is_wanted=False)
            case WentOn():
                return self._discard()
            case Abandoned():
                return [*self._discard(), *self._answer_unanswered()]
            case Ended(speech=speech):
                return self._answer(speech)
            case ReplyHeld():
                return [HoldSound()]
            case ReplyResumed():
                return [ResumeSound()]
            case BargedIn():
                return self.interrupted()
        return []

    def interrupted(self) -> list[Action]:
        """Cut the reply off, also one that has not begun to sound: nobody wants it any more."""
        reply = self._reply
        if reply is None or not reply.is_wanted:
            return []
        return [StopSound(reply.turn)] if reply.is_given else self.stopped(reply.turn, 0)

    def entered(self, text: str) -> list[Action]:
        """Take a turn of written text; the turn machine was told before, and the reply was interrupted."""
        assert self._reply is None or not self._reply.is_wanted
        actions = self._discard()
        self.turn += 1
        self._reply = _Reply(self.turn, (), is_wanted=True)
        return [*actions, UserSaid(self.turn, None, text), Prepare(self.turn, text)]

    # What the engine says

    def made_text(self, turn: int, text: str, position_samples: int) -> list[Action]:
        """Take more text of a reply, which belongs before this place in its sound."""
        reply = self._of(turn)
        if reply is None:
            return []
        reply.text.append((text, position_samples))
        return [ReplyTextGrew(turn, text, position_samples)] if reply.is_wanted else []

    def made_sound(self, turn: int, samples: Samples) -> list[Action]:
        """Take more sound of a reply."""
        reply = self._of(turn)
        if reply is None:
            return []
        reply.num_samples += len(samples)
        if not reply.is_wanted:
            reply.sound.append(samples)
            return []
        reply.is_given = True
        return [Play(turn, samples)]

    def made_all(self, turn: int, ended: HowEnded) -> list[Action]:
        """Learn that the engine has no more of a reply."""
        reply = self._of(turn)
        if reply is None:
            return []
        reply.ended = ended
        return self._finish(reply) if reply.is_wanted else []

    # What the speaker says

    def sounds(self, turn: int) -> None:
        """Learn that the speaker has begun to play a reply."""
        reply = self._of(turn)
        if reply is not None and reply.is_given:
            reply.is_sounding = True

    def played(self, turn: int) -> list[Action]:
        """Learn that all of a reply was played."""
        reply = self._of(turn)
        if reply is None or reply.ended is None:
            return []
        self._reply = None
        return [_over(reply)]

    def stopped(self, turn: int, heard_samples: int) -> list[Action]:
        """Learn how much of a reply was played before `StopSound`."""
        reply = self._of(turn)
        if reply is None:
            return []
        self._reply = None
        return [Cut(turn, heard_samples)]

    # Deciding

    def _of(self, turn: int) -> _Reply | None:
        return self._reply if self._reply is not None and self._reply.turn == turn else None

    def _begin(self, said: tuple[Speech, ...], *, is_wanted: bool) -> list[Action]:
        self.turn += 1
        self._reply = _Reply(self.turn, said, is_wanted)
        return [Prepare(self.turn, joined(said))]

    def _answer(self, speech: Speech) -> list[Action]:
        """The user's turn is over: let the reply that was prepared for just this be heard, or have one made."""
        said = self._all_with(speech)
        reply = self._reply
        if reply is None or not _is_same(reply.said, said):
            self._unanswered = said
            return [*self._discard(), *self._answer_unanswered()]
        reply.is_wanted = True
        self._unanswered = ()
        actions: list[Action] = [*self._said(reply)]
        actions += [ReplyTextGrew(reply.turn, *text) for text in reply.text]
        actions += [Play(reply.turn, samples) for samples in reply.sound]
        reply.is_given = bool(reply.sound)
        reply.sound = []
        return actions + (self._finish(reply) if reply.ended is not None else [])

    def _answer_unanswered(self) -> list[Action]:
        """Have a reply made to what there is none to."""
        said, self._unanswered = self._unanswered, ()
        if not said:
            return []
        prepare = self._begin(said, is_wanted=True)
        assert self._reply is not None
        is_said, *transcribe = self._said(self._reply)
        return [is_said, *prepare, *transcribe]  # A reply that cannot be made is over at once.

    def _said(self, reply: _Reply) -> list[Action]:
        """Tell what the user said, and have it written down."""
        whole = Speech(reply.said[0].start, joined(reply.said))
        writes: list[Action] = [Transcribe(reply.turn, whole)] if self.wants_transcripts else []
        return [UserSaid(reply.turn, whole), *writes]

    def _all_with(self, speech: Speech) -> tuple[Speech, ...]:
        """Return all that is to be answered when this was said."""
        return _within((*self._unanswered, speech), LONGEST)

    def _finish(self, reply: _Reply) -> list[Action]:
        if reply.is_given:
            return [EndSound(reply.turn)]
        self._reply = None
        return [_over(reply)]

    def _take_back(self) -> list[Action]:
        """The user goes on before a sample of the reply was heard: answer later, all of it together.

        What was written cannot be joined with what is said: it stays in the conversation, and its reply is cut off.
        """
        reply = self._reply
        if reply is None or reply.is_sounding:
            return []
        if reply.is_wanted and not reply.said:
            return self.interrupted()
        if reply.is_wanted:
            self._unanswered = reply.said
        return self._discard()

    def _discard(self) -> list[Action]:
        reply = self._reply
        if reply is None or reply.is_sounding:
            return []
        self._reply = None
        return [Discard(reply.turn, reply.num_samples)]


def _over(reply: _Reply) -> ReplyOver:
    assert reply.ended is not None
    text = "".join(text for text, _ in reply.text)
    return ReplyOver(reply.turn, text, reply.num_samples, reply.ended)


def joined(said: Sequence[Speech]) -> Samples:
    """Return utterances as one sound, with a short silence between them."""
    gap = np.zeros(JOIN_GAP, np.float32)
    parts = [piece for speech in said for piece in (gap, speech.samples)]
    return np.concatenate(parts[1:])


def _within(said: tuple[Speech, ...], longest: int) -> tuple[Speech, ...]:
    """Return the newest utterances that are no longer than this when they are joined; at least one."""
    first = len(said) - 1
    num_samples = len(said[first].samples)
    while first and num_samples + JOIN_GAP + len(said[first - 1].samples) <= longest:
        first -= 1
        num_samples += JOIN_GAP + len(said[first].samples)
    return said[first:]


def _is_same(some: tuple[Speech, ...], other: tuple[Speech, ...]) -> bool:
    return [(speech.start, speech.end) for speech in some] == [
        (speech.start, speech.end) for speech in other
    ]
