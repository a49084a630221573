"""A live talk through the microphone and the speaker of this machine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from audio.chunk import AudioChunk
from audio.devices import Direction
from audio.events import (
    CaptureLost,
    DeviceLost,
    DeviceOpened,
    DeviceUnavailable,
    PlayoutDropped,
    PlayoutUnderrun,
    SoundEvent,
)
from protocols.events import Event, Noticed, State, StateChanged
from voiced.commands import Command, Interrupt, Quit, ToggleMute
from voiced.engine.session import Lost
from voiced.errors import EngineError
from voiced.live.resting import Rest
from voiced.live.session import EngineEvents, LiveSession
from voiced.timing import AsyncClock

# Between two looks at the devices; what the engine makes goes to the speaker at once. While nobody speaks they are looked at less
# often: who begins to speak is noticed up to 60 ms later, which moves no turn, and listening costs a third less.
TICK_S = 0.02
QUIET_TICK_S = 0.08
# A microphone that gives exact zeros for so long from its beginning on is switched off, or may not be used: no room is so quiet.
DEAD_S = 5.0


class Devices(Protocol):
    """What is needed of audio.duplex.Duplex."""

    def open(self) -> None: ...
    def close(self) -> None: ...
    def open_microphone(self) -> None: ...
    def close_microphone(self) -> None: ...
    def poll(self) -> tuple[list[AudioChunk], list[SoundEvent]]: ...


class TalkClock:
    """The conversation's clock: the microphone's time, and the machine's between its chunks."""

    def __init__(self, clock: AsyncClock) -> None:
        self._clock = clock
        self._origin_s = clock.now_s()
        self._is_set = False

    def now_s(self) -> float:
        """Return seconds since the first sample that was recorded, or before that since the beginning."""
        return self._clock.now_s() - self._origin_s

    def set_by(self, chunk: AudioChunk) -> None:
        """Learn from the first chunk that came when recording began."""
        if not self._is_set:
            self._is_set = True
            self._origin_s = self._clock.now_s() - chunk.end / chunk.rate_hz

    async def wait_s(self, duration_s: float) -> None:
        """Let others run for so long."""
        await self._clock.wait_s(duration_s)


class DeviceTalk:
    """One talk, from `run` until the user quits.

    Args:
        session: uses `engine` and the speaker of `devices`.
        engine: is closed at the end.
        devices: are opened and closed here.
        commands: of the user, besides speaking; ends when there will be no more.
        show: is told what happens.
        hear: is given what the microphone hears, for a level or a recording.
        clock: is set by the microphone.
        rest: gives memory back while nobody talks.
    """

    def __init__(
        self,
        session: LiveSession,
        engine: EngineEvents,
        devices: Devices,
        *,
        commands: AsyncIterator[Command],
        show: Callable[[Event], None],
        hear: Callable[[AudioChunk], None],
        clock: TalkClock,
        rest: Rest | None = None,
    ) -> None:
        self._session = session
        self._engine = engine
        self._devices = devices
        self._commands = commands
        self._show = show
        self._hear = hear
        self._clock = clock
        self._rest = rest
        self._state: State = "loading"
        self._is_muted = (
            False  # As the user wants it; the session is when the microphone is closed.
        )
        # Of exact silence since the microphone was opened; None once it gave anything else, and once it was told.
        self._num_dead: int | None = None
        self._is_draining = False
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        """Talk until the user quits or the engine is given up.

        Raises:
            EngineError: the engine was given up.
        """
        self._devices.open()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._listen_to_engine(), name="engine events"),
                    group.create_task(self._obey(), name="commands"),
                    group.create_task(self._poll(), name="sound devices"),
                ]
                await self._is_over.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._engine.close()
            self._devices.close()

    def quit(self) -> None:
        """End the talk at once."""
        self._is_over.set()

    def drain(self) -> None:
        """Listen no more, and end the talk when the reply that is being made or played is over."""
        self._is_draining = True
        if not self._is_muted:
            self._toggle_mute()

    async def _poll(self) -> None:
        while True:
            chunks, events = self._devices.poll()
            for event in events:
                self._notice(event)
            for chunk in chunks:
                self._take(chunk)
            self._session.tick()
            self._tell_state()
            if self._rest is not None:
                self._rest.look()
            if self._is_draining and self._session.is_idle:
                self.quit()
            is_quiet = self._session.state in {"listening", "asleep", "muted"}
            await self._clock.wait_s(QUIET_TICK_S if is_quiet else TICK_S)

    def _take(self, chunk: AudioChunk) -> None:
        self._clock.set_by(chunk)
        if self._is_muted:
            return
        if self._session.state == "muted":
            self._session.unmute(chunk.start)
        self._look_whether_dead(chunk)
        self._hear(chunk)
        self._session.hear(chunk)

    def _look_whether_dead(self, chunk: AudioChunk) -> None:
        if self._num_dead is None:
            return
        self._num_dead += len(chunk.samples)
        if chunk.samples.any():
            self._num_dead = None
        elif self._num_dead >= DEAD_S * chunk.rate_hz:
            self._num_dead = None
            self._say(
                "the microphone gives nothing but exact silence: see that it is switched on, and that programs may use it"
            )

    async def _listen_to_engine(self) -> None:
        async for event in self._engine:
            self._session.take(event)
            self._session.tick()
            self._tell_state()
            if isinstance(event, Lost) and event.is_final:
                raise EngineError(event.reason)

    async def _obey(self) -> None:
        async for command in self._commands:
            match command:
                case Quit():
                    self.quit()
                case Interrupt():
                    self._session.obey(command)
                case _ if self._is_draining:
                    pass  # Nothing new begins.
                case ToggleMute():
                    self._toggle_mute()
                case _:
                    self._session.obey(command)
            self._tell_state()

    def _toggle_mute(self) -> None:
        self._is_muted = not self._is_muted
        if self._is_muted:
            self._session.mute()
            self._devices.close_microphone()
        else:
            self._devices.open_microphone()

    def _tell_state(self) -> None:
        if self._session.state != self._state:
            self._state = self._session.state
            self._show(StateChanged(state=self._state))

    def _notice(self, event: SoundEvent) -> None:
        match event:
            case DeviceOpened(direction=direction, name=name, rate_hz=rate_hz):
                self._say(f"{_what(direction)} {name!r} at {rate_hz} Hz")
                if direction is Direction.INPUT:
                    self._num_dead = 0
            case DeviceLost(direction=direction, name=name, reason=reason):
                self._say(f"{_what(direction)} {name!r} is gone: {reason}; waiting for it")
                if direction is Direction.INPUT:
                    self._session.lose_input()
            case DeviceUnavailable(direction=direction, reason=reason):
                self._say(f"{_what(direction)} cannot be used: {reason}; trying again")
            case CaptureLost(num_samples=num_samples):
                self._say(
                    f"{num_samples / 16:.0f} ms of what you said were lost: the machine is too busy"
                )
            case PlayoutUnderrun(num_times=num_times):
                self._session.note_underruns(num_times)
            case PlayoutDropped():
                self._session.note_dropped()

    def _say(self, text: str) -> None:
        self._show(Noticed(text=text))


def _what(direction: Direction) -> str:
    return "microphone" if direction is Direction.INPUT else "speaker"
