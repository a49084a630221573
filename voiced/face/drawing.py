"""How a talk looks in a terminal: lines that stand, and below them a region that is drawn anew.

Pure: values in, rich's texts out. Colours only repeat what words and signs say, so that nothing is lost without them.
"""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from protocols.events import State
from voiced.face.transcript import Line

QUIET_DBFS, LOUD_DBFS = -60.0, -6.0
METER_CELLS = 12
LEAST_METER_WIDTH = 40  # Of a window; a narrower one has no meter.
INTERIM_ROWS = 6  # The newest rows of what may still change.

LABELS: dict[State, str] = {
    "loading": "loading the model",
    "asleep": "asleep",
    "listening": "listening",
    "hearing": "hearing you",
    "thinking": "thinking",
    "speaking": "speaking",
    "muted": "muted",
}
_STYLES: dict[State, str] = {
    "loading": "dim",
    "asleep": "blue",
    "listening": "green",
    "hearing": "bold green",
    "thinking": "yellow",
    "speaking": "cyan",
    "muted": "bold red",
}
_SPEAKER_STYLES = {"you": "green", "voiced": "cyan", "note": "yellow", "timing": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that the region shows.

    Attributes:
        lines: of the talk that may still change.
        state: what goes on.
        level_dbfs: how loud the microphone hears it.
        entry: the text that is being typed.
        push_to_talk: the space bar begins and ends talking.
        is_talking: it has begun.
        has_keys: keys mean something.
    """

    lines: tuple[Line, ...] = ()
    state: State = "loading"
    level_dbfs: float = QUIET_DBFS
    entry: str = ""
    push_to_talk: bool = False
    is_talking: bool = False
    has_keys: bool = True


def draw_line(line: Line) -> Text:
    """Return a line of the talk, which the terminal may wrap."""
    text = Text(f"{line.speaker}: ", style=_SPEAKER_STYLES[line.speaker])
    if line.speaker == "timing":
        return Text(line.text, style="dim")
    text.append(line.text[: line.num_sure], style="default")
    text.append(line.text[line.num_sure :], style="dim italic")
    if line.remark:
        text.append(f"  [{line.remark}]", style="yellow")
    return text


def draw_region(view: View, console: Console) -> Group:
    """Return the rows of the region, never more than the window has, each no wider than it."""
    width, height = console.width, console.height
    texts: list[Text] = []
    for line in view.lines:
        texts += draw_line(line).wrap(console, width)
    num_rows = min(INTERIM_ROWS, max(0, height - 3))
    rows = [*texts[len(texts) - num_rows :]] if num_rows < len(texts) else texts
    rows.append(_status(view, width, is_ascii=console.options.ascii_only))
    if view.entry:
        rows.append(_entry(view.entry, width))
    for row in rows:
        row.no_wrap, row.overflow = True, "crop"
        row.truncate(width)
    return Group(*rows)


def meter(dbfs: float, *, is_ascii: bool) -> str:
    """Return a bar of 12 cells for a level."""
    share = (dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS)
    num_full = round(METER_CELLS * min(1.0, max(0.0, share)))  # NaN shows as silence.
    full, empty = ("#", ".") if is_ascii else ("▮", "▯")
    return full * num_full + empty * (METER_CELLS - num_full)


def _status(view: View, width: int, *, is_ascii: bool) -> Text:
    """Return the row with state, meter and as many hints as fit."""
    label = "talking" if view.is_talking and view.state == "hearing" else LABELS[view.state]
    text = Text(f"{'*' if is_ascii else '●'} {label}", style=_STYLES[view.state])
    if width >= LEAST_METER_WIDTH and view.state != "loading":
        level = QUIET_DBFS if view.state == "muted" else view.level_dbfs
        text.append(f"{'':{max(0, 14 - cell_len(text.plain))}}")
        text.append(f"  {meter(level, is_ascii=is_ascii)}", style="default")
    for number, hint in enumerate(_hints(view) if view.has_keys else []):
        added = f"{'   ' if number == 0 else ', '}{hint}"
        if cell_len(text.plain) + cell_len(added) > width:
            break
        text.append(added, style="dim")
    return text


def _hints(view: View) -> list[str]:
    if view.entry:
        return ["Enter to send", "Esc to discard"]
    if view.push_to_talk:
        space = "space when you are done" if view.is_talking else "space to talk"
        keys = [space, "Esc to interrupt"]
    else:
        keys = ["space to interrupt"]
    return [*keys, "m to unmute" if view.state == "muted" else "m to mute", "q to quit", "or type"]


def _entry(entry: str, width: int) -> Text:
    """Return the end of the line that is being typed, as much as fits, and a cursor."""
    room = max(1, width - 3)
    while cell_len(entry) > room:
        entry = entry[max(1, len(entry) - room) :]
    text = Text("> ", style="bold")
    text.append(entry, style="default")
    text.append(" ", style="reverse")
    return text
