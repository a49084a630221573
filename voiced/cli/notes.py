"""What a command says beside its result."""

import sys


def note(message: str) -> None:
    """Say something on standard error that does not end the command."""
    print(f"voiced: note: {message}", file=sys.stderr, flush=True)
