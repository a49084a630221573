"""A live talk on files: what the microphone hears comes from one, what the speaker plays goes to another, in time with it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np

from audio.chunk import AudioChunk, Samples
from audio.live_resampling import LiveResampler
from voiced.commands import Command, Quit, ToggleMute
from voiced.engine.session import Lost
from voiced.errors import EngineError
from voiced.live.session import EngineEvents, LiveSession
from voiced.session_recording import SessionRecording
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


class RecordedSpeaker:
    """Writes what is played to a file, and shows it to a recording of the talk."""

    def __init__(self, writer: SampleWriter, show: Callable[[AudioChunk], None]) -> None:
        self._writer = writer
        self._show = show
        self._resampler = LiveResampler(SOUND_RATE_HZ, RATE_HZ)

    def write(self, samples: Samples) -> None:
        """Take mono sound at 24 kHz."""
        self._writer.write(samples)
        position = self._resampler.position
        self._show(AudioChunk(self._resampler.push(samples), RATE_HZ, position))


class _Ears:
    """What the talk is given of what is heard and done, in ticks; muted it is given nothing."""

    def __init__(self, session: LiveSession, recording: SessionRecording | None) -> None:
        self._session = session
        self._recording = recording
        self._is_muted = False
        self._position = 0  # Of the next sample that is heard.

    def hear(self, samples: Samples) -> None:
        chunk = AudioChunk(samples, RATE_HZ, max(self._position, self._session.position))
        self._position = chunk.end
        if self._is_muted:
            return
        if self._session.state == "muted":
            self._session.unmute(chunk.start)
        if self._recording is not None:
            self._recording.microphone(chunk)
        self._session.hear(chunk)

    def obey(self, command: Command) -> None:
        if self._recording is not None:
            self._recording.happened(command, self._position / RATE_HZ)
        if isinstance(command, ToggleMute):
            self._is_muted = not self._is_muted
            if self._is_muted:
                self._session.mute()
        elif not isinstance(command, Quit):
            self._session.obey(command)


async def talk_on_files(
    session: LiveSession,
    engine: EngineEvents,
    speaker: FileSpeaker,
    steps: Iterable[AudioChunk | Command],
    *,
    clock: AsyncClock | None,
    recording: SessionRecording | None = None,
) -> None:
    """Run a talk until the input and the last reply are over.

    Args:
        session: uses `engine` and `speaker`.
        engine: is closed at the end.
        speaker: advances with the input.
        steps: the microphone's sound at 16 kHz, and what the user does besides; at `Quit` nothing more is heard.
        clock: what time passes by; None: time stands still while a reply or a transcript is being made, and else runs as fast
            as it can.
        recording: is given what is heard and done.

    Raises:
        EngineError: the engine was given up.
        AudioError: the input is damaged; what was heard until then is answered.
    """
    arrived = asyncio.Event()
    ears = _Ears(session, recording)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_listen_to(engine, session, arrived), name="engine events")
        begun_s = clock.now_s() if clock else 0.0
        num_ticks = 0
        for step in _and_silence(steps, session):
            if isinstance(step, Command):
                ears.obey(step)
                continue
            ears.hear(step)
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


def _and_silence(
    steps: Iterable[AudioChunk | Command], session: LiveSession
) -> Iterator[Samples | Command]:
    """Yield the sound in ticks and the commands in their places, and then silence until the talk is over."""
    rest = np.zeros(0, np.float32)
    for step in steps:
        if isinstance(step, Quit):
            session.mute()
            rest = rest[:0]
            break
        if isinstance(step, Command):
            yield step
            continue
        rest = np.concatenate([rest, step.samples])
        while len(rest) >= HEARD_TICK:
            yield rest[:HEARD_TICK]
            rest = rest[HEARD_TICK:]
    if len(rest):
        yield rest
    session.end_input()
    while not session.is_idle or session.is_owed_words:
        yield np.zeros(HEARD_TICK, np.float32)


async def _wait_for_engine(
    session: LiveSession, speaker: FileSpeaker, arrived: asyncio.Event
) -> None:
    """Let the engine make what a machine without limits would have made by now."""
    while session.is_owed_words or (session.needs_sound and speaker.num_held < PLAYED_TICK):
        arrived.clear()
        await arrived.wait()
        session.tick()
    await asyncio.sleep(0)


async def _listen_to(engine: EngineEvents, session: LiveSession, arrived: asyncio.Event) -> None:
    async for event in engine:
        session.take(event)
        arrived.set()
        if isinstance(event, Lost) and event.is_final:
            raise EngineError(event.reason)
