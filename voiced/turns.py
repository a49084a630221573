"""Whose turn it is: from windows of sound and facts from outside to the events that the assistant acts on.

Pure: no device, no clock, no thread. Time is the number of samples heard at 16 kHz; what is decided depends on what was
pushed and told, in that order, and on nothing else. All positions lie on the borders of windows, 32 ms apart. How it
decides, and where each figure comes from: docs/turns.md.

    nobody speaks ──voice──▶ Started ──silence──▶ Paused ──more──▶ Ended
                                         ▲  WentOn  │
                                         └──voice───┘
    reply sounds ──voice──▶ ReplyHeld ──more voice──▶ BargedIn, Started
                                └──────silence──────▶ ReplyResumed

Asleep, where a wake word is asked for, a voice means nothing, and there are no events.

After Started comes Ended or Abandoned before the next Started; after ReplyHeld comes ReplyResumed, BargedIn or, when the
reply had ended by itself, Started.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voiced.cues import asks_to_stop, only_shows_listening
from voiced.endpointing import MOST_SILENCE, Patience
from voiced.errors import RangeError
from voiced.voice_activity import RATE_HZ, WINDOW_SAMPLES, Situation, VoiceActivity

Samples = NDArray[np.float32]
WhyEnded = Literal["silence", "released", "longest", "end of input"]
Cause = Literal["voice", "key", "text"]
Opener = Literal["voice", "key", "wake word"]

# Sound before the voice that belongs to the turn: 320 ms. The detector hears a voice 56 ms late, a soft beginning later.
PRE_ROLL = 10 * WINDOW_SAMPLES
# A voice begins when 3 of 4 windows hold one (96 ms): "yes" said in 120 to 150 ms reads as 4 windows, a click as one.
BEGIN_WINDOWS, BEGIN_AMONG = 3, 4
# After 192 ms of silence a reply may be prepared. Gaps inside words are shorter: at most 4 windows in espeak's speech.
PAUSE = 6 * WINDOW_SAMPLES
# After a reset the detector misses up to a fifth of a voice's windows, after 12 of them 1 % (models/vad.py, espeak).
UNSURE = 12 * WINDOW_SAMPLES
LONGEST_TURN = 937 * WINDOW_SAMPLES  # 29.98 s; the published models were trained on up to 30 s.
SHORTEST_LONGEST_TURN = 2 * RATE_HZ  # A cut where nobody pauses needs some room.

# An interruption is confirmed by 416 ms of voice: of 1,341 words of up to 300 ms none read as more than 12 windows.
CONFIRM_WINDOWS = 13
# As long as the words are known to be "uh-huh" and its like, by a second.
LISTENING_WINDOWS = 31
# The reply goes on 352 ms after the last voice: longer than gaps between words. Being wrong costs little, it is held again.
RESUME = 11 * WINDOW_SAMPLES
# A short voice in a reply's last second is an answer to it. Source: livekit's backchannel boundary.
ANSWER = RATE_HZ
# The reply is still in the microphone so long after its last sample: as late as echoes are to be cancelled.
ECHO = RATE_HZ // 4
# Nobody answers what they have heard for less than half a second: who speaks then was cut off, and is going on.
REACTION = RATE_HZ // 2

# Awake for 8 s after the wake word and after each exchange. Source: Google's Continued Conversation, 8 s; Amazon's has 5 s,
# which is short for somebody who thinks of what to ask next.
FOLLOW_UP = 8 * RATE_HZ
# From the beginning of a voice until the wake word in it is recognised, at most (espeak's "okay nabu" at 130 words a minute:
# 1.2 s, recognised up to 0.4 s later). A turn so short that ends in the wake word is nothing but that.
WAKE_WORD = 50 * WINDOW_SAMPLES
# A voice that goes on for 320 ms after that says more than the word: it is recognised at most 149 ms before its end, and the
# detector hears a voice 109 ms longer than it sounds (espeak).
REST_OF_WORD = 10 * WINDOW_SAMPLES


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """What somebody said: mono float32 at 16 kHz, and the index of its first sample."""

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        """Index of the sample after the last one."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEvent:
    """Something that happened in the talk.

    Attributes:
        position: index of the sample at which it happened.
        decided: how many samples had been heard when it was decided; the rest is for the latency ledger.
    """

    position: int
    decided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(SpeechEvent):
    """The user has the turn; a reply that was being made and has not sounded is not wanted any more.

    Attributes:
        position: where the voice began, or the key was pressed.
        sound_start: where the turn's sound begins, up to 320 ms earlier.
    """

    sound_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(SpeechEvent):
    """The user is silent; a reply to `speech` may be prepared, but must not sound yet.

    Attributes:
        position: where the voice ended.
        speech: the turn so far. If it ends here, Ended has the very same samples.
    """

    speech: Speech


