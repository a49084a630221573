"""`voiced run`: the assistant, for now on files."""

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.common import add_model_options, load_model
from voiced.cli.notes import note
from voiced.cli.option_types import DEFAULT_MAX_REPLY_S, seconds, seed
from voiced.cli.outputs import SoundFile, check_sound_path
from voiced.errors import UsageError

if TYPE_CHECKING:
    from audio.chunk import Samples
    from voiced.dialogue import Dialogue
    from voiced.questions import Said

EXAMPLE = (
    Path(__file__).parents[2] / "examples" / "question.wav"
)  # In a checkout; an installed package has none.
NOT_LIVE = "there is no live assistant with microphone and speaker yet"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `run`."""
    parser = commands.add_parser(
        "run",
        help="the assistant; for now it answers a recording",
        description="Talk to the assistant. For now it works on files only: "
        f"{NOT_LIVE}.\n"
        "Without --input it answers the recorded question that comes with the source, examples/question.wav.\n"
        "A recording is one turn, whatever pauses are in it; the reply begins where it ends.",
        epilog="example:\n  voiced run --input question.wav --output answer.wav --fast",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--input",
        metavar="Q.wav",
        help="what the microphone hears: a WAV, FLAC, OGG or MP3 recording",
    )
    parser.add_argument(
        "--output",
        metavar="A.wav",
        help="what the speaker plays, in time with the input: silence while it lasts, then the reply "
        "(default: reply.wav in a new temporary folder, which is named at the end)",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="do not wait for the input's end in real time; the reply then begins exactly where the input ends. "
        "Otherwise the silences in A.wav are as long as the model really took",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line: turn events with times in s",
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
        help="the same seed gives the same reply (default: 0)",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer the recording; what was played stays in the file when an error or Ctrl-C ends it."""
    question = _question(args)
    if args.output is not None:
        check_sound_path(Path(args.output), [question])
    if args.input is None:
        note(f"{NOT_LIVE}; answering the recorded question {question}")

    from voiced.questions import read_question

    said = read_question(question)

    from voiced.demonstration import read_demonstration
    from voiced.dialogue import Dialogue
    from voiced.speech_model import REPLY_SAMPLING

    model = load_model(args)
    demonstration = read_demonstration(model.folder)
    sampling = demonstration.reply if demonstration else REPLY_SAMPLING
    dialogue = Dialogue(model, seed=args.seed, sampling=sampling)
    output = (
        Path(args.output)
        if args.output is not None
        else Path(tempfile.mkdtemp(prefix="voiced-")) / "reply.wav"
    )
    with closing(SoundFile(output)) as file:
        try:
            _answer(args, dialogue, said, file)
        finally:
            if file.num_samples:
                note(f"the reply is in {output}; play it with any player")
    return 0


def _question(args: argparse.Namespace) -> Path:
    if args.input is not None:
        return Path(args.input)
    if not EXAMPLE.is_file():
        raise UsageError(
            f"{NOT_LIVE}, and {EXAMPLE} is not here to be answered (it comes with the source, not with the package): "
            "give --input Q.wav --output A.wav"
        )
    return EXAMPLE


def _answer(args: argparse.Namespace, dialogue: "Dialogue", said: "Said", file: SoundFile) -> None:
    from voiced.cli.turns import Exchange, JsonTranscript, TextTranscript, note_end, user_turn
    from voiced.playout import Playout
    from voiced.speech_model import SOUND_RATE_HZ
    from voiced.timing import SystemClock

    transcript = JsonTranscript() if args.json else TextTranscript()
    playout = Playout(file, None if args.fast else SystemClock())
    playout.listen(said.duration_s)
    transcript.show(user_turn(said, 1, 0.0))
    exchange = Exchange(1, reply_start_s=playout.num_samples / SOUND_RATE_HZ)

    def write(samples: "Samples") -> None:
        playout.play(samples)
        exchange.late_s = playout.num_late / SOUND_RATE_HZ

    for event in exchange.events(
        dialogue, said, max_reply_s=args.max_reply, write=write, audio=file.path
    ):
        transcript.show(event)
        note_end(event)
