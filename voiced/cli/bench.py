"""`voiced bench`: how fast this machine is."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.file_talk import EXAMPLE, check_recording, heard_in
from voiced.cli.launching import announce_model, launch_in_process, model_choice
from voiced.cli.notes import note
from voiced.cli.option_types import whole_number
from voiced.cli.settings import add_setting_options, load_settings
from voiced.cli.tasks import complete

if TYPE_CHECKING:
    from voiced.configuration import Configuration
    from voiced.ledger import Percentiles


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "bench", help="measure how fast this machine answers", description="Measure this machine."
    )
    kinds = parser.add_subparsers(title="what to measure", metavar="WHAT", required=True)
    turn = kinds.add_parser(
        "turn",
        help="how long one waits for an answer",
        description="Ask a question again and again, in real time and without sound devices, and tell how long the answers "
        "took: from the end of the voice, and from the decision that the turn is over; once with replies that are prepared in "
        "pauses, once without. Every reply is interrupted after half a second, by voice and by key in turn. A sound "
        "device adds its own delay.",
    )
    turn.add_argument(
        "--turns",
        type=whole_number(1, 10_000),
        default=20,
        metavar="N",
        help="questions of each kind (default: 20, two minutes)",
    )
    turn.add_argument(
        "--question",
        metavar="Q.wav",
        help='a recording that ends with its question (default: "What can you do?", spoken by espeak-ng)',
    )
    turn.add_argument("--json", action="store_true", help="print one JSON object a line and wait")
    add_setting_options(turn.add_argument_group("model"), ("model", "device", "dtype", "threads"))
    turn.set_defaults(run=run_turn)


def run_turn(args: argparse.Namespace) -> int:
    """Measure and print; return 0.

    Raises:
        UsageError: a wrong setting, or no such model.
        AudioError: the question is no recording.
        EngineError: the model cannot be loaded, or does not answer.
    """
    settings = load_settings(args).configuration
    question = EXAMPLE if args.question is None else Path(args.question)
    check_recording(question)
    announce_model(settings)
    complete(_measure(args, settings, question))
    return 0


async def _measure(args: argparse.Namespace, settings: "Configuration", path: Path) -> None:
    import numpy as np

    from voiced.engine.client import EngineClient
    from voiced.ledger import percentile_lines, percentiles
    from voiced.live.measuring import measure_turns
    from voiced.timing import AsyncSystemClock

    question = np.concatenate([chunk.samples for chunk in heard_in(path)])
    async with EngineClient(launch_in_process(model_choice(settings))) as client:
        await client.wait_ready()
        for is_preemptive in (True, False):
            turns = await measure_turns(
                client,
                settings,
                question,
                num_turns=args.turns,
                is_preemptive=is_preemptive,
                clock=AsyncSystemClock(),
            )
            if args.json:
                for row in percentiles(turns):
                    print(json.dumps(_fields(row, is_preemptive=is_preemptive)), flush=True)
            else:
                how = "prepared in pauses" if is_preemptive else "made when the turn is over"
                print(f"replies {how}, {len(turns)} turns")
                print(*percentile_lines(turns), "", sep="\n", flush=True)
        if not args.json:
            note("sound devices add their own delay to 'first sound'")


def _fields(row: "Percentiles", *, is_preemptive: bool) -> dict[str, object]:
    return {
        "preemptive": is_preemptive,
        "wait": row.name,
        "num": row.num,
        "p50_s": round(row.p50_s, 4),
        "p95_s": round(row.p95_s, 4),
        "most_s": round(row.most_s, 4),
    }
