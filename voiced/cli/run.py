"""`voiced run`: the assistant, through microphone and speaker, or on files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.file_talk import (
    EXAMPLE,
    add_file_options,
    add_shown_options,
    check_recording,
    heard_in,
    talk_on_files,
)
from voiced.cli.launching import (
    announce_model,
    check_wake_word,
    launch_in_process,
    launch_in_thread,
    model_choice,
)
from voiced.cli.notes import note
from voiced.cli.option_types import seed
from voiced.cli.settings import add_setting_options, load_settings
from voiced.cli.tasks import complete
from voiced.errors import DeviceError, UnknownDeviceError

if TYPE_CHECKING:
    from audio.devices import SoundCard
    from voiced.configuration import Configuration, Loaded


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `run`."""
    parser = commands.add_parser(
        "run",
        help="talk to the assistant",
        description="Talk to the assistant, through the microphone and the speaker of this machine.\n"
        "With --input and --output the same runs on files. Where there is no sound device it answers a recorded "
        "question that comes with voiced.",
        epilog="While it runs: m mutes, the space bar interrupts, text and Enter say it in writing, q quits.\n\n"
        "examples:\n  voiced run --headset\n  voiced run --input question.wav --output answer.wav --fast",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_shown_options(parser)
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
        (
            *("push_to_talk", "wake_word", "longest_turn_s"),
            *("max_reply_s", "preemptive", "transcripts", "record"),
        ),
    )
    files = parser.add_argument_group("on files")
    files.add_argument(
        "--input",
        metavar="Q.wav",
        help="what the microphone hears: a WAV, FLAC, OGG or MP3 recording",
    )
    add_file_options(files)
    add_setting_options(
        parser.add_argument_group("model"),
        ("model", "device", "dtype", "threads", "unload_after_s"),
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Talk until the user quits, or the input is over; what was played stays in the file when an error or Ctrl-C ends it.

    Raises:
        UsageError: a wrong setting, model or device name, a wake word that nothing hears, or nothing to answer.
        DeviceError: a device was named, and there is none.
        OutputError, AudioError: a file.
        EngineError: the model cannot be loaded, or its engine was given up.
    """
    loaded = load_settings(args)
    settings = loaded.configuration
    check_wake_word(settings)
    if args.input is None and args.output is None and not args.fast:
        card = _sound_card(settings)
        if card is not None:
            from voiced.live.with_face import talk_with_face

            announce_model(settings)
            launch = launch_in_process(model_choice(settings))
            complete(talk_with_face(loaded, card, args, launch, load=lambda: load_settings(args)))
            return 0
    _run_on_files(args, loaded)
    return 0


def _sound_card(settings: "Configuration") -> "SoundCard | None":
    """Return the sound card if it has what was asked for; None where nothing was asked for and there is none."""
    from audio.devices import Direction, choose_device
    from audio.portaudio import PortAudioCard
    from audio.stream_process import ProcessCard

    sound = settings.sound
    try:
        card = ProcessCard(PortAudioCard())
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


def _run_on_files(args: argparse.Namespace, loaded: "Loaded") -> None:
    question = Path(args.input) if args.input is not None else EXAMPLE
    check_recording(question)
    talk_on_files(
        args,
        loaded,
        seed=args.seed,
        source=question,
        steps=lambda: heard_in(question),
        launch=launch_in_thread(model_choice(loaded.configuration)),
    )
