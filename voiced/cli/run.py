"""`voiced run`: the assistant, through microphone and speaker, or on files."""

import argparse
import asyncio
import dataclasses
import tempfile
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.cli.notes import note
from voiced.cli.option_types import seed
from voiced.cli.outputs import SoundFile, check_sound_path
from voiced.cli.settings import add_setting_options, load_settings
from voiced.errors import DeviceError, UnknownDeviceError, UsageError

if TYPE_CHECKING:
    from audio.devices import SoundCard
    from protocols.events import Event
    from voiced.configuration import Configuration
    from voiced.engine.link import Launch
    from voiced.engine.process import ModelChoice

EXAMPLE = (
    Path(__file__).parents[2] / "examples" / "question.wav"
)  # In a checkout; an installed package has none.


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `run`."""
    parser = commands.add_parser(
        "run",
        help="talk to the assistant",
        description="Talk to the assistant, through the microphone and the speaker of this machine.\n"
        "With --input and --output the same runs on files. Where there is no sound device it answers the recorded "
        "question that comes with the source, examples/question.wav.",
        epilog="While it runs: m mutes, the space bar interrupts, text and Enter say it in writing, q quits.\n\n"
        "examples:\n  voiced run --headset\n  voiced run --input question.wav --output answer.wav --fast",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line: events")
    parser.add_argument(
        "--timings", action="store_true", help="print how long everything took after each exchange"
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="the same seed gives the same replies to the same turns (default: 0)",
    )
    sound = parser.add_argument_group("sound")
    add_setting_options(sound, ("input_device", "output_device", "headset", "noise_suppression"))
    turns = parser.add_argument_group("turns and replies")
    add_setting_options(
        turns,
        ("push_to_talk", "longest_turn_s", "max_reply_s", "preemptive", "transcripts", "record"),
    )
    files = parser.add_argument_group("on files")
    files.add_argument(
        "--input",
        metavar="Q.wav",
        help="what the microphone hears: a WAV, FLAC, OGG or MP3 recording",
    )
    files.add_argument(
        "--output",
        metavar="A.wav",
        help="what the speaker plays, in time with the input "
        "(default: reply.wav in a new temporary folder, which is named at the end)",
    )
    files.add_argument(
        "--fast",
        action="store_true",
        help="do not run in real time: time stands still while the model computes, so that a reply begins as soon as its "
        "turn is over. Otherwise the silences in A.wav are as long as the model really took",
    )
    add_setting_options(parser.add_argument_group("model"), ("model", "device", "dtype", "threads"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Talk until the user quits, or the input is over; what was played stays in the file when an error or Ctrl-C ends it.

    Raises:
        UsageError: a wrong setting, model or device name, or nothing to answer.
        DeviceError: a device was named, and there is none.
        OutputError, AudioError: a file.
        EngineError: the model cannot be loaded, or its engine was given up.
    """
    loaded = load_settings(args)
    settings = loaded.configuration
    if args.input is None and args.output is None and not args.fast:
        card = _sound_card(settings)
        if card is not None:
            from voiced.live.with_face import talk_with_face

            _announce(settings)
            _complete(talk_with_face(loaded, card, args, launch_in_process(_choice(settings))))
            return 0
    _run_on_files(args, settings)
    return 0


def launch_in_process(choice: "ModelChoice") -> "Launch":
    """Return what starts the engine of a live talk."""
    from voiced.engine.process import in_process

    return in_process(choice)


def launch_in_thread(choice: "ModelChoice") -> "Launch":
    """Return what starts the engine of a talk on files."""
    from voiced.engine.loading import load
    from voiced.engine.thread import in_thread

    return in_thread(lambda: load(choice))


def _choice(settings: "Configuration") -> "ModelChoice":
    from voiced.engine.process import ModelChoice

    engine = settings.engine
    return ModelChoice(
        model=engine.model, device=engine.device, dtype=engine.dtype, threads=engine.threads
    )


