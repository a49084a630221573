"""The engine itself: takes messages, makes one step of one job at a time, and gives messages out. No socket, no thread.

Whose step is next: replies before all else, those of the sessions in turn; then texts to read aloud, likewise; then
transcriptions; then, when nothing else is to be done, talks that have grown long are shed of their oldest turns. A job whose session does not take what was made
for it is parked, and others are served. What a message asks for takes effect before the next step of anybody.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from audio.chunk import Samples
from models.lfm2_audio import Sampling
from voiced.engine import messages as m
from voiced.engine.cutting import place_of_cut
from voiced.engine.held import (
    HeldSession,
    code_of,
    told,
    unanswered,
    wants_reading,
    wants_rebuild,
    wants_reply,
    wants_transcript,
)
from voiced.engine.model import EngineModel
from voiced.engine.pace import Pace
from voiced.engine.reading import Reading
from voiced.engine.reply import Reply, Stage
from voiced.engine.talk import KEPT, MOST_POSITIONS, Rebuild, Talk
from voiced.engine.transcribing import Transcription
from voiced.errors import (
    RangeError,
    VoicedError,
)
from voiced.seeds import derived_seed
from voiced.speech import speak
from voiced.speech_model import HEARING_RATE_HZ, REPLY_SAMPLING, AudioSampling

log = logging.getLogger("voiced.engine")

MOST_SESSIONS: Final = 64


Read = Callable[[m.Speak, Callable[[str], None]], Iterator[Samples]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What is particular about a model or a machine.

    Attributes:
        reply: how the sound of replies is drawn where a session does not say.
        read: returns the sound of a text to read aloud, part by part; see `Reading`.
        longest_piece_s: of sound to transcribe at once; None: a whole turn.
        most_positions: that a talk keeps to.
        most_sessions: more are refused.
    """

    reply: AudioSampling = REPLY_SAMPLING
    read: Read | None = None
    longest_piece_s: float | None = None
    most_positions: int = MOST_POSITIONS
    most_sessions: int = MOST_SESSIONS


