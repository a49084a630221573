"""`voiced asr`: recordings to text."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from voiced.cli.common import add_model_options, load_model
from voiced.errors import UsageError, VoicedError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from voiced.transcripts import TranscriptFormat

STDIN = "-"  # Standard output too.
FORMATS = ("text", "json", "srt", "vtt")

EPILOG = """\
formats:
  text   a line for each stretch of speech between two pauses, written as it is heard
  json   one object a line and recording: file, text, duration, segments (start, end, text in
         seconds), or error
  srt    subtitles with times, for players
  vtt    the same for web pages

examples:
  voiced asr meeting.mp3
  voiced asr --format srt -o talk.srt talk.ogg
  voiced asr --format json *.wav > all.jsonl
  arecord -d 10 -f cd | voiced asr -     (standard input is read to its end first)

Ctrl-C ends it and keeps what was transcribed until then.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "asr",
        help="transcribe recordings",
        description="Write down what is said in recordings: WAV, FLAC, OGG or MP3 of any length, rate and number of channels.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a recording; - reads one from standard input"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="how to write it (default: text)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="write to this file instead of standard output; in an existing folder, to one file for each recording",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Transcribe the files in order; 0 when all succeeded, 1 when one failed."""
    from functools import cache

    from models.vad import VoiceDetector
    from voiced.demonstration import Demonstration, read_demonstration
    from voiced.recordings import RecordingTranscriber
    from voiced.segments import Limits
    from voiced.text_output import TextOutput
    from voiced.transcripts import TranscriptFormat, renderer

    form = TranscriptFormat(args.format)
    output_path = None if args.output == STDIN else args.output
    outputs = plan_outputs(args.files, output_path, form)
    model = cache(lambda: load_model(args))
    detector = cache(VoiceDetector)

    @cache
    def limits() -> Limits:
        ways = read_demonstration(model().folder) or Demonstration(name=model().name)
        return ways.limits

    num_failed = 0
    with TerminalFace(
        shows_bar=sys.stderr.isatty() and not _streams_to_terminal(form, output_path)
    ) as face:
        for path, files in outputs:
            with TextOutput(path, on_failure=face.error) as output:
                transcriber = RecordingTranscriber(
                    model=model,
                    detector=detector,
                    renderer=renderer(form, has_headings=len(files) > 1),
                    write=output.write,
                    face=face,
                    limits=limits,
                )
                for index, file in enumerate(files):
                    source, name = open_source(file)
                    face.begin(name)
                    try:
                        transcript = transcriber.transcribe(source, file=file, name=name)
                    except VoicedError as error:
                        if form is TranscriptFormat.JSON:  # Which promises an object for each.
                            transcriber.give_up(files[index + 1 :], error)
                        raise
                    num_failed += transcript.error is not None
                    if transcript.error is None:
                        output.begin()  # A recording without a word leaves an empty transcript, not an old one.
                num_failed += output.failed
    return 1 if num_failed else 0


def plan_outputs(
    files: list[str], output: str | None, form: "TranscriptFormat"
) -> list[tuple[Path | None, list[str]]]:
    """Return which files' transcripts go where, None being standard output, in order.

    Raises:
        UsageError: two recordings would share what cannot be shared.
    """
    if files.count(STDIN) > 1:
        raise UsageError(
            "'-' is given more than once: standard input holds one recording; name the others"
        )
    if output is not None and os.path.isdir(output):  # noqa: PTH112  Path's raises without permission.
        return _plan_folder(files, Path(output), form)
    if len(files) > 1 and form.value in ("srt", "vtt"):
        raise UsageError(
            f"{len(files)} recordings in one {form.value} stream: expected one, because times begin anew with each; "
            "give an existing folder with -o, or transcribe them one by one"
        )
    if output is not None and any(_is_same(file, output) for file in files if file != STDIN):
        raise UsageError(f"the output {output} is one of the recordings: give it another name")
    return [(None if output is None else Path(output), files)]


def _is_same(file: str, output: str) -> bool:
    try:
        return Path(file).samefile(output)
    except (
        OSError,
        ValueError,
    ):  # One of them does not exist or may not be looked at; opening it will tell.
        return False


def _plan_folder(
    files: list[str], folder: Path, form: "TranscriptFormat"
) -> list[tuple[Path | None, list[str]]]:
    plan: dict[Path, str] = {}
    for file in files:
        path = folder / ("stdin" + form.suffix if file == STDIN else Path(file).stem + form.suffix)
        if path in plan:
            raise UsageError(
                f"{plan[path]} and {file} would both be written to {path}: transcribe them into two folders"
            )
        plan[path] = file
    return [(path, [file]) for path, file in plan.items()]


def open_source(file: str) -> "tuple[Path | BinaryIO, str]":
    """Return what to read, and what messages call it."""
    if file == STDIN:
        return sys.stdin.buffer, "standard input"
    return Path(file), file


def _streams_to_terminal(form: "TranscriptFormat", output: str | None) -> bool:
    """Whether text appears on the terminal as it is decoded; a progress bar would run into it, and is not needed."""
    return form.value == "text" and output is None and sys.stdout.isatty()


class TerminalFace:
    """Notes and errors on standard error, and a progress bar there when it is a terminal."""

    def __init__(self, *, shows_bar: bool) -> None:
        self._progress: Progress | None = _progress_bar() if shows_bar else None
        self._task: TaskID | None = None

    def begin(self, name: str) -> None:
        """Begin the bar of another recording."""
        if self._progress is not None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(_shortened(name), total=None, position="")

    def progress(self, done_s: float, duration_s: float | None) -> None:
        """Move the bar."""
        if self._progress is not None and self._task is not None:
            position = (
                f"{done_s:.0f} s" if duration_s is None else f"{done_s:.0f} of {duration_s:.0f} s"
            )
            self._progress.update(
                self._task, completed=done_s, total=duration_s, position=position, refresh=True
            )

    def note(self, text: str) -> None:
        """Say something that is no error."""
        self._say(f"voiced: note: {text}")

    def error(self, text: str) -> None:
        """Say why a recording failed."""
        self._say(f"voiced: {text}")

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def _shortened(name: str, most: int = 32) -> str:
    """Return the end of a name too long to stand beside a bar in a terminal of 80 columns."""
    return name if len(name) <= most else "…" + name[1 - most :]


def _progress_bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[position]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