def _announce(settings: "Configuration") -> None:
    from voiced.weights import announce, find_model

    announce(find_model(settings.engine.model))


def _sound_card(settings: "Configuration") -> "SoundCard | None":
    """Return the sound card if it has what was asked for; None where nothing was asked for and there is none."""
    from audio.devices import Direction, choose_device
    from audio.portaudio import PortAudioCard

    sound = settings.sound
    try:
        card = PortAudioCard()
        devices = card.list_devices()
        choose_device(devices, Direction.INPUT, sound.input_device)
        choose_device(devices, Direction.OUTPUT, sound.output_device)
    except UnknownDeviceError:
        raise
    except DeviceError as error:
        if sound.input_device is not None or sound.output_device is not None:
            raise
        note(f"{error}; answering the recorded question {EXAMPLE} instead")
        return None
    return card


def _run_on_files(args: argparse.Namespace, settings: "Configuration") -> None:
    question = Path(args.input) if args.input is not None else EXAMPLE
    if args.input is None and not EXAMPLE.is_file():
        raise UsageError(
            f"{EXAMPLE} is not here to be answered (it comes with the source, not with the package): "
            "give --input Q.wav --output A.wav"
        )
    if args.output is not None:
        check_sound_path(Path(args.output), [question])

    from audio.reading import open_audio
    from voiced.speech_model import HEARING_RATE_HZ

    with open_audio(question, rate_hz=HEARING_RATE_HZ):
        pass  # What is no recording is told before the model is loaded.
    _announce(settings)
    output = (
        Path(args.output)
        if args.output is not None
        else Path(tempfile.mkdtemp(prefix="voiced-")) / "reply.wav"
    )
    with closing(SoundFile(output)) as file:
        try:
            _complete(_talk_on_files(args, settings, question, file))
        finally:
            if file.num_samples:
                note(f"the reply is in {output}; play it with any player")


async def _talk_on_files(
    args: argparse.Namespace, settings: "Configuration", question: Path, file: SoundFile
) -> None:
    from audio.reading import open_audio
    from protocols.events import StateChanged, TurnEnded, TurnTimed
    from voiced.engine.client import EngineClient
    from voiced.face.lines import json_face, plain_face
    from voiced.live.assembly import live_session
    from voiced.live.on_files import FileSpeaker, talk_on_files
    from voiced.speech_model import HEARING_RATE_HZ
    from voiced.timing import AsyncSystemClock

    num_turns = 0
    face = json_face() if args.json else plain_face(shows_timings=args.timings)

    def show(event: "Event") -> None:
        nonlocal num_turns
        if isinstance(event, TurnEnded):
            num_turns += event.role == "user"
            path = question if event.role == "user" else file.path
            has_sound = event.end_s > event.start_s
            if has_sound:
                event = dataclasses.replace(event, audio=str(path), audio_start_s=event.start_s)
            _note_end(event)
        if isinstance(event, StateChanged) or (isinstance(event, TurnTimed) and not args.timings):
            return
        face.show(event)

    async with face, EngineClient(launch_in_thread(_choice(settings))) as client:
        await client.wait_ready()
        engine = client.open(seed=args.seed, max_reply_s=settings.reply.max_reply_s)
        speaker = FileSpeaker(file)
        session = live_session(
            settings, engine=engine, speaker=speaker, show=show, now_s=speaker.now_s
        )
        clock = None if args.fast else AsyncSystemClock()
        with open_audio(question, rate_hz=HEARING_RATE_HZ) as heard:
            await talk_on_files(session, engine, speaker, heard, clock=clock)
    if not num_turns:
        note(f"nobody spoke in {question}: there is nothing to answer")


def _note_end(event: "Event") -> None:
    from voiced.cli.turns import note_end

    note_end(event)


def _complete(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end; raise the first error of several tasks as it is."""
    try:
        asyncio.run(work)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
