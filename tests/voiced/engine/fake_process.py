"""`python -m tests.voiced.engine.fake_process`: an engine process whose model is a fake."""

import argparse
import sys

from voiced.engine.lifeline import die_with

WORDS = ("canary", "endless", "after")


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--device", "--dtype"):
        parser.add_argument(name)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--unfit", action="store_true")
    args = parser.parse_args()
    die_with(args.parent)

    from models.errors import CheckpointError
    from tests.fakes import ScriptStep, frame
    from tests.voiced.engine.fakes import EngineFake, FakeEngineModel, echo, token_of
    from voiced.engine.child import run_child
    from voiced.engine.core import EngineOptions
    from voiced.engine.messages import Ready
    from voiced.engine.runner import Loaded

    for word in WORDS:  # A history may hold what another process has said.
        token_of(word)
        token_of(f" {word}")

    def rule(fake: EngineFake) -> list[ScriptStep]:
        """Speak for ever when the last that was said is "endless"."""
        return [*echo(fake), *([frame()] * 2000 if fake.said[-1] == "endless" else [])]

    def load() -> Loaded:
        if args.unfit:
            raise CheckpointError("config.json: no such file; fetch the model again")
        model = FakeEngineModel(rule)
        return Loaded(model, Ready(name="fake", load_s=0.0), EngineOptions())

    return run_child(load, fd=args.fd)


if __name__ == "__main__":
    sys.exit(main())
