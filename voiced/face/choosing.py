"""Which face a talk has."""

import os
import sys

from voiced.face.face import Face
from voiced.face.lines import json_face, plain_face
from voiced.face.terminal import is_in_foreground


def choose_face(*, as_json: bool, push_to_talk: bool, shows_timings: bool) -> Face:
    """Return JSON lines where those are asked for, a screen where standard output is a terminal, else plain lines.

    Args:
        as_json: the user asked for JSON lines.
        push_to_talk: the space bar begins and ends talking.
        shows_timings: show the latency ledger; JSON lines have it anyway.
    """
    if as_json:
        return json_face()
    if not _is_screen():
        return plain_face(shows_timings=shows_timings)
    from voiced.face.terminal_face import TerminalFace

    return TerminalFace(
        push_to_talk=push_to_talk,
        shows_timings=shows_timings,
        input_fd=sys.stdin.fileno() if sys.stdin.isatty() else None,
        output=sys.stdout,
    )


def _is_screen() -> bool:
    """Tell whether standard output is a terminal that can be drawn on, and that is ours."""
    return (
        sys.stdout.isatty()
        and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}
        and is_in_foreground(sys.stdout.fileno())
    )
