"""A live talk as `voiced run` holds it: devices, engine and face together."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np

from audio.capture import Microphone
from audio.chunk import AudioChunk
from audio.devices import SoundCard
from audio.duplex import Duplex
from audio.playout import Playout
from protocols.events import Event, StateChanged
from voiced.commands import Command
from voiced.configuration import Loaded
from voiced.engine.client import EngineClient
from voiced.engine.link import Launch
from voiced.face.choosing import choose_face
from voiced.face.face import Level
from voiced.live.assembly import live_session
from voiced.live.on_devices import DeviceTalk, TalkClock
from voiced.live.recording import kept
from voiced.live.reloading import Reloading, cleaning_of
from voiced.live.resting import Rest
from voiced.sd_notify import keep_alive, this_notifier
from voiced.signals import signal_policy
from voiced.speech_model import SOUND_RATE_HZ
from voiced.timing import AsyncBootClock

QUIETEST_DBFS = -90.0


async def talk_with_face(
    loaded: Loaded,
    card: SoundCard,
    args: argparse.Namespace,
    launch: Launch,
    load: Callable[[], Loaded],
) -> None:
    """Talk until the user quits.

    Args:
        loaded: the settings.
        card: the sound devices.
        args: `json`, `timings` and `seed`.
        launch: starts the engine.
        load: reads the settings again.

    Raises:
        EngineError: the model cannot be loaded, or its engine was given up.
    """
    settings = loaded.configuration
    clock = AsyncBootClock()
    talk_clock = TalkClock(clock)
    face = choose_face(
        as_json=args.json,
        push_to_talk=settings.turns.push_to_talk,
        shows_timings=args.timings,
    )
    sound = settings.sound
    notifier = this_notifier()
    async with (
        face,
        EngineClient(launch) as client,
        kept(loaded, seed=args.seed, show=face.show) as recording,
    ):

        def show(event: Event) -> None:
            face.show(event)
            if recording is not None:
                recording.happened(event, talk_clock.now_s())

        def hear(chunk: AudioChunk) -> None:
            face.show(Level(level_dbfs(chunk)))
            if recording is not None:
                recording.microphone(chunk)

        def play(chunk: AudioChunk) -> None:
            if recording is not None:
                recording.speaker(chunk)

        async def commands() -> AsyncIterator[Command]:
            async for command in face.commands():
                if recording is not None:
                    recording.happened(command, talk_clock.now_s())
                yield command

        def stop() -> None:
            notifier.stopping()
            talk.drain()

        show(StateChanged(state="loading"))
        await client.wait_ready()
        notifier.ready()
        engine = client.open(seed=args.seed, max_reply_s=settings.reply.max_reply_s)
        devices = Duplex(
            Microphone(card, wanted=sound.input_device, clock_s=clock.now_s),
            Playout(card, rate_hz=SOUND_RATE_HZ, wanted=sound.output_device, clock_s=clock.now_s),
            cleaning=cleaning_of(settings),
            on_played=play,
        )
        session = live_session(
            settings,
            engine=engine,
            speaker=devices.playout,
            show=show,
            now_s=talk_clock.now_s,
        )
        rest = Rest(
            session,
            client.rest,
            after_s=settings.engine.unload_after_s,
            now_s=clock.now_s,
            show=show,
        )
        talk = DeviceTalk(
            session,
            engine,
            devices,
            commands=commands(),
            show=show,
            hear=hear,
            clock=talk_clock,
            rest=rest,
        )
        reloading = Reloading(loaded, load, session=session, devices=devices, rest=rest, show=show)
        with signal_policy(
            on_stop=stop,
            on_reload=reloading.reload,
            before_exit=face.restore,
        ):
            async with asyncio.TaskGroup() as group:
                alive = group.create_task(keep_alive(notifier, clock), name="signs of life")
                await talk.run()
                alive.cancel()


def level_dbfs(chunk: AudioChunk) -> float:
    """Return how loud a chunk is, in dB below the loudest possible."""
    power = float(np.mean(np.square(chunk.samples))) if len(chunk.samples) else 0.0
    return max(QUIETEST_DBFS, 10 * float(np.log10(max(power, 1e-12))))
