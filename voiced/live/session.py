"""One live talk: carries out what the conductor decides, between the ears, the engine, the speaker and whoever watches.

Nothing here waits. `LiveSession` is told what was heard and what the engine made, and `tick` is called every few
milliseconds; the speaker is asked then how far it is. All time is the microphone's, counted in samples at 16 kHz.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from audio.chunk import AudioChunk, Samples
from protocols.events import Event, HowEnded, Noticed, State, TextAdded, Transcribed, TurnEnded
from voiced.commands import EnterText, Interrupt, Press, Release
from voiced.engine import messages as m
from voiced.engine.session import Lost, SessionEvent
from voiced.errors import VoicedError
from voiced.ledger import Ledger
from voiced.listening import Listener
from voiced.live.conductor import (
    Action,
    Conductor,
    Cut,
    Discard,
    EndSound,
    HoldSound,
    Play,
    Prepare,
    ReplyOver,
    ReplyTextGrew,
    ResumeSound,
    StopSound,
    Transcribe,
    UserSaid,
)
from voiced.speech_model import SOUND_RATE_HZ
from voiced.turns import BargedIn, Ended, ReplyHeld, SpeechEvent, Started, TurnMachine
from voiced.voice_activity import RATE_HZ

# Of new speech before it is written down once more.
INTERIM_STEP = 6 * RATE_HZ // 10
# An interim transcript that takes longer than this, twice in a row, shows that the machine does not keep up.
LATE = 3 * RATE_HZ // 2
MOST_LATE = 2


class Engine(Protocol):
    """What is needed of voiced.engine.client.EngineSession."""

    def prepare(self, turn: int, said: str | Samples) -> None: ...
    def discard(self, turn: int) -> None: ...
    def cut(self, turn: int, heard_samples: int) -> None: ...
    def transcribe(self, turn: int, samples: Samples, *, is_final: bool = False) -> bool: ...
    def wake(self) -> None: ...


class EngineEvents(Protocol):
    """What is needed of voiced.engine.session.EngineSession."""

    def __aiter__(self) -> AsyncIterator[SessionEvent]: ...
    def close(self) -> None: ...


class Speaker(Protocol):
    """What is needed of audio.playout.Playout; positions are in samples at 24 kHz."""

    @property
    def num_played(self) -> int: ...
    @property
    def is_finished(self) -> bool: ...
    def begin(self) -> None: ...
    def write(self, samples: Samples) -> int: ...
    def finish(self) -> None: ...
    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def flush(self) -> int: ...


@dataclass(slots=True)
class _Sounding:
    """The reply that the speaker was given."""

    turn: int
    is_complete: bool = False  # No more of it comes,
    is_finished: bool = False  # and the speaker was told so.
    start_s: float | None = None  # When it began to sound; None until then.
    is_dropped: bool = False  # Some of it was thrown away, which was told.


class LiveSession:
    """See the module.

    Args:
        engine: makes the replies.
        speaker: plays them.
        machine: decides whose turn it is; `listener` feeds it.
        listener: takes the microphone's sound.
        conductor: decides what follows.
        show: is told what happens.
        wants_interim: have the user's words written down while they are said, as long as the machine keeps up.
        now_s: seconds on the conversation's clock, for the ledger; without it the microphone's time, which goes on in chunks.

    Attributes:
        ledger: what happened when in each exchange.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        speaker: Speaker,
        machine: TurnMachine,
        listener: Listener,
        conductor: Conductor,
        show: Callable[[Event], None],
        wants_interim: bool,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self._engine = engine
        self._speaker = speaker
        self._machine = machine
        self._listener = listener
        self._conductor = conductor
        self._show = show
        self._wants_interim = wants_interim
        self._now_s = now_s or (lambda: listener.position / RATE_HZ)
        self.ledger = Ledger()
        # Sound that the speaker has no room for yet; at most all of a reply, 5.8 MB a minute.
        self._waiting: deque[Samples] = deque()
        self._sounding: _Sounding | None = None
        self._asked_at: int | None = (
            None  # When the interim transcript was asked for that is not there yet.
        )
        self._asked_for = 0  # How much speech the last one was asked for,
        self._asked_from = 0  # and where that begins.
        self._owed_words: set[int] = set()  # Turns whose final transcripts are not there.
        self._over: set[int] = set()  # Turns that are over but for their words.
        self._voice_end_s = 0.0  # Of the user's turn that ended last.
        self._is_shedding = False  # The talk is so long that its oldest turns leave.
        self._num_late = 0  # Interim transcripts in a row that came late.
        self._ended_starts: dict[
            int, float
        ] = {}  # Start of each cut reply, until the engine has told its words.

    @property
    def state(self) -> State:
        """What goes on."""
        if self._machine.is_muted:
            return "muted"
        if self._conductor.is_speaking:
            return "speaking"
        if self._machine.speech_so_far() is not None:
            return "hearing"
        if self._conductor.is_thinking:
            return "thinking"
        return "asleep" if self._machine.is_asleep else "listening"

    @property
    def position(self) -> int:
        """Index of the microphone's next sample."""
        return self._listener.position

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, and no reply is being made or played."""
        return (
            self._sounding is None
            and not self._conductor.is_thinking
            and self._machine.speech_so_far() is None
        )

    @property
    def needs_sound(self) -> bool:
        """Whether the speaker would play more of a reply now, and the engine has not made it yet."""
        return self._conductor.is_waiting_for_engine and not self._waiting

    @property
    def is_owed_words(self) -> bool:
        """Whether a transcript was asked for and is not there."""
        return self._asked_at is not None or bool(self._owed_words)

    def change(self, *, longest: int, is_preemptive: bool, wants_transcripts: bool) -> None:
        """Go on like this: the longest turn, in samples; whether replies are prepared, and words written down."""
        self._machine.longest = longest
        self._conductor.is_preemptive = is_preemptive
        self._conductor.wants_transcripts = wants_transcripts
        self._wants_interim = wants_transcripts

    # What happens

    def hear(self, chunk: AudioChunk) -> None:
        """Take the microphone's next sound, 16 kHz."""
        if self._conductor.is_thinking:
            self._machine.stay_awake()
        self._follow(self._listener.push(chunk))
        self._ask_for_words()

    def end_input(self) -> None:
        """Learn that nothing more will be heard."""
        self._follow(self._listener.finish())

    def lose_input(self) -> None:
        """Learn that nothing will be heard for a while: what was being said ends there."""
        self.end_input()
        self._machine.forget_answer()

    def take(self, event: SessionEvent) -> None:
        """Take what the engine says."""
        match event:
            case m.Text(turn=turn, text=text, position_samples=position):
                self.ledger.mark(turn, "first_token", self._now_s())
                if text:
                    self._do(self._conductor.made_text(turn, text, position))
            case m.Sound(turn=turn):
                self.ledger.mark(turn, "first_frame", self._now_s())
                self._do(self._conductor.made_sound(turn, event.samples))
            case m.Ended(turn=turn, how=how):
                self._do(self._conductor.made_all(turn, how))
            case m.WasCut(turn=turn, heard=heard, num_samples=num_samples):
                self._tell_cut(turn, heard, num_samples)
            case m.Transcript():
                self._take_words(event)
            case m.Failed():
                self._take_failure(event)
            case m.Trimmed():
                self._notice_shedding()
            case Lost(turn=turn, reason=reason, is_final=is_final):
                self._asked_at = None  # Final transcripts are made by the next engine.
                self._notice(
                    f"the engine is gone: {reason}"
                    + ("" if is_final else "; it is being started again")
                )
                if turn is not None:
                    self._do(self._conductor.made_all(turn, "failed"))

    def _take_failure(self, failed: m.Failed) -> None:
        turn = failed.turn
        match failed.request:
            case "cut" if turn is not None:  # Its reply had failed, which was told.
                self._tell_cut(turn, "", 0)
            case "discard":  # Likewise.
                return
            case "prepare" if turn is not None:
                self._notice(failed.message)
                self._do(self._conductor.made_all(turn, "failed"))
            case "transcribe" if turn is not None:
                self._notice(failed.message)
                if turn in self._owed_words:
                    self._know_words(turn)
                else:
                    self._asked_at = None
            case _:
                self._notice(failed.message)

    def tick(self) -> None:
        """Hand the speaker what it has room for, and notice what it has played."""
        sounding = self._sounding
        if sounding is None:
            return
        while self._waiting:
            samples = self._waiting[0]
            num_taken = self._speaker.write(samples)
            if num_taken < len(samples):
                self._waiting[0] = samples[num_taken:]
                break
            self._waiting.popleft()
        if sounding.is_complete and not self._waiting and not sounding.is_finished:
            sounding.is_finished = True
            self._speaker.finish()
        if sounding.start_s is None and self._speaker.num_played:
            sounding.start_s = self._now_s() - self._speaker.num_played / SOUND_RATE_HZ
            self.ledger.mark(sounding.turn, "first_sound", sounding.start_s)
            self._conductor.sounds(sounding.turn)
            self._follow(self._machine.reply_started(self._listener.position))
        if self._sounding is sounding and sounding.is_finished and self._speaker.is_finished:
            self._do(self._conductor.played(sounding.turn))
            self._sounding = None
            self._follow(self._machine.reply_stopped(self._listener.position))

    def note_underruns(self, num_times: int) -> None:
        """Learn that the reply's sound was not there in time."""
        if self._sounding is not None:
            self.ledger.underrun(self._sounding.turn, num_times)

    def note_dropped(self) -> None:
        """Learn that sound of the reply was thrown away as there is no speaker; told once a reply."""
        if self._sounding is not None and not self._sounding.is_dropped:
            self._sounding.is_dropped = True
            self._notice("a reply was not played: the speaker is away")

    # What the user does besides speaking

    def obey(self, command: Interrupt | Press | Release | EnterText) -> None:
        """Do what the user asks for."""
        match command:
            case Interrupt():
                self.interrupt()
            case Press():
                self.press()
            case Release():
                self.release()
            case EnterText(text=text):
                self.enter(text)

    def interrupt(self) -> None:
        """Cut the reply off."""
        events = self._machine.interrupt()
        self._follow(events)
        if not events:
            self._do(self._conductor.interrupted())

    def enter(self, text: str) -> None:
        """Take a turn of written text."""
        self._follow(self._machine.enter_text())
        self._do(self._conductor.interrupted())
        self._do(self._conductor.entered(text))

    def press(self) -> None:
        """Begin to talk: the key is down."""
        self._follow(self._machine.press())

    def release(self) -> None:
        """End talking: the key is up."""
        self._follow(self._machine.release())

    def mute(self) -> None:
        """Stop listening; what was being said is forgotten."""
        self._follow(self._listener.mute())

    def unmute(self, position: int) -> None:
        """Listen again, from the microphone's sample `position` on."""
        self._listener.unmute(position)

    # Carrying out

    def _follow(self, events: Iterable[SpeechEvent]) -> None:
        for event in events:
            match event:
                case Started():
                    self._engine.wake()
                case Ended(position=position):
                    self._voice_end_s = position / RATE_HZ
                case ReplyHeld():
                    self.ledger.hold(self._conductor.turn, self._now_s())
                case BargedIn():
                    self.ledger.mark(self._conductor.turn, "barged_in", self._now_s())
            self._do(self._conductor.heard(event))

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self._do_one(action)

    def _do_one(self, action: Action) -> None:
        match action:
            case Prepare(turn=turn, said=said):
                self._prepare(turn, said)
            case Discard(turn=turn, made_samples=made_samples):
                self._owed_words.discard(turn)
                self.ledger.discard(turn, made_samples / SOUND_RATE_HZ)
                if self._sounding is not None and self._sounding.turn == turn:
                    self._silence()
                self._engine.discard(turn)
            case Cut(turn=turn, heard_samples=heard_samples):
                self._engine.cut(turn, heard_samples)
            case Transcribe(turn=turn, speech=speech):
                self._asked_at, self._asked_for = None, 0
                self._transcribe(turn, speech.samples)
            case Play(turn=turn, samples=samples):
                if self._sounding is None or self._sounding.turn != turn:
                    self._sounding = _Sounding(turn)
                    self._speaker.begin()
                self._waiting.append(samples)
            case EndSound(turn=turn):
                assert self._sounding is not None
                self._sounding.is_complete = True
            case HoldSound():
                self._speaker.hold()
            case ResumeSound():
                self._speaker.resume()
            case StopSound(turn=turn):
                start_s = self._reply_start_s()
                heard_samples = self._silence()
                self.ledger.mark(turn, "silent", self._now_s())
                self._ended_starts[turn] = start_s
                self._do(self._conductor.stopped(turn, heard_samples))
            case UserSaid():
                self._tell_user(action)
            case ReplyTextGrew(turn=turn, text=text, position_samples=position):
                start_s = self._reply_start_s() + position / SOUND_RATE_HZ
                self._show(TextAdded(turn=turn, role="assistant", text=text, start_s=start_s))
            case ReplyOver(turn=turn, text=text, num_samples=num_samples, ended=ended):
                self._tell_reply(turn, text, self._reply_start_s(), num_samples, ended)

    def _prepare(self, turn: int, said: Samples | str) -> None:
        try:
            self._engine.prepare(turn, said)
        except VoicedError as error:
            self._notice(str(error))
            self._do(self._conductor.made_all(turn, "failed"))

    def _transcribe(self, turn: int, said: Samples) -> None:
        try:
            self._engine.transcribe(turn, said, is_final=True)
        except VoicedError as error:
            self._notice(str(error))
        else:
            self._owed_words.add(turn)

    def _silence(self) -> int:
        """Stop the sound; return how many samples of the reply were played."""
        self._waiting.clear()
        self._sounding = None
        return self._speaker.flush()

    # The user's words

    def _ask_for_words(self) -> None:
        if not self._wants_interim or self._asked_at is not None:
            return
        speech = self._machine.speech_so_far()
        if speech is None:
            self._asked_for = 0
            return
        if len(speech.samples) < self._asked_for + INTERIM_STEP:
            return
        self._asked_for, self._asked_from = len(speech.samples), speech.start
        if self._engine.transcribe(self._conductor.turn + 1, speech.samples):
            self._asked_at = self._listener.position

    def _take_words(self, transcript: m.Transcript) -> None:
        if not transcript.is_final:
            is_asked_for = self._asked_at is not None
            self._judge_pace()
            speech = self._machine.speech_so_far()
            if not is_asked_for or speech is None or speech.start != self._asked_from:
                return  # That speech is over.
            # Words of all that was said so far tell whether more is to come; older ones do not.
            if len(speech.samples) - transcript.num_samples < INTERIM_STEP:
                self._follow(self._machine.heard_words(transcript.text))
        self._show(
            Transcribed(
                turn=transcript.turn,
                text=transcript.text,
                num_agreed=transcript.num_agreed,
                is_final=transcript.is_final,
            )
        )
        if transcript.is_final and transcript.turn in self._owed_words:
            self.ledger.mark(transcript.turn, "transcribed", self._now_s())
            self._know_words(transcript.turn)

    def _know_words(self, turn: int) -> None:
        """Note that the words of a turn are there, or will never be."""
        self._owed_words.discard(turn)
        if turn in self._over:
            self._close(turn)

    def _close(self, turn: int) -> None:
        """Tell when what happened in an exchange, once its words are known."""
        if turn in self._owed_words:
            self._over.add(turn)
            return
        self._over.discard(turn)
        timed = self.ledger.finish(turn)
        if timed is not None:
            self._show(timed)

    def _judge_pace(self) -> None:
        """Give up interim transcripts where the machine does not keep up with them."""
        asked_at, self._asked_at = self._asked_at, None
        if asked_at is None:
            return
        is_late = self._listener.position - asked_at > LATE
        self._num_late = self._num_late + 1 if is_late else 0
        if self._num_late >= MOST_LATE:
            self._wants_interim = False
            self._notice(
                "this machine is too slow to show your words while you speak; they come after your turn"
            )

    # Telling

    def _reply_start_s(self) -> float:
        """Where the reply began to sound, or would now."""
        start_s = self._sounding.start_s if self._sounding is not None else None
        return self._now_s() if start_s is None else start_s

    def _tell_user(self, said: UserSaid) -> None:
        now_s = self._now_s()
        speech = said.speech
        voice_end_s = None if speech is None else self._voice_end_s
        self.ledger.decide(said.turn, now_s, speech_ended_s=voice_end_s)
        self._show(
            TurnEnded(
                turn=said.turn,
                role="user",
                text=said.text,
                start_s=now_s if speech is None else speech.start / RATE_HZ,
                end_s=now_s if speech is None else speech.end / RATE_HZ,
            )
        )

    def _tell_reply(
        self, turn: int, text: str, start_s: float, num_samples: int, ended: HowEnded
    ) -> None:
        self._show(
            TurnEnded(
                turn=turn,
                role="assistant",
                text=text,
                start_s=start_s,
                end_s=start_s + num_samples / SOUND_RATE_HZ,
                ended=ended,
            )
        )
        self._close(turn)

    def _tell_cut(self, turn: int, heard: str, num_samples: int) -> None:
        start_s = self._ended_starts.pop(turn, self._now_s())
        self._tell_reply(turn, heard, start_s, num_samples, "interrupted")

    def _notice_shedding(self) -> None:
        if not self._is_shedding:
            self._is_shedding = True
            self._notice(
                "the model's memory of this talk is full: from now on its oldest turns leave"
            )

    def _notice(self, text: str) -> None:
        self._show(Noticed(text=text))
