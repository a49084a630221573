"""A talk on files, as `voiced run --input` and `voiced replay` hold it."""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.launching import announce_model, check_wake_word
from voiced.cli.notes import note
from voiced.cli.outputs import SoundFile, check_sound_path
from voiced.cli.tasks import complete

if TYPE_CHECKING:
    from audio.chunk import AudioChunk
    from protocols.events import Event
    from voiced.commands import Command
    from voiced.configuration import Loaded
    from voiced.engine.link import Launch


EXAMPLE = Path(__file__).parents[1] / "examples" / "question.wav"  # "What can you do?"


def check_recording(path: Path) -> None:
    """See that there is a recording, before a model is loaded.

    Raises:
        AudioError: there is none.
    """
    from audio.reading import open_audio
    from voiced.speech_model import HEARING_RATE_HZ

    open_audio(path, rate_hz=HEARING_RATE_HZ).close()


def heard_in(path: Path) -> "Iterator[AudioChunk]":
    """Yield the sound of a recording as the model hears it.

    Raises:
        AudioError: it is missing or damaged; what comes before the damage is yielded.
    """
    from audio.reading import open_audio
    from voiced.speech_model import HEARING_RATE_HZ

    with open_audio(path, rate_hz=HEARING_RATE_HZ) as recording:
        yield from recording


def add_file_options(group: "argparse._ActionsContainer") -> None:
    """Add `--output` and `--fast`."""
    group.add_argument(
        "--output",
        metavar="A.wav",
        help="what the speaker plays, in time with the input "
        "(default: reply.wav in a new temporary folder, which is named at the end)",
    )
    group.add_argument(
        "--fast",
        action="store_true",
        help="do not run in real time: time stands still while the model computes, so that a reply begins as soon as its "
        "turn is over. Otherwise the silences in A.wav are as long as the model really took",
    )


def add_shown_options(parser: argparse.ArgumentParser) -> None:
    """Add `--json` and `--timings`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object a line: events")
    parser.add_argument(
        "--timings", action="store_true", help="print how long everything took after each exchange"
    )


def talk_on_files(
    args: argparse.Namespace,
    loaded: "Loaded",
    *,
    seed: int,
    source: Path,
    steps: "Callable[[], Iterable[AudioChunk | Command]]",
    launch: "Launch",
) -> None:
    """Hold a talk; what was played stays in the file when an error or Ctrl-C ends it.

    Args:
        args: with the options of `add_file_options` and `add_shown_options`.
        loaded: the settings.
        seed: of the replies.
        source: the recording that holds what is heard.
        steps: returns what is heard, at 16 kHz, and what the user does besides.
        launch: starts the engine.

    Raises:
        UsageError, OutputError, AudioError: an argument or a file.
        EngineError: the model cannot be loaded, or its engine was given up.
    """
    if args.output is not None:
        check_sound_path(Path(args.output), [source])
    check_wake_word(loaded.configuration)
    announce_model(loaded.configuration)
    output = (
        Path(args.output)
        if args.output is not None
        else Path(tempfile.mkdtemp(prefix="voiced-")) / "reply.wav"
    )
    with closing(SoundFile(output)) as file:
        try:
            complete(_talk(args, loaded, seed, source, steps(), file, launch))
        finally:
            if file.num_samples:
                note(f"the reply is in {output}; play it with any player")


async def _talk(
    args: argparse.Namespace,
    loaded: "Loaded",
    seed: int,
    source: Path,
    steps: "Iterable[AudioChunk | Command]",
    file: SoundFile,
    launch: "Launch",
) -> None:
    from protocols.events import StateChanged, TurnEnded, TurnTimed
    from voiced.configuration import NO_WAKE_WORD
    from voiced.engine.client import EngineClient
    from voiced.face.lines import json_face, plain_face
    from voiced.live.assembly import live_session
    from voiced.live.on_files import FileSpeaker, RecordedSpeaker, talk_on_files
    from voiced.live.recording import kept
    from voiced.timing import AsyncSystemClock

    settings = loaded.configuration
    num_turns = 0
    face = json_face() if args.json else plain_face(shows_timings=args.timings)

    def show(event: "Event") -> None:
        nonlocal num_turns
        if recording is not None:
            recording.happened(event, speaker.now_s())
        if isinstance(event, TurnEnded):
            num_turns += event.role == "user"
            path = source if event.role == "user" else file.path
            has_sound = event.end_s > event.start_s
            if has_sound:
                event = dataclasses.replace(event, audio=str(path), audio_start_s=event.start_s)
            _note_end(event)
        if isinstance(event, StateChanged) or (isinstance(event, TurnTimed) and not args.timings):
            return
        face.show(event)

    async with (
        face,
        kept(loaded, seed=seed, show=face.show) as recording,
        EngineClient(launch) as client,
    ):
        await client.wait_ready()
        engine = client.open(seed=seed, max_reply_s=settings.reply.max_reply_s)
        writer = file if recording is None else RecordedSpeaker(file, recording.speaker)
        speaker = FileSpeaker(writer)
        session = live_session(
            settings, engine=engine, speaker=speaker, show=show, now_s=speaker.now_s
        )
        clock = None if args.fast else AsyncSystemClock()
        await talk_on_files(session, engine, speaker, steps, clock=clock, recording=recording)
    if not num_turns:
        word = settings.turns.wake_word
        spoke = "spoke" if word == NO_WAKE_WORD else f"said '{word}' and something after it"
        note(f"nobody {spoke} in {source}: there is nothing to answer")


def _note_end(event: "Event") -> None:
    from voiced.cli.turns import note_end

    note_end(event)
