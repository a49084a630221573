"""One conversation with the engine, on the daemon's side: what is asked of it, and what it tells."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from audio.chunk import Samples
from voiced.engine import messages as m
from voiced.engine.checks import checked_text, packed
from voiced.engine.record import Record
from voiced.errors import EngineBusyError

MOST_ANSWERS: Final = 256  # That may wait unread, besides Text and Sound; then asking is an error.
MOST_TRANSCRIPTIONS: Final = 8  # Final ones that wait; when more are asked for, the oldest fails.
TAKEN_EVENTS: Final = 8  # Are told to the engine at once, so that not each one costs a message.


class Lost(Struct, frozen=True, kw_only=True):
    """The engine has died, and with it what it was doing.

    What was heard until now stays in the conversation. An open reply may still be cut, to say how much of it was heard, or
    its turn prepared again; without either, all that came of it counts as heard. Opened follows when a new engine knows
    the conversation, unless `is_final`: then every request fails, and only `close` is left to do.

    Attributes:
        turn: whose reply was being made, if any; no more of it comes.
        reason: for a person.
    """

    turn: int | None = None
    reason: str
    is_final: bool = False


SessionEvent = m.OfSession | Lost


class Sender(Protocol):
    """What a session needs of its client."""

    def send(self, message: m.ToEngine) -> None: ...
    def send_if_free(self, message: m.ToEngine) -> bool: ...
    def wake(self) -> None: ...
    def forget(self, session: "EngineSession") -> None: ...


class EngineSession:
    """One conversation with the engine; made by `EngineClient.open`. Its events are for one reader.

    After `discard` or `cut` no Text, Sound or Ended of that turn is returned any more, also none that was on its way.

    The queue of events is bounded by the window that the engine keeps to and by MOST_ANSWERS; of interim transcripts it
    holds the newest alone.
    """

    def __init__(self, client: Sender, opening: m.Open) -> None:
        self._client = client
        self._opening = opening  # Its history is the record's to tell.
        self._record = Record(opening.history)
        self._events: deque[SessionEvent] = deque()
        self._news = asyncio.Event()  # Set while there are events.
        self._is_told = False  # Whether the present engine knows the conversation.
        self._working: int | None = None  # The turn whose reply is being made.
        # Asked while there is no engine; the newest alone.
        self._waiting: m.Prepare | m.Speak | None = None
        self._discards: Counter[int] = Counter()  # Not yet answered, of each turn.
        self._own_discards: Counter[int] = Counter()  # Of them, those that nobody asked for.
        self._cuts: dict[int, int] = {}  # Not yet answered: samples heard of a turn.
        self._transcriptions: dict[int, m.Transcribe] = {}  # Final ones, not yet answered.
        self._num_taken = 0  # Text and Sound that the engine has not been told of.
        self._num_old = 0  # Text and Sound in the queue of an engine that has died.
        self._is_closing = False
        self._is_over = False  # Closed was read.
        self._failure = ""  # Why the engine was given up.

    @property
    def number(self) -> int:
        """The session's own number, never used twice."""
        return self._opening.session

    @property
    def num_waiting(self) -> int:
        """Events that came and were not read."""
        return len(self._events)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing that was asked is still to be answered, and everything that came was read."""
        asked = self._discards.total() or self._cuts or self._transcriptions or self._waiting
        return self._working is None and not asked and not self._events

    def history(self) -> tuple[m.PastTurn, ...]:
        """Return the conversation so far, as another session or engine can be told it."""
        return self._record.history()

    def prepare(self, turn: int, said: str | Samples) -> None:
        """Ask for a reply; answered by Text, Sound and at last Ended, or by Failed.

        Args:
            turn: above those before; that of a discarded, failed or lost turn may come again. The reply before must have
                ended, or been cut or discarded; otherwise the answer is Failed.
            said: written words, or mono float32 sound at 16 kHz, 20 ms to 60 s.

        Raises:
            RangeError, AudioError: the words or the sound are none that can be sent.
            EngineBusyError: more was asked than events were read.
        """
        if isinstance(said, str):
            request = m.Prepare(self.number, turn, text=checked_text(said))
        else:
            request = m.Prepare(self.number, turn, pcm=packed(said))
        self._check_room()
        if self._working is not None:
            self._put(self._failed("prepare", turn, "turn_open", _still_open(self._working, turn)))
            return
        if self._failure:
            self._put(self._failed("prepare", turn, "not_ready", self._failure))
            return
        newest = self._record.newest
        is_again = newest is not None and newest.turn == turn
        self._record.prepared(turn, text=request.text, pcm=request.pcm)
        if self._is_told:
            if is_again:  # A lost turn, which the new engine was told of.
                self._discards[turn] += 1
                self._own_discards[turn] += 1
                self._client.send(m.Discard(self.number, turn))
            self._working = turn
            self._client.send(request)
        else:
            self._waiting = request
            self._client.wake()

    def speak(self, turn: int, text: str, *, voice: str, seed: int = 0) -> None:
        """Have a text read aloud, as no part of the conversation; answered by Sound and at last Ended, or by Failed.

        Args:
            turn: above those before.
            text: 1 to 16,384 characters; a discard of `turn` ends the reading.
            voice: one of those that the model has.
            seed: the same gives the same reading.

        Raises:
            RangeError: the text is none that can be sent.
            EngineBusyError: more was asked than events were read.
        """
        request = m.Speak(self.number, turn, checked_text(text), voice, seed)
        self._check_room()
        if self._working is not None:
            self._put(self._failed("speak", turn, "turn_open", _still_open(self._working, turn)))
        elif self._failure:
            self._put(self._failed("speak", turn, "not_ready", self._failure))
        elif self._is_told:
            self._working = turn
            self._client.send(request)
        else:
            self._waiting = request
            self._client.wake()

    def discard(self, turn: int) -> None:
        """Forget the last turn, as the user goes on speaking, or end a reading; answered by Discarded.

        Raises:
            EngineBusyError: more was asked than events were read.
        """
        self._check_room()
        self._drop(turn)
        self._record.dropped(turn)
        if self._is_told:
            self._discards[turn] += 1
            self._client.send(m.Discard(self.number, turn))
        else:
            self._put(m.Discarded(session=self.number, turn=turn))

    def cut(self, turn: int, heard_samples: int) -> None:
        """End the last reply where it was heard, in samples at 24 kHz of its sound; answered by WasCut.

        Raises:
            EngineBusyError: more was asked than events were read.
        """
        self._check_room()
        self._drop(turn)
        if self._is_told:
            self._cuts[turn] = heard_samples
            self._client.send(m.Cut(self.number, turn, heard_samples))
        else:
            self._cut_alone(turn, heard_samples)

    def transcribe(self, turn: int, samples: Samples, *, is_final: bool = False) -> bool:
        """Ask what the user says in words; answered by Transcript, unless a newer request replaces an interim one.

        Returns:
            whether an answer will come: without an engine, or with a busy one, an interim request is dropped; a final one
            waits for the next engine.

        Args:
            turn: of what the user says.
            samples: all of it so far, mono float32 at 16 kHz, 20 ms to 60 s.
            is_final: it is all of it.

        Raises:
            RangeError, AudioError, EngineBusyError: as `prepare`.
        """
        request = m.Transcribe(self.number, turn, packed(samples), is_final)
        if not is_final:
            return self._is_told and self._client.send_if_free(request)
        self._check_room()
        if self._failure:
            self._put(self._failed("transcribe", turn, "not_ready", self._failure))
            return True
        if len(self._transcriptions) >= MOST_TRANSCRIPTIONS and turn not in self._transcriptions:
            oldest = next(iter(self._transcriptions))
            del self._transcriptions[oldest]
            self._put(self._failed("transcribe", oldest, "overrun", _too_many_transcriptions()))
        self._transcriptions[turn] = request
        if self._is_told:
            self._client.send(request)
        else:
            self._client.wake()
        return True

    def wake(self) -> None:
        """Have the engine started if it rests: something will be asked soon."""
        self._client.wake()

    def close(self) -> None:
        """End the session, whatever goes on in it; Closed is its last event. May be called again."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._is_told:
            self._client.send(m.Close(self.number))
        else:
            self._end()

    async def next_event(self) -> SessionEvent | None:
        """Wait for the next event and return it; None after Closed."""
        while not self._events:
            if self._is_over:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._events.popleft()
        if isinstance(event, m.Text | m.Sound):
            self._take()
        self._is_over = self._is_over or isinstance(event, m.Closed)
        return event

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        while (event := await self.next_event()) is not None:
            yield event

    # What the client tells the session.

    def engine_ready(self) -> None:
        """Tell a new engine the conversation, and then what was asked meanwhile."""
        history = self._record.history()
        waiting, self._waiting = self._waiting, None
        if isinstance(waiting, m.Prepare):
            history = history[:-1]  # The last turn is about to be prepared.
        self._is_told = True
        self._client.send(msgspec.structs.replace(self._opening, history=history))
        if waiting is not None:
            self._working = waiting.turn
            self._client.send(waiting)
        for request in self._transcriptions.values():
            self._client.send(request)

    def engine_lost(self, reason: str, *, is_final: bool) -> None:
        """Take note that the engine is gone; what it owed is answered here, or asked of the next."""
        if not self._is_told and not is_final:
            return
        self._is_told = False
        turn, self._working = self._working, None
        self._num_taken = 0
        self._num_old = sum(isinstance(event, m.Text | m.Sound) for event in self._events)
        self._put(Lost(turn=turn, reason=reason, is_final=is_final))
        for discarded in (self._discards - self._own_discards).elements():
            self._put(m.Discarded(session=self.number, turn=discarded))
        self._discards.clear()
        self._own_discards.clear()
        for cut, heard_samples in self._cuts.items():
            self._cut_alone(cut, heard_samples)
        self._cuts.clear()
        if is_final:
            self._failure = reason
            self._fail_what_waits()
        if self._is_closing:
            self._end()

    def engine_rests(self) -> None:
        """Take note that the engine is gone until it is needed; it owed nothing."""
        self._is_told = False
        self._num_taken = 0

    def deliver(self, message: m.OfSession) -> None:
        """Take what the engine says of this session."""
        match message:
            case m.Text(turn=turn) | m.Sound(turn=turn) | m.Ended(turn=turn):
                if not self._discards[turn]:
                    self._record.made(message)
                if isinstance(message, m.Ended) and self._working == turn:
                    self._working = None
                if self._discards[turn] or turn in self._cuts:
                    if not isinstance(message, m.Ended):
                        self._num_taken += 1
                    return
            case m.Discarded(turn=turn):
                if self._answers_own_discard(turn):
                    return
            case m.WasCut(turn=turn):
                self._record.was_cut(message)
                self._cuts.pop(turn, None)
            case m.Transcript(turn=turn, is_final=is_final):
                self._record.heard(message)
                self._drop_interim_transcript()
                if is_final:
                    self._transcriptions.pop(turn, None)
            case m.Failed(request="discard", turn=int(turn)):
                if self._answers_own_discard(turn):
                    return
            case m.Failed():
                self._note_failure(message)
            case m.Closed():
                self._is_told = False
        self._put(message)

    def _answers_own_discard(self, turn: int) -> bool:
        """Take note of the answer to a discard; return whether it was one that the session did not ask for."""
        self._discards[turn] = max(0, self._discards[turn] - 1)
        is_own = self._own_discards[turn] > 0
        self._own_discards[turn] -= is_own
        return is_own

    def _note_failure(self, message: m.Failed) -> None:
        turn = message.turn
        if turn is None:
            return
        match message.request:
            case "prepare" | "speak":
                self._record.dropped(turn)
                if self._working == turn:
                    self._working = None
            case "cut":
                self._cuts.pop(turn, None)
            case "transcribe":
                self._transcriptions.pop(turn, None)

    def _drop(self, turn: int) -> None:
        """Forget what came and is to come of a reply."""
        if self._working == turn:
            self._working = None
        if self._waiting is not None and self._waiting.turn == turn:
            self._waiting = None
        kept: deque[SessionEvent] = deque()
        for event in self._events:
            if not isinstance(event, m.Text | m.Sound | m.Ended) or event.turn != turn:
                kept.append(event)
            elif not isinstance(event, m.Ended):
                self._take(tell=False)
        self._events = kept
        self._tell_taken()

    def _drop_interim_transcript(self) -> None:
        """Forget an interim transcript that was not read: a newer one is there."""
        for event in self._events:
            if isinstance(event, m.Transcript) and not event.is_final:
                self._events.remove(event)
                return

    def _take(self, *, tell: bool = True) -> None:
        """Take note that a Text or Sound has left the queue."""
        if self._num_old:
            self._num_old -= 1
            return
        self._num_taken += 1
        if tell and (self._num_taken >= TAKEN_EVENTS or not self._events):
            self._tell_taken()

    def _tell_taken(self) -> None:
        if self._num_taken and self._is_told:
            self._client.send(m.Taken(self.number, self._num_taken))
            self._num_taken = 0

    def _cut_alone(self, turn: int, heard_samples: int) -> None:
        """Cut a reply in the record, there being no engine that holds it."""
        place = self._record.cut(turn, heard_samples)
        self._put(
            m.WasCut(
                session=self.number,
                turn=turn,
                heard=place.heard,
                kept=place.kept,
                num_samples=place.num_samples,
                num_frames=place.num_frames,
                num_steps=place.num_steps,
                is_whole=place.is_whole,
            )
        )

    def _fail_what_waits(self) -> None:
        if self._waiting is not None:
            request = "prepare" if isinstance(self._waiting, m.Prepare) else "speak"
            self._put(self._failed(request, self._waiting.turn, "not_ready", self._failure))
            self._waiting = None
        for turn in self._transcriptions:
            self._put(self._failed("transcribe", turn, "not_ready", self._failure))
        self._transcriptions.clear()

    def _failed(self, request: str, turn: int, code: m.FailureCode, message: str) -> m.Failed:
        return m.Failed(session=self.number, turn=turn, request=request, code=code, message=message)

    def _end(self) -> None:
        self._put(m.Closed(self.number))
        self._client.forget(self)

    def _put(self, event: SessionEvent) -> None:
        self._events.append(event)
        self._news.set()

    def _check_room(self) -> None:
        owed = self._discards.total() + len(self._cuts) + len(self._transcriptions)
        if len(self._events) + owed >= m.WINDOW_EVENTS + MOST_ANSWERS:
            raise EngineBusyError(
                f"{len(self._events)} events of session {self.number} were not read: expected fewer than "
                f"{m.WINDOW_EVENTS + MOST_ANSWERS} before more is asked; read them, or close the session"
            )


def _still_open(working: int, turn: int) -> str:
    return f"turn {working} is still being replied to: expected its end, a cut or a discard before turn {turn} is prepared"


def _too_many_transcriptions() -> str:
    return f"{MOST_TRANSCRIPTIONS} transcriptions wait: expected fewer; the oldest was dropped"
