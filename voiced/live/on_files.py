"""A live talk on files: what the microphone hears comes from one, what the speaker plays goes to another, in time with it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from audio.chunk import AudioChunk, Samples
from voiced.engine.session import EngineSession, Lost
from voiced.errors import EngineError
from voiced.live.session import LiveSession
from voiced.speech_model import SOUND_RATE_HZ
from voiced.timing import AsyncClock
from voiced.voice_activity import RATE_HZ

TICK_S = 0.02
HEARD_TICK, PLAYED_TICK = round(TICK_S * RATE_HZ), round(TICK_S * SOUND_RATE_HZ)


class SampleWriter(Protocol):
    """Takes mono sound at 24 kHz."""

    def write(self, samples: Samples) -> None: ...


class FileSpeaker:
    """A speaker that plays into a recording, as much as `advance` says; silence where it has nothing.

    Attributes:
        num_missing: samples of silence within replies, where the next sound was not there in time.
    """

    def __init__(self, writer: SampleWriter) -> None:
        self._writer = writer
        self._held: deque[Samples] = (
            deque()
        )  # Of the reply; bounded by what the engine makes ahead.
        self._is_on_hold = False
        self._is_complete = True
        self._num_played = 0
        self._num_written = 0  # To the recording.
        self.num_missing = 0

    def now_s(self) -> float:
        """Return how much time has passed."""
        return self._num_written / SOUND_RATE_HZ

    @property
    def num_held(self) -> int:
        """Samples written and not played."""
        return sum(map(len, self._held))

    @property
    def num_played(self) -> int:
        """Samples of the present reply that were played."""
        return self._num_played

    @property
    def is_finished(self) -> bool:
        """Whether all of the reply was written and played."""
        return self._is_complete and not self._held

    def begin(self) -> None:
        """Begin a reply."""
        self._num_played, self._is_complete, self._is_on_hold = 0, False, False

    def write(self, samples: Samples) -> int:
        """Take all of `samples`."""
        self._held.append(samples)
        return len(samples)

    def finish(self) -> None:
        """Note that all of the reply was written."""
        self._is_complete = True

    def hold(self) -> None:
        """Fall silent and keep what is left."""
        self._is_on_hold = True

    def resume(self) -> None:
        """Go on after `hold`."""
        self._is_on_hold = False

    def flush(self) -> int:
        """End the reply; return how many of its samples were played."""
        self._held.clear()
        self._is_complete, self._is_on_hold = True, False
        return self._num_played

    def advance(self, num_samples: int) -> None:
        """Let so much time pass."""
        out = np.zeros(num_samples, np.float32)
        filled = 0
        while self._held and filled < num_samples and not self._is_on_hold:
            samples = self._held.popleft()
            taken = samples[: num_samples - filled]
            out[filled : filled + len(taken)] = taken
            filled += len(taken)
            if len(taken) < len(samples):
                self._held.appendleft(samples[len(taken) :])
        self._num_played += filled
        if self._num_played and not self._is_complete and not self._is_on_hold:
            self.num_missing += num_samples - filled
        self._writer.write(out)
        self._num_written += num_samples


async def talk_on_files(
    session: LiveSession,
    engine: EngineSession,
    speaker: FileSpeaker,
    heard: Iterable[AudioChunk],
    *,
    clock: AsyncClock | None,
) -> None:
    """Run a talk until the input and the last reply are over.

    Args:
        session: uses `engine` and `speaker`.
        engine: is closed at the end.
        speaker: advances with the input.
        heard: the microphone's sound at 16 kHz.
        clock: what time passes by; None: time stands still while a reply or a transcript is being made, and else runs as fast
            as it can.

    Raises:
        EngineError: the engine was given up.
        AudioError: the input is damaged; what was heard until then is answered.
    """
    arrived = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_listen_to(engine, session, arrived), name="engine events")
        begun_s = clock.now_s() if clock else 0.0
        num_ticks = 0
        for chunk in _and_silence(heard, session):
            session.hear(chunk)
            session.tick()
            if clock is not None:
                num_ticks += 1
                await clock.wait_s(max(0.0, begun_s + num_ticks * TICK_S - clock.now_s()))
            else:
                await _wait_for_engine(session, speaker, arrived)
            session.tick()
            speaker.advance(PLAYED_TICK)
            session.tick()
        engine.close()
        await reading


def _and_silence(heard: Iterable[AudioChunk], session: LiveSession) -> Iterator[AudioChunk]:
    """Yield the input in ticks, and after its end silence until the talk is over."""
    rest = np.zeros(0, np.float32)
    for chunk in heard:
        rest = np.concatenate([rest, chunk.samples])
        while len(rest) >= HEARD_TICK:
            yield AudioChunk(rest[:HEARD_TICK], RATE_HZ, session.position)
            rest = rest[HEARD_TICK:]
    if len(rest):
        yield AudioChunk(rest, RATE_HZ, session.position)
    session.end_input()
    while not session.is_idle or session.is_owed_words:
        yield AudioChunk(np.zeros(HEARD_TICK, np.float32), RATE_HZ, session.position)


async def _wait_for_engine(
    session: LiveSession, speaker: FileSpeaker, arrived: asyncio.Event
) -> None:
    """Let the engine make what a machine without limits would have made by now."""
    while session.is_owed_words or (session.needs_sound and speaker.num_held < PLAYED_TICK):
        arrived.clear()
        await arrived.wait()
        session.tick()
    await asyncio.sleep(0)


async def _listen_to(engine: EngineSession, session: LiveSession, arrived: asyncio.Event) -> None:
    async for event in engine:
        session.take(event)
        arrived.set()
        if isinstance(event, Lost) and event.is_final:
            raise EngineError(event.reason)
