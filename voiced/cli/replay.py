"""`voiced replay`: a recorded talk once more, without devices."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.file_talk import add_file_options, add_shown_options, talk_on_files
from voiced.cli.launching import launch_in_thread, model_choice
from voiced.cli.option_types import seed
from voiced.cli.settings import add_setting_options, given_settings

if TYPE_CHECKING:
    from audio.chunk import AudioChunk
    from voiced.commands import Command
    from voiced.session_replay import RecordedSession


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "replay",
        help="run a recorded talk through again",
        description="Run a talk that 'voiced run --record FOLDER' kept through again, without devices: what the "
        "microphone heard, and what was typed and pressed, each at its time. The replies are made anew, with the settings "
        "that were in force then; options go above them.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="of one talk; it holds session.json")
    add_shown_options(parser)
    parser.add_argument(
        "--seed", type=seed, metavar="N", help="of the replies (default: that of the talk)"
    )
    add_file_options(parser)
    turns = parser.add_argument_group("turns and replies")
    add_setting_options(
        turns,
        (
            *("push_to_talk", "wake_word", "longest_turn_s"),
            *("max_reply_s", "preemptive", "transcripts", "record"),
        ),
    )
    add_setting_options(parser.add_argument_group("model"), ("model", "device", "dtype", "threads"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hold the talk again; return 0.

    Raises:
        UsageError: the folder holds no talk, or a damaged one; or as `voiced run`.
        OutputError, AudioError, EngineError: as `voiced run` on files.
    """
    from voiced.configuration import recorded_configuration
    from voiced.session_recording import MICROPHONE, SESSION
    from voiced.session_replay import read_session

    recorded = read_session(Path(args.folder))
    settings = {key: value for key, value in recorded.settings.items() if key != "session.record"}
    loaded = recorded_configuration(
        recorded.folder / SESSION, settings, options=given_settings(args)
    )
    recorded.check_sound()
    talk_on_files(
        args,
        loaded,
        seed=recorded.seed if args.seed is None else args.seed,
        source=recorded.folder / MICROPHONE,
        steps=lambda: _steps(recorded),
        launch=launch_in_thread(model_choice(loaded.configuration)),
    )
    return 0


def _steps(recorded: "RecordedSession") -> "Iterator[AudioChunk | Command]":
    from voiced.live.on_files import HEARD_TICK

    yield from recorded.steps(HEARD_TICK)
