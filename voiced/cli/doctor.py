"""`voiced doctor`: check this machine and the installed models."""

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voiced.health import Check


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "doctor",
        help="check this machine and the installed models",
        description="Check this machine and the installed models. Each line says what was found: 'ok', 'note' for "
        "something that limits voiced, 'wrong' for something to mend, with how to mend it.",
        epilog="Exits with 1 when something is wrong, else with 0. Installed models are read from end to end: "
        "some seconds a gigabyte.",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="check this model (a folder, a hub name, an alias), not the installed ones",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line and finding")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 1 if one is wrong, else 0."""
    from voiced.health import State

    num_wrong = 0
    for check in _checks(args.model):
        num_wrong += check.state is State.WRONG
        if args.json:
            line = json.dumps(
                {"state": check.state.value, "about": check.about, "says": check.says}
            )
        else:
            line = f"{check.state.value:5}  {check.about:11}  {check.says}"
        print(line, flush=True)
    return 1 if num_wrong else 0


def _checks(name: str | None) -> "Iterator[Check]":
    from voiced import health
    from voiced.weights import find_model

    found = [find_model(name)] if name is not None else health.find_models_to_check()
    yield from health.check_machine()
    for model in found:
        yield from health.check_model(model)
    if name is None:
        yield from health.check_full_model(found)