@dataclass(frozen=True, slots=True, kw_only=True)
class WentOn(SpeechEvent):
    """The user was not done: what was prepared since Paused is to be rolled back. The voice is back at `position`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(SpeechEvent):
    """The user's turn is over: reply to `speech`, now.

    Attributes:
        position: where the voice ended, or was cut.
        speech: all of the turn.
        why: "silence"; "released": the key was; "longest": the turn reached its limit, and if the user is still speaking
            Started follows at once with the rest, and the reply should wait for that; "end of input".
    """

    speech: Speech
    why: WhyEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned(SpeechEvent):
    """The turn is void and its sound is gone: muted, written text came instead, the key was pressed and nothing said, or all
    that was said is the wake word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHeld(SpeechEvent):
    """Somebody may be interrupting since `position`: hold the reply's sound where it is, lose nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyResumed(SpeechEvent):
    """A false alarm, whose last voice ended at `position`: the reply goes on where it was held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BargedIn(SpeechEvent):
    """The reply is cut off for good; what had been heard of it before `position` stays in the history.

    Attributes:
        position: where the user's voice began; with a key or text, where it came.
        cause: of the interruption.
    """

    cause: Cause


class _State(Enum):
    LISTENING = auto()  # Nobody has the turn, or the reply has it.
    SUSPECTING = auto()  # The reply is on hold.
    SPEAKING = auto()  # The user has the turn,
    PAUSED = auto()  # and is silent.


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    start: int
    samples: Samples
    power: float  # Mean square without the offset.
    is_voice: bool

    @property
    def end(self) -> int:
        return self.start + WINDOW_SAMPLES


@dataclass(frozen=True, slots=True)
class _Alarm:
    """A false one, not long ago: an answer after all if the reply ends now."""

    start: int
    voice_end: int
    num_voices: int
    resumed: int


