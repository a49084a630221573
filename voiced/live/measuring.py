"""How long people wait for answers on this machine: the same question again and again, in real time, without devices."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from audio.chunk import AudioChunk, Samples
from protocols.events import Event, TurnTimed
from voiced.commands import Command, Interrupt
from voiced.configuration import Configuration
from voiced.engine.client import EngineClient
from voiced.errors import EngineError
from voiced.live.assembly import live_session
from voiced.live.on_files import HEARD_TICK, TICK_S, FileSpeaker, talk_on_files
from voiced.live.session import LiveSession
from voiced.timing import AsyncClock
from voiced.voice_activity import RATE_HZ

SOUNDING_S = 0.6  # Of each reply, until it is interrupted.
SILENCE_S = 0.5  # Before the first question, and after a reply that a key interrupted.
ANSWER_S = 60.0  # A reply that has not begun after so long is not waited for.


async def measure_turns(
    client: EngineClient,
    settings: Configuration,
    question: Samples,
    *,
    num_turns: int,
    is_preemptive: bool,
    clock: AsyncClock,
) -> Sequence[TurnTimed]:
    """Ask `question` so many times and return what happened when.

    Each reply is interrupted soon after it began to sound: by the next question, and every second time by the key.

    Args:
        client: is ready.
        settings: of the talk.
        question: mono float32 at 16 kHz, without long silence.
        num_turns: from 1.
        is_preemptive: replies are prepared in pauses.
        clock: the time that passes.

    Raises:
        EngineError: the engine was given up, or a question was not answered.
    """
    reply = replace(settings.reply, preemptive=is_preemptive)
    engine = client.open(max_reply_s=reply.max_reply_s)
    speaker = FileSpeaker(_Nowhere())
    begun_s = clock.now_s() - TICK_S  # A tick of sound is heard when it is over.
    events: list[Event] = []
    session = live_session(
        replace(settings, reply=reply),
        engine=engine,
        speaker=speaker,
        show=events.append,
        now_s=lambda: clock.now_s() - begun_s,
    )
    steps = _ask(session, speaker, question, num_turns)
    await talk_on_files(session, engine, speaker, steps, clock=clock)
    return session.ledger.turns


def _ask(
    session: LiveSession, speaker: FileSpeaker, question: Samples, num_turns: int
) -> Iterator[AudioChunk | Command]:
    yield from _silence(SILENCE_S)
    for turn in range(num_turns):
        yield AudioChunk(question, RATE_HZ)
        waited_s = 0.0
        while not (session.state == "speaking" and speaker.num_played):
            if waited_s > ANSWER_S:
                raise EngineError(
                    f"question {turn + 1} was not answered within {ANSWER_S:.0f} s; see 'voiced doctor'"
                )
            yield from _silence(TICK_S)
            waited_s += TICK_S
        yield from _silence(SOUNDING_S)
        if turn % 2 or turn == num_turns - 1:
            yield Interrupt()
            yield from _silence(SILENCE_S)


def _silence(duration_s: float) -> Iterator[AudioChunk]:
    for _ in range(round(duration_s / TICK_S)):
        yield AudioChunk(np.zeros(HEARD_TICK, np.float32), RATE_HZ)


class _Nowhere:
    """Takes what is played."""

    def write(self, samples: Samples) -> None: ...
