"""`voiced chat`: a conversation on files and text."""

import argparse
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voiced.cli.common import add_model_options, load_model
from voiced.cli.option_types import DEFAULT_MAX_REPLY_S, seconds, seed
from voiced.cli.outputs import SoundFile, check_is_utf8, check_sound_path
from voiced.errors import UsageError

if TYPE_CHECKING:
    from audio.chunk import Samples
    from voiced.dialogue import Dialogue
    from voiced.questions import Said

TURN_FIELD = "{turn}"


@dataclass(frozen=True, slots=True)
class TurnOption:
    """One `--audio` or `--text` of the command line."""

    kind: Literal["audio", "text"]
    value: str


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `chat`."""
    parser = commands.add_parser(
        "chat",
        help="a conversation on recordings and text",
        description="Hold a conversation: each --audio or --text is a turn of yours, in the order given, and is answered\n"
        "with text and sound before the next. The transcript goes to standard output as it is made.",
        epilog="Times count the sound of all turns in a row: yours as long as its recording, then the reply to it.\n\n"
        "example:\n"
        "  voiced chat --audio q1.wav --text 'And in winter?' --audio q2.wav -o reply.wav",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Both add to one list, so that the order between them is kept.
    parser.add_argument(
        "--audio",
        dest="turns",
        action="append",
        type=partial(TurnOption, "audio"),
        metavar="FILE",
        help="a turn: a WAV, FLAC, OGG or MP3 recording",
    )
    parser.add_argument(
        "--text",
        dest="turns",
        action="append",
        type=partial(TurnOption, "text"),
        metavar="TEXT",
        help="a turn: written text",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.wav",
        help="WAV file for the sound of all replies, one after the other; with {turn} in its name, a file for each "
        "(reply-{turn}.wav: reply-1.wav, reply-2.wav, …); without this option only the text is kept",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line: turn events with times in s",
    )
    parser.add_argument(
        "--system",
        default="",
        metavar="TEXT",
        help="instructions, added to the model's system prompt",
    )
    parser.add_argument(
        "--max-reply",
        type=seconds,
        default=DEFAULT_MAX_REPLY_S,
        metavar="S",
        help=f"cut a reply off at S seconds of sound (default: {DEFAULT_MAX_REPLY_S:g})",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="the same seed gives the same replies (default: 0)",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hold the conversation; what was said stays, in print and in the file, when an error or Ctrl-C ends it."""
    check_is_utf8(args.system, "--system")
    if not args.turns:
        raise UsageError("nothing to answer: give at least one --audio FILE or --text TEXT")
    _check_output(args)

    from voiced.questions import read_question

    # All are read first: a mistake in the last file would otherwise show only after all other turns.
    said = [
        read_question(Path(turn.value)) if turn.kind == "audio" else _written(turn.value)
        for turn in args.turns
    ]

    from voiced.demonstration import read_demonstration
    from voiced.dialogue import Dialogue
    from voiced.speech_model import REPLY_SAMPLING

    model, instructions = load_model(args), args.system.strip()
    demonstration = read_demonstration(model.folder)
    if demonstration:
        demonstration.check_instructions(instructions)
        demonstration.check_words(model.tokenizer, "\n".join(turn.text for turn in said))
    sampling = demonstration.reply if demonstration else REPLY_SAMPLING
    dialogue = Dialogue(model, instructions=instructions, seed=args.seed, sampling=sampling)
    with closing(Replies(args.output)) as replies:
        _converse(args, dialogue, said, replies)
    return 0


class Replies:
    """The file, or the files, for the sound of the replies; none when there is no `-o`."""

    def __init__(self, output: str | None) -> None:
        self._output = output
        self._file: SoundFile | None = None  # Of the present turn; None before the first.

    def of_turn(self, turn: int) -> SoundFile | None:
        """Return the file for the reply of this turn."""
        if self._output is None:
            return None
        if self._file is None or TURN_FIELD in self._output:
            self.close()
            self._file = SoundFile(_path_of_turn(self._output, turn))
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _converse(
    args: argparse.Namespace, dialogue: "Dialogue", all_said: list["Said"], replies: Replies
) -> None:
    from voiced.cli.turns import Exchange, JsonTranscript, TextTranscript, note_end, user_turn
    from voiced.speech_model import SOUND_RATE_HZ

    transcript = JsonTranscript() if args.json else TextTranscript()
    clock_s = 0.0
    for turn, said in enumerate(all_said, start=1):
        transcript.show(user_turn(said, turn, clock_s))
        reply_start_s = clock_s + said.duration_s
        exchange = Exchange(turn, reply_start_s)
        file = replies.of_turn(turn)
        for event in exchange.events(
            dialogue,
            said,
            max_reply_s=args.max_reply,
            write=file.write if file else _discard,
            audio=file.path if file else None,
            offset_s=file.num_samples / SOUND_RATE_HZ - reply_start_s if file else 0.0,
        ):
            transcript.show(event)
            note_end(event)
        clock_s = exchange.end_s


def _discard(_samples: "Samples") -> None:
    pass


def _written(text: str) -> "Said":
    from voiced.questions import Said

    check_is_utf8(text, "--text")
    if not text.strip():
        raise UsageError("--text is empty: expected something to answer")
    return Said(text=text)


def _check_output(args: argparse.Namespace) -> None:
    if args.output is None:
        return
    if args.output == "-":
        raise UsageError("standard output has the transcript: give -o the name of a WAV file")
    inputs = [Path(turn.value) for turn in args.turns if turn.kind == "audio"]
    for turn in range(1, len(args.turns) + 1):
        check_sound_path(_path_of_turn(args.output, turn), inputs)


def _path_of_turn(output: str, turn: int) -> Path:
    return Path(output.replace(TURN_FIELD, str(turn)))