class TurnMachine:
    """Takes the microphone's sound window by window, and facts as they come, and returns what follows from them.

    Every method returns the events that it causes, in order; most often none. Holds the sound of the turn that goes on, at
    most `longest` samples (2 MB); while nobody speaks the pre-roll, and for a second a false alarm.

    Args:
        longest: samples of a turn, at 16 kHz; at that length it is cut where it is quietest, and the rest is the next turn.
        opener: what makes turns begin: any voice; only the key to talk; or voices after the wake word, and for a while after
            each exchange. The key does in any case.

    Raises:
        RangeError: `longest` is less than 2 s.

    Attributes:
        position: how many samples were heard, those of closed microphones included; the index of the next.
        is_muted: nothing is taken in and nothing held.
    """

    def __init__(self, *, longest: int = LONGEST_TURN, opener: Opener = "voice") -> None:
        self.position = 0
        self.is_muted = False
        self.longest = longest
        self._opener = opener
        self._awake_until = 0  # Position; means something only where a wake word is asked for.
        # Where the wake word was recognised, as long as the voice that said it goes on.
        self._woke_at: int | None = None
        self._is_pressed = False
        self._activity = VoiceActivity()
        self._patience = Patience()
        self._state = _State.LISTENING
        self._windows: deque[_Window] = (
            deque()
        )  # Contiguous; their sound is in no turn that has ended.
        self._recent: deque[_Window] = deque(maxlen=BEGIN_AMONG)  # In which a voice may begin.
        self._sure_from = UNSURE  # Position from which on the detector can be trusted with silence.
        self._words: str | None = (
            None  # Of the open turn or suspicion; None while nobody knows them.
        )
        # Of the open turn or suspicion; meaningless while listening.
        self._start = 0
        self._voice_end = 0
        self._num_voices = 0
        # Of the turn before, as far as silence ended it; tells whether the user was cut off.
        self._silenced_at: int | None = None
        # The reply sounds from the one to the other; None: there is none, or its end is not known.
        self._reply_from: int | None = None
        self._reply_until: int | None = None
        self._alarm: _Alarm | None = (
            None  # While the reply that it interrupted sounds, for a second.
        )

    @property
    def longest(self) -> int:
        """Samples of a turn, at 16 kHz; the turn that goes on keeps to it as well."""
        return self._longest

    @longest.setter
    def longest(self, longest: int) -> None:
        if longest < SHORTEST_LONGEST_TURN:
            raise RangeError(
                f"longest turn of {longest} samples: expected at least {SHORTEST_LONGEST_TURN}, 2 s at 16 kHz"
            )
        self._longest = longest

    # What is heard

    def push(self, samples: Samples, probability: float) -> list[SpeechEvent]:
        """Take the next 512 samples and the detector's opinion of them.

        Samples that are not finite make the window silent. While muted, time passes and nothing is kept.

        Raises:
            RangeError: another number of samples.
        """
        if samples.shape != (WINDOW_SAMPLES,):
            raise RangeError(
                f"window has shape {samples.shape}: expected ({WINDOW_SAMPLES},), 32 ms at 16 kHz"
            )
        start = self.position
        self.position += WINDOW_SAMPLES
        if self.is_muted:
            return []
        if self._state is not _State.LISTENING or self._has_reply():
            self.stay_awake()
        self._add_window(start, samples, probability)
        match self._state:
            case _State.LISTENING:
                return self._listen()
            case _State.SUSPECTING:
                return self._suspect()
            case _:
                return self._follow()

    def heard_words(self, words: str | None) -> list[SpeechEvent]:
        """Learn the words so far of whoever speaks; None when nobody knows them.

        They count until the user goes on after a pause, or the turn is over.
        """
        if self._state is _State.LISTENING:
            return []  # They came too late.
        self._words = words
        if self._state is _State.SUSPECTING and words is not None and asks_to_stop(words):
            return self._barge_in("voice")
        return []

    def speech_so_far(self) -> Speech | None:
        """Return the sound of the turn or of the possible interruption that goes on; None when there is neither."""
        return None if self._state is _State.LISTENING else self._speech(self.position)

    @property
    def is_asleep(self) -> bool:
        """Whether a voice means nothing until the wake word is heard."""
        return (
            self._opener == "wake word"
            and self._state is _State.LISTENING
            and not self._has_reply()
            and self.position >= self._awake_until
        )

    def stay_awake(self) -> None:
        """Learn that an exchange goes on: fall asleep 8 s from now at the earliest."""
        self._awake_until = self.position + FOLLOW_UP

    def heard_wake_word(self) -> list[SpeechEvent]:
        """Learn that the wake word was recognised in what was pushed last: a voice begins a turn from now on.

        The word itself is no turn. In one that is awake anyway it interrupts the reply, and is left out of what follows it.
        In the middle of a turn it is a word like others.
        """
        if self._opener != "wake word" or self.is_muted or self._is_pressed:
            return []
        if self._state is _State.LISTENING and self._has_reply():
            return []  # Nobody spoke: the reply says it, and is heard by the microphone.
        events = self._barge_in("voice") if self._state is _State.SUSPECTING else []
        if self._state is not _State.LISTENING:
            if self.position - self._start > WAKE_WORD:
                return events
            events.append(Abandoned(position=self._start, decided=self.position))
        self._forget_turn()
        self.stay_awake()
        if self._voice_begins() is None:
            self._begin_after(self.position)
        else:
            self._woke_at = self.position
        return events

    # What happens around

    def reply_started(self, position: int) -> list[SpeechEvent]:
        """Learn that a reply sounds from `position` on, which may lie ahead. In the user's turn it is cut off at once."""
        self._reply_from, self._reply_until, self._alarm = position, None, None
        if self._state in {_State.SPEAKING, _State.PAUSED}:
            return [self._cut_reply(self._start, "voice")]
        return []

    def reply_stopped(self, position: int) -> list[SpeechEvent]:
        """Learn that the reply has sounded to its end, at `position`; nothing follows when it was cut off before."""
        if not self._has_reply():
            return []
        self._reply_until = position
        alarm, self._alarm = self._alarm, None
        if self._state is _State.SUSPECTING:
            return self._begin(self._start)
        if alarm and self._state is _State.LISTENING and position - alarm.resumed <= ANSWER:
            self._voice_end, self._num_voices = alarm.voice_end, alarm.num_voices
            return self._begin(alarm.start)
        return []

    def interrupt(self) -> list[SpeechEvent]:
        """Cut off the reply, if it sounds: somebody pressed the key for that."""
        if self._state is _State.SUSPECTING:
            return self._barge_in("key")
        return [self._cut_reply(self.position, "key")] if self._has_reply() else []

    def press(self) -> list[SpeechEvent]:
        """Begin a turn, or keep the one that goes on, until `release`: the key to talk is down. Muted, it does nothing."""
        if self.is_muted or self._is_pressed:
            return []
        self._is_pressed = True
        if self._state in {_State.SPEAKING, _State.PAUSED}:
            return []
        events = self.interrupt()
        if self._state is _State.LISTENING:
            events += self._begin_at_key()
        return events

    def release(self) -> list[SpeechEvent]:
        """End the turn, if anything was said: the key to talk is up."""
        if not self._is_pressed:
            return []
        self._is_pressed = False
        return self._end("released")

    def enter_text(self) -> list[SpeechEvent]:
        """Make room for a turn of written text: the reply is cut off, and what was being said is void."""
        if self._state is _State.SUSPECTING or self._has_reply():
            event: SpeechEvent = self._cut_reply(self.position, "text")
        elif self._state is _State.LISTENING:
            return []
        else:
            event = Abandoned(position=self._start, decided=self.position)
        self._forget_turn()
        self._drop_before(self.position)
        return [event]

    def mute(self) -> list[SpeechEvent]:
        """Forget what was heard and take in nothing more: the microphone is closed."""
        events: list[SpeechEvent] = []
        if self._state is _State.SUSPECTING:
            events = [ReplyResumed(position=self._voice_end, decided=self.position)]
        elif self._state is not _State.LISTENING:
            events = [Abandoned(position=self._start, decided=self.position)]
        self.is_muted = True
        self._forget_turn()
        self._drop_before(self.position)
        self._alarm = self._silenced_at = None
        self._awake_until = self.position
        return events

    def unmute(self, position: int) -> None:
        """Listen again: the microphone is open, and its next sample has the index `position`.

        The detector is to be reset with it.

        Raises:
            RangeError: `position` lies before what was heard.
        """
        if position < self.position:
            raise RangeError(
                f"microphone opened at sample {position}: expected at least {self.position}; its time never goes back"
            )
        self.position = position
        self.is_muted = False
        self._sure_from = position + UNSURE
        self._activity.forget_noise()

    def finish(self) -> list[SpeechEvent]:
        """End what goes on: no more sound will come. A possible interruption that was not confirmed is none."""
        if self._state is _State.SUSPECTING:
            return self._resume_reply()
        return self._end("end of input")

    def forget_answer(self) -> None:
        """Take a short voice over the reply for its answer no more: time goes by unheard, and so it lies further back than it seems."""
        self._alarm = None

    # Deciding, window by window

    def _add_window(self, start: int, samples: Samples, probability: float) -> None:
        power = float(np.var(samples, dtype=np.float64))
        if not np.isfinite(power):
            samples, power, probability = np.zeros(WINDOW_SAMPLES, np.float32), 0.0, 0.0
        is_voice = self._activity.is_voice(power, probability, self._situation(start))
        window = _Window(start, samples.copy(), power, is_voice)
        self._windows.append(window)
        self._recent.append(window)
        if is_voice and self._state in {_State.SPEAKING, _State.SUSPECTING}:
            self._voice_end = window.end
            self._num_voices += 1

    def _situation(self, start: int) -> Situation:
        match self._state:
            case _State.LISTENING:
                return Situation.REPLYING if self._hears_reply(start) else Situation.LISTENING
            case _State.SUSPECTING:
                return Situation.INTERRUPTING
            case _State.SPEAKING:
                return Situation.SPEAKING
            case _State.PAUSED:
                return Situation.PAUSED

    def _listen(self) -> list[SpeechEvent]:
        if self._alarm and self.position - self._alarm.resumed > ANSWER:
            self._alarm = None
        first = self._voice_after_wake_word()
        if first is None or not self._may_begin(first):
            kept = self.position - BEGIN_AMONG * WINDOW_SAMPLES
            if self._alarm:
                kept = self._alarm.start
            elif self._woke_at is not None:
                kept = self._woke_at
            self._drop_before(kept - PRE_ROLL)
            return []
        self._start, self._voice_end = first, self.position
        self._num_voices = sum(window.is_voice for window in self._recent)
        if not self._has_reply():
            return self._begin(first)
        self._drop_before(first - PRE_ROLL)
        self._alarm = None
        self._state, self._words = _State.SUSPECTING, None
        return [ReplyHeld(position=first, decided=self.position)]

    def _suspect(self) -> list[SpeechEvent]:
        only_listens = self._words is not None and only_shows_listening(self._words)
        if self._num_voices >= (LISTENING_WINDOWS if only_listens else CONFIRM_WINDOWS):
            return self._barge_in("voice")
        if self.position - self._voice_end >= RESUME:
            return self._resume_reply()
        return []

    def _follow(self) -> list[SpeechEvent]:
        """Follow the user's turn: it pauses, goes on, ends, or becomes too long."""
        events: list[SpeechEvent] = []
        if self._state is _State.PAUSED and (first := self._voice_begins()) is not None:
            self._patience.went_on(first - self._voice_end)
            self._state, self._voice_end, self._words = _State.SPEAKING, self.position, None
            events.append(WentOn(position=first, decided=self.position))
        silence = self.position - max(self._voice_end, self._sure_from)
        if self._state is _State.SPEAKING and self._num_voices and silence >= PAUSE:
            self._state = _State.PAUSED
            self._recent.clear()
            speech = self._speech(self.position)
            events.append(Paused(position=self._voice_end, decided=self.position, speech=speech))
        may_end = not self._is_pressed and not self._windows[-1].is_voice  # Else it may go on now.
        if (
            self._state is _State.PAUSED
            and may_end
            and silence >= self._patience.silence(self._words)
        ):
            events += self._end("silence")
        elif self.position - self._windows[0].start >= self._longest:
            events += self._cut_turn()
        return events

    def _voice_begins(self) -> int | None:
        """Return where a voice begins that is heard now, or None."""
        voices = [window.start for window in self._recent if window.is_voice]
        return voices[0] if len(voices) >= BEGIN_WINDOWS else None

    def _voice_after_wake_word(self) -> int | None:
        """Return where a voice begins that is not what is left of the wake word, or None."""
        first = self._voice_begins()
        if self._woke_at is None:
            return first
        if first is None:
            self._begin_after(self.position)
            self._woke_at = None
        elif self.position - self._woke_at >= REST_OF_WORD:
            # Said without a pause. Most wake words are recognised up to 0.3 s after their end, so it began before that.
            first, self._woke_at = self._woke_at, None
            return first
        return None

    def _begin_after(self, position: int) -> None:
        """Forget the wake word, which faded before `position`; the windows that may hold a voice's beginning are kept."""
        self._drop_before(position - BEGIN_AMONG * WINDOW_SAMPLES)
        self._recent.clear()

    def _may_begin(self, first: int) -> bool:
        """Return whether a voice that began at `first` may begin a turn or interrupt the reply."""
        return self._opener == "voice" or (
            self._opener == "wake word" and first < self._awake_until
        )

    def _cut_turn(self) -> list[SpeechEvent]:
        """End the turn that has become too long; if the voice goes on, cut it where it is quietest and begin the next."""
        windows = list(self._windows)
        quarter = len(windows) * 3 // 4
        place = min(range(quarter, len(windows)), key=lambda place: _loudness(windows, place))
        cut = windows[place].start
        if self._state is _State.PAUSED or self._voice_end <= cut:
            events = self._end("longest")
            return events + self._begin_at_key() if self._is_pressed else events
        speech = self._take(cut)
        ended = Ended(position=cut, decided=self.position, speech=speech, why="longest")
        self._words = None
        self._num_voices = sum(window.is_voice for window in self._windows)
        return [ended, *self._begin(cut)]

    # Changes of state

    def _begin(self, start: int) -> list[SpeechEvent]:
        self._drop_before(start - PRE_ROLL)
        self._learn_whether_cut_off(start)
        self._state, self._start = _State.SPEAKING, start
        self._activity.begin_turn()
        sound_start = self._windows[0].start if self._windows else start
        return [Started(position=start, decided=self.position, sound_start=sound_start)]

    def _begin_at_key(self) -> list[SpeechEvent]:
        self._voice_end, self._num_voices = self.position, 0
        return self._begin(self.position)

    def _end(self, why: WhyEnded) -> list[SpeechEvent]:
        if self._state not in {_State.SPEAKING, _State.PAUSED}:
            return []
        event: SpeechEvent
        if not self._num_voices:
            event = Abandoned(position=self._start, decided=self.position)
            self._drop_before(self.position)
            self._is_pressed = False
        else:
            speech = self._take(self._voice_end + PAUSE)
            event = Ended(position=self._voice_end, decided=self.position, speech=speech, why=why)
            if why == "silence":
                self._silenced_at = self._voice_end
                self._patience.ended(self._voice_end - self._start)
        self._forget_turn()
        return [event]

    def _barge_in(self, cause: Cause) -> list[SpeechEvent]:
        """Confirm the suspicion: the reply is cut off, and the turn began with it."""
        event = self._cut_reply(self._start if cause == "voice" else self.position, cause)
        return [event, *self._begin(self._start)]

    def _resume_reply(self) -> list[SpeechEvent]:
        self._alarm = _Alarm(self._start, self._voice_end, self._num_voices, self.position)
        self._forget_turn()
        self._recent.clear()
        return [ReplyResumed(position=self._voice_end, decided=self.position)]

    def _cut_reply(self, position: int, cause: Cause) -> BargedIn:
        # It may have been about to begin; then nothing of it is in the microphone.
        was_heard = self._reply_from is not None and self._reply_from < self.position
        self._reply_until = self.position if was_heard else None
        self._reply_from = self._reply_from if was_heard else None
        self._alarm = None
        return BargedIn(position=position, decided=self.position, cause=cause)

    def _forget_turn(self) -> None:
        self._state, self._words, self._num_voices = _State.LISTENING, None, 0
        self._woke_at = None

    def _learn_whether_cut_off(self, start: int) -> None:
        """Learn a pause of the user's that was taken for the end of the turn before."""
        silenced_at, self._silenced_at = self._silenced_at, None
        if silenced_at is None or not 0 < start - silenced_at <= MOST_SILENCE:
            return
        replied = self._reply_from is not None and self._reply_from > silenced_at
        if not replied or (self._reply_from or 0) > start - REACTION:
            self._patience.went_on(start - silenced_at)

    # The reply and the sound

    def _has_reply(self) -> bool:
        """Return whether a reply sounds, is on hold, or is about to sound."""
        return self._reply_from is not None and self._reply_until is None

    def _hears_reply(self, start: int) -> bool:
        """Return whether the reply or its echo is in the window that begins at `start`."""
        if self._reply_from is None or self._reply_from >= start + WINDOW_SAMPLES:
            return False
        return self._reply_until is None or self._reply_until + ECHO > start

    def _speech(self, end: int) -> Speech:
        """Return the sound of the turn up to `end`, at most with the pause after the last voice."""
        if self._state is not _State.LISTENING and self._num_voices:
            end = min(end, self._voice_end + PAUSE)
        windows = [window for window in self._windows if window.start < end]
        samples = np.concatenate([np.zeros(0, np.float32), *(w.samples for w in windows)])
        return Speech(windows[0].start if windows else end, samples)

    def _take(self, end: int) -> Speech:
        speech = self._speech(min(end, self.position))
        self._drop_before(speech.end)
        return speech

    def _drop_before(self, position: int) -> None:
        for windows in (self._windows, self._recent):
            while windows and windows[0].start < position:
                windows.popleft()


def _loudness(windows: list[_Window], place: int) -> tuple[int, float]:
    """Return how much a cut before `windows[place]` disturbs."""
    around = windows[max(place - 1, 0) : place + 1]
    return sum(window.is_voice for window in around), sum(window.power for window in around)
