"""The latency ledger: what happened when in each exchange, and how long people waited.

Pure: moments come in as seconds on the conversation's clock, in any order, and values come out.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from protocols.events import TurnTimed

Moment = Literal["first_token", "first_frame", "first_sound", "transcribed", "barged_in", "silent"]
# The newest are kept; an hour of quick talk, 0.3 MB.
MOST_TURNS = 1000


@dataclass(slots=True)
class _Open:
    """An exchange that is not over."""

    moments: dict[Moment, float] = field(default_factory=dict)
    held_s: float | None = None
    num_holds: int = 0
    num_underruns: int = 0
    decided_s: float | None = None  # From `decided` on.
    speech_ended_s: float | None = None
    num_discarded: int = 0  # Those before it; from `decided` on.
    discarded_s: float = 0.0


class Ledger:
    """Collects what is told of each exchange, and gives the whole when it is over.

    Exchanges that were discarded before they were decided leave no entry; what they cost is counted for the next one.

    Attributes:
        turns: the newest exchanges that are over, at most 1,000; older ones are forgotten.
    """

    def __init__(self) -> None:
        self.turns: list[TurnTimed] = []
        self._open: dict[int, _Open] = {}
        self._num_discarded = 0  # Since the last decision.
        self._discarded_s = 0.0

    def mark(self, turn: int, moment: Moment, at_s: float) -> None:
        """Note a moment; the first time counts. What belongs to an exchange that is over is not noted."""
        if not self._is_over(turn):
            self._of(turn).moments.setdefault(moment, at_s)

    def hold(self, turn: int, at_s: float) -> None:
        """Note that the reply was held for somebody who may be interrupting; the last time counts, and all are counted."""
        if not self._is_over(turn):
            self._of(turn).num_holds += 1
            self._of(turn).held_s = at_s

    def underrun(self, turn: int, num_times: int = 1) -> None:
        """Count that the reply's sound was not there in time."""
        if not self._is_over(turn):
            self._of(turn).num_underruns += num_times

    def discard(self, turn: int, sound_s: float) -> None:
        """Count a reply as prepared in vain; so much of its sound had been made."""
        self._open.pop(turn, None)
        self._num_discarded += 1
        self._discarded_s += sound_s

    def decide(self, turn: int, at_s: float, *, speech_ended_s: float | None) -> None:
        """Note that the user's turn is over, and where the voice ended; None for written text."""
        entry = self._of(turn)
        entry.decided_s, entry.speech_ended_s = at_s, speech_ended_s
        entry.num_discarded, entry.discarded_s = self._num_discarded, self._discarded_s
        self._num_discarded, self._discarded_s = 0, 0.0

    def finish(self, turn: int) -> TurnTimed | None:
        """Return what is known of an exchange that is over; None when it was never decided, or told before."""
        entry = self._open.pop(turn, None)
        if entry is None or entry.decided_s is None:
            return None
        timed = TurnTimed(
            turn=turn,
            decided_s=entry.decided_s,
            speech_ended_s=entry.speech_ended_s,
            held_s=entry.held_s,
            num_holds=entry.num_holds - ("barged_in" in entry.moments and entry.num_holds > 0),
            num_underruns=entry.num_underruns,
            num_discarded=entry.num_discarded,
            discarded_s=entry.discarded_s,
            **{f"{moment}_s": at_s for moment, at_s in entry.moments.items()},
        )
        self.turns.append(timed)
        del self.turns[:-MOST_TURNS]
        return timed

    def _is_over(self, turn: int) -> bool:
        return turn not in self._open and bool(self.turns) and turn <= self.turns[-1].turn

    def _of(self, turn: int) -> _Open:
        return self._open.setdefault(turn, _Open())


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of some waits in seconds.

    Attributes:
        name: what was waited for, from when.
        num: how many.
    """

    name: str
    num: int
    p50_s: float
    p95_s: float
    most_s: float


# What is waited for, from when: names of the fields of TurnTimed.
WAITS = {
    "speech end to decision": ("speech_ended_s", "decided_s"),
    "decision to first token": ("decided_s", "first_token_s"),
    "decision to first frame": ("decided_s", "first_frame_s"),
    "decision to first sound": ("decided_s", "first_sound_s"),
    "speech end to first sound": ("speech_ended_s", "first_sound_s"),
    "speech end to transcript": ("speech_ended_s", "transcribed_s"),
    "barge-in to silence": ("barged_in_s", "silent_s"),
}


def percentiles(turns: Iterable[TurnTimed]) -> list[Percentiles]:
    """Return the percentiles of every wait that occurred; what was there before it was waited for took no time."""
    turns = list(turns)
    found = []
    for name, (start, end) in WAITS.items():
        waits = sorted(
            max(0.0, wait_s) for turn in turns if (wait_s := _wait_s(turn, start, end)) is not None
        )
        if waits:
            found.append(
                Percentiles(
                    name,
                    len(waits),
                    percentile(waits, 50),
                    percentile(waits, 95),
                    waits[-1],
                )
            )
    return found


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of these rising values that is not exceeded by so many percent of them (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


COLUMNS = ("turn", "hangover", "token", "frame", "sound", "from end", "words", "cut", "notes")


def timing_header() -> str:
    """Return the line above those of `timing_line`: milliseconds, `token`, `frame` and `sound` from the decision."""
    return "  ".join(f"{name:>8}" for name in COLUMNS[:-1]) + f"  {COLUMNS[-1]}  (ms)"


def timing_line(turn: TurnTimed) -> str:
    """Return one exchange as a line; a dash where something did not happen, negative where it was ready before."""
    waits = [_wait_s(turn, *pair) for pair in WAITS.values()]
    cells = [f"{turn.turn}", *("–" if wait is None else f"{wait * 1000:.0f}" for wait in waits)]
    return "  ".join([*(f"{cell:>8}" for cell in cells), _notes(turn)]).rstrip()


def percentile_lines(turns: Iterable[TurnTimed]) -> list[str]:
    """Return the percentiles as a table in milliseconds; nothing when there is nothing."""
    rows = percentiles(turns)
    if not rows:
        return []
    width = max(len(row.name) for row in rows)
    head = f"{'':{width}}  {'num':>5}  {'p50':>6}  {'p95':>6}  {'most':>6}  (ms)"
    return [
        head,
        *(
            f"{row.name:{width}}  {row.num:5}  {row.p50_s * 1000:6.0f}  {row.p95_s * 1000:6.0f}  {row.most_s * 1000:6.0f}"
            for row in rows
        ),
    ]


def _wait_s(turn: TurnTimed, start: str, end: str) -> float | None:
    fields = dataclasses.asdict(turn)
    return None if fields[start] is None or fields[end] is None else fields[end] - fields[start]


def _notes(turn: TurnTimed) -> str:
    told = [
        (turn.num_holds, f"held {turn.num_holds}×"),
        (turn.num_underruns, f"underruns {turn.num_underruns}"),
        (turn.num_discarded, f"prepared in vain {turn.num_discarded}× ({turn.discarded_s:.1f} s)"),
    ]
    return ", ".join(text for number, text in told if number)
