"""`python -m voiced.engine --fd N`: the engine process. Started by the daemon, and of no use by itself."""

from voiced.startup import refuse_shadows

refuse_shadows()

import argparse  # noqa: E402 (after the check)
import sys  # noqa: E402

from voiced.engine.lifeline import die_with  # noqa: E402
from voiced.engine.process import ModelChoice  # noqa: E402


def main() -> int:
    """Serve the model that the options choose; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m voiced.engine", description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--fd", type=int, required=True, help="of the socket to the daemon")
    parser.add_argument("--parent", type=int, required=True, help="process number of the daemon")
    args = parser.parse_args()
    die_with(args.parent)
    # Late: these import torch, which takes seconds.
    from voiced.engine.child import run_child
    from voiced.engine.loading import load

    choice = ModelChoice(
        model=args.model, device=args.device, dtype=args.dtype, threads=args.threads
    )
    return run_child(lambda: load(choice), fd=args.fd)


if __name__ == "__main__":
    sys.exit(main())