class Engine:
    """Sessions on one model."""

    def __init__(
        self,
        model: EngineModel,
        emit: Callable[[m.FromEngine], None],
        *,
        now_s: Callable[[], float],
        options: EngineOptions | None = None,
    ) -> None:
        """Begin without sessions.

        Args:
            model: computes.
            emit: takes what is said; called from `take` and `step`.
            now_s: tells the time.
            options: of this model.
        """
        self._model, self._emit, self._now_s = model, emit, now_s
        self._options = options or EngineOptions()
        self._sessions: dict[int, HeldSession] = {}  # In the order in which they are served.
        self._pace = Pace(now_s, self._announce)
        self.num_steps = 0

    @property
    def num_jobs(self) -> int:
        """Replies, readings and transcriptions that are made or wait."""
        return sum(
            (session.reply is not None) + (session.reading is not None) + session.desk.has_work
            for session in self._sessions.values()
        )

    @property
    def num_sessions(self) -> int:
        """That are open."""
        return len(self._sessions)

    def take(self, message: m.ToEngine) -> None:
        """Take a message; computes nothing but a cut's bookkeeping.

        Raises:
            ProtocolError: the message cannot be meant.
        """
        if isinstance(message, m.Ping):
            self._emit(m.Pong(message.number))
            return
        if isinstance(message, m.Open):
            self._open(message)
            return
        session = self._sessions.get(message.session)
        if session is None:
            self._refuse_unknown(message)
            return
        try:
            match message:
                case m.Prepare():
                    self._prepare(session, message)
                case m.Speak():
                    self._read_aloud(session, message)
                case m.Discard(turn=turn):
                    self._discard(session, turn)
                case m.Cut():
                    self._cut(session, message)
                case m.Transcribe():
                    m.unpack_samples(message.pcm)
                    overrun = session.desk.take(message)
                    if overrun is not None:
                        self._fail(
                            overrun,
                            "overrun",
                            "too many transcriptions wait: the oldest was dropped",
                        )
                case m.Taken(num_events=num_events):
                    session.num_on_their_way = max(0, session.num_on_their_way - num_events)
                case m.Close():
                    del self._sessions[message.session]
                    self._emit(m.Closed(message.session))
        except VoicedError as error:
            self._fail(message, code_of(error), str(error))

    def step(self) -> bool:
        """Make one step of the job that is next; return False when there is nothing to do."""
        for choose in (wants_reply, wants_reading, wants_transcript, wants_rebuild):
            for number, session in self._sessions.items():
                if choose(session):
                    # Behind the others: they are served in turn.
                    self._sessions[number] = self._sessions.pop(number)
                    self.num_steps += 1
                    if choose is wants_reply:
                        self._step_reply(session)
                    elif choose is wants_reading:
                        self._step_reading(session)
                    elif choose is wants_transcript:
                        self._step_transcript(session)
                    else:
                        self._step_rebuild(session)
                    return True
        return False

    # Messages.

    def _open(self, message: m.Open) -> None:
        try:
            if message.session in self._sessions:
                raise RangeError(f"session {message.session} is open: expected a new number")
            if len(self._sessions) >= self._options.most_sessions:
                self._fail(
                    message,
                    "at_capacity",
                    f"{len(self._sessions)} sessions are open: expected fewer; close one first",
                )
                return
            talk = Talk(
                self._model,
                instructions=message.instructions,
                most_positions=self._options.most_positions,
            )
            for past in message.history:
                talk.turns.append(told(past))
            talk.is_told = False
        except VoicedError as error:
            self._fail(message, code_of(error), str(error))
            return
        session = HeldSession(message, talk)
        most = min(int(KEPT * talk.most_positions), talk.model.max_positions // 2)
        session.rebuild = self._rebuild(session, most)
        session.num_left_out = session.rebuild.num_left
        self._sessions[message.session] = session

    def _prepare(self, session: HeldSession, message: m.Prepare) -> None:
        open_turn = session.waiting or (
            None if session.reply is None or session.reply.is_cut else session.reply
        )
        if open_turn is not None:
            self._fail(
                message,
                "turn_open",
                f"turn {open_turn.turn} is still being replied to: expected its end, a cut or a discard before turn "
                f"{message.turn} is prepared",
            )
            return
        newest = session.talk.newest
        if newest is not None and message.turn <= newest.number:
            self._fail(
                message,
                "stale_turn",
                f"turn {message.turn}: expected a number above {newest.number}, the last turn's",
            )
            return
        if message.pcm:
            m.unpack_samples(message.pcm)
        session.waiting = message
        self._begin_waiting(session)

    def _read_aloud(self, session: HeldSession, message: m.Speak) -> None:
        if session.reading is not None:
            self._fail(
                message,
                "turn_open",
                f"turn {session.reading.request.turn} is still being read: expected its end or a discard before turn "
                f"{message.turn} is read",
            )
            return
        read = self._options.read or self._read
        session.reading = Reading(
            message, read, lambda said: self._emit_counted(session, said), self._now_s
        )

    def _read(self, message: m.Speak, warn: Callable[[str], None]) -> Iterator[Samples]:
        return speak(self._model, message.text, voice=message.voice, seed=message.seed, warn=warn)

    def _discard(self, session: HeldSession, turn: int) -> None:
        if session.reading is not None and session.reading.request.turn == turn:
            session.reading = None
            self._emit(m.Discarded(session=session.opening.session, turn=turn))
            return
        reply, newest = session.reply, session.talk.newest
        if session.waiting is not None:
            if session.waiting.turn == turn:
                session.waiting = None
                self._emit(m.Discarded(session=session.opening.session, turn=turn))
            else:
                self._fail_turn(session, "discard", turn)
            return
        in_talk = newest is not None and newest.number == turn
        if reply is not None and reply.turn == turn:
            computed_s = reply.computed_s
            session.reply = None
        elif in_talk and session.talk.can_be_taken_back:
            computed_s = session.last_timings.computed_s if session.last_timings else 0.0
        else:
            self._fail_turn(session, "discard", turn)
            return
        num_steps = len(newest.made) if newest is not None and in_talk else 0
        num_positions = session.talk.take_back() if in_talk else 0
        self._emit(
            m.Discarded(
                session=session.opening.session,
                turn=turn,
                num_positions=num_positions,
                num_steps=num_steps,
                computed_s=computed_s,
            )
        )

    def _cut(self, session: HeldSession, message: m.Cut) -> None:
        turn, talk = message.turn, session.talk
        if session.waiting is not None:
            if session.waiting.turn != turn:
                self._fail_turn(session, "cut", turn)
                return
            # Told to the model with the rest of the history.
            talk.turns.append(unanswered(session.waiting))
            talk.version += 1
            session.waiting = None
        elif session.reply is not None and session.reply.turn == turn:
            session.last_timings = session.reply.timings
            if not session.reply.has_begun:
                session.reply.is_cut = True  # It goes on until the talk holds what the user said.
                self._emit(
                    m.WasCut(session=message.session, turn=turn, timings=session.last_timings)
                )
                return
            session.reply = None
        newest = talk.newest
        if newest is None or newest.number != turn:
            self._fail_turn(session, "cut", turn)
            return
        place = place_of_cut(newest.made, message.heard_samples, has_ended=newest.has_ended)
        num_rolled_back = talk.cut(place)
        self._emit(
            m.WasCut(
                session=message.session,
                turn=turn,
                heard=place.heard,
                kept=place.kept,
                num_samples=place.num_samples,
                num_frames=place.num_frames,
                num_steps=place.num_steps,
                num_rolled_back=num_rolled_back,
                is_whole=place.is_whole,
                num_positions=talk.num_positions,
                timings=session.last_timings,
            )
        )

    # Steps.

    def _step_reply(self, session: HeldSession) -> None:
        reply = session.reply
        if reply is None:  # The history comes first.
            self._step_rebuild(session)
            return
        try:
            with self._pace.step("prefill") if reply.is_prefilling else nullcontext():
                reply.advance()
        except VoicedError as error:
            session.reply = None
            if reply.has_begun:
                session.talk.take_back()
            if not reply.is_cut:
                self._fail(reply.request, code_of(error), str(error))
        else:
            if reply.is_cut and reply.has_begun:
                session.talk.turns[-1].has_ended = True
                session.reply = None
            elif reply.stage is Stage.DONE:
                session.reply, session.last_timings = None, reply.timings
        self._begin_waiting(session)

    def _step_reading(self, session: HeldSession) -> None:
        reading = session.reading
        assert reading is not None
        try:
            with self._pace.step("reading"):
                reading.advance()
        except VoicedError as error:
            session.reading = None
            self._fail(reading.request, code_of(error), str(error))
        else:
            if reading.is_done:
                session.reading = None

    def _step_transcript(self, session: HeldSession) -> None:
        desk = session.desk
        if desk.job is None:
            request = desk.next_request()
            desk.job = Transcription(
                request,
                self._model,
                longest_piece_s=self._options.longest_piece_s,
                encode=lambda pcm: self._encode(session, pcm),
            )
        job = desk.job
        try:
            with self._pace.step("prefill") if job.is_prefilling else nullcontext():
                job.advance()
        except VoicedError as error:
            desk.job = None
            self._fail(job.request, code_of(error), str(error))
            return
        if job.is_done:
            desk.job = None
            self._emit(desk.transcript(job))

    def _step_rebuild(self, session: HeldSession) -> None:
        """Tell the model a part of the history: of a session that is being opened, or of a talk that has grown long."""
        talk = session.talk
        if session.rebuild is None:
            session.rebuild = self._rebuild(session, int(KEPT * talk.most_positions))
        num_left = session.rebuild.num_left
        try:
            with self._pace.step("prefill"):
                if not session.rebuild.advance():
                    return
        except VoicedError as error:
            self._forget_history(session, error)
            return
        session.rebuild = None
        if session.is_open:
            self._emit(
                m.Trimmed(
                    session=session.opening.session,
                    num_turns=num_left,
                    num_positions=talk.num_positions,
                )
            )
            return
        session.is_open = True
        self._emit(
            m.Opened(
                session=session.opening.session,
                num_turns=len(talk.turns),
                num_left_out=session.num_left_out,
                num_positions=talk.num_positions,
            )
        )
        self._begin_waiting(session)

    def _forget_history(self, session: HeldSession, error: VoicedError) -> None:
        """Go on without a history that the model does not take: one of another model, for example."""
        log.warning("history not told", extra={"reason": type(error).__name__})
        session.rebuild = None
        if session.is_open or not session.talk.turns:
            del self._sessions[session.opening.session]
            self._fail(session.opening, code_of(error), str(error))
            self._emit(m.Closed(session.opening.session))
            return
        session.num_left_out += len(session.talk.turns)
        session.talk.turns.clear()
        session.rebuild = self._rebuild(session, 0)

    # Parts.

    def _begin_waiting(self, session: HeldSession) -> None:
        """Begin the reply that waits, if nothing stands before it."""
        if session.waiting is not None and session.is_open and session.reply is None:
            session.reply, session.waiting = self._reply(session, session.waiting), None

    def _reply(self, session: HeldSession, message: m.Prepare) -> Reply:
        asked, own = session.opening.sampling, self._options.reply
        audio_temperature = asked.audio_temperature
        return Reply(
            message,
            session.talk,
            sampling=Sampling(
                text_temperature=asked.text_temperature,
                text_top_k=asked.text_top_k,
                audio_temperature=own.temperature
                if audio_temperature is None
                else audio_temperature,
                audio_top_k=asked.audio_top_k or own.top_k,
                seed=derived_seed(session.opening.seed, message.turn),
            ),
            max_reply_s=session.opening.max_reply_s,
            encode=lambda pcm: self._encode(session, pcm),
            emit=lambda made: self._emit_counted(session, made),
            now_s=self._now_s,
        )

    def _rebuild(self, session: HeldSession, most_positions: int) -> Rebuild:
        return Rebuild(
            session.talk,
            most_positions=most_positions,
            encode=lambda samples: self._encode(session, m.pack_samples(samples)),
        )

    def _encode(self, session: HeldSession, pcm: bytes) -> Any:
        """Return embeddings of sound; the same sound as the last time costs nothing."""
        if session.encoded is None or session.encoded[0] != pcm:
            samples = m.unpack_samples(pcm).copy()
            with self._pace.step("encoding", len(samples) / HEARING_RATE_HZ):
                session.encoded = (pcm, self._model.encode_audio(samples))
        return session.encoded[1]

    def _emit_counted(self, session: HeldSession, message: m.FromEngine) -> None:
        if isinstance(message, m.Text | m.Sound):
            session.num_on_their_way += 1
        self._emit(message)

    def _announce(self, patience_s: float) -> None:
        self._emit(m.Alive(self.num_steps, self.num_jobs, patience_s))

    def _refuse_unknown(self, message: m.ToEngine) -> None:
        if isinstance(message, m.Close):
            self._emit(m.Closed(message.session))
        elif not isinstance(message, m.Taken):
            self._fail(
                message,
                "unknown_session",
                "the session is not open: expected Open before anything else",
            )

    def _fail_turn(self, session: HeldSession, request: str, turn: int) -> None:
        newest = session.waiting.turn if session.waiting is not None else None
        if newest is None and session.talk.newest is not None:
            newest = session.talk.newest.number
        last = "none" if newest is None else str(newest)
        self._emit(
            m.Failed(
                session=session.opening.session,
                turn=turn,
                request=request,
                code="unknown_turn",
                message=f"turn {turn} cannot be changed: expected the last turn, which is {last}",
            )
        )

    def _fail(self, message: m.ToEngine, code: m.FailureCode, reason: str) -> None:
        self._emit(
            m.Failed(
                session=getattr(message, "session", 0),
                turn=getattr(message, "turn", None),
                request=str(type(message).__struct_config__.tag),
                code=code,
                message=reason[: m.MOST_TEXT_CHARS],
            )
        )
