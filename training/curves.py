"""Draws how training went, from the logs of its stages: python -m training.curves --state FOLDER."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.state import default_folder

PICTURE = Path(__file__).parents[1] / "docs" / "voiced-mini-training.png"
COLUMNS = 3
COLOURS = ("#1f6f8b", "#d1603d", "#6b8f3c")
GREY = "#777777"

Line = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small picture.

    Attributes:
        run: whose log it shows.
        title: says what it is, with the unit.
        series: keys of the log, and what they are called in the picture.
        scale: what the values are multiplied by.
        is_log: whether the vertical axis is logarithmic.
        demands: keys of series whose demanded value is drawn as a thin line, and the value.
    """

    run: str
    title: str
    series: Mapping[str, str]
    scale: float = 1.0
    is_log: bool = False
    demands: Mapping[str, float] | None = None


PANELS = (
    Panel(
        run="codec",
        title="codec: log-mel distance",
        series={"log_mel": "training", "held_log_mel": "held out"},
        is_log=True,
    ),
    Panel(
        run="hearing", title="encoder: CTC loss a word", series={"loss": "training"}, is_log=True
    ),
    Panel(
        run="hearing",
        title="encoder: word error rate, % (dotted: demanded)",
        series={"seen": "training voices", "unseen": "other voices"},
        is_log=True,
        demands={"seen": 3, "unseen": 12},
    ),
    Panel(
        run="speaking",
        title="backbone: cross-entropy",
        series={"text": "text", "audio": "audio codes, weighted"},
        is_log=True,
    ),
    Panel(
        run="speaking",
        title="backbone: right with the true history, %",
        series={"text_right": "text tokens", "code_right": "codes of the first codebook"},
        scale=100,
    ),
)


def read_log(path: Path) -> list[Line]:
    """Return the lines of a log in order of their steps; what was done again after an interruption counts once."""
    lines: list[Line] = []
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        while lines and lines[-1]["step"] >= line["step"]:
            lines.pop()
        lines.append(line)
    return lines


def draw(state: Path, picture: Path) -> list[str]:
    """Draw all panels that there is a log for and return their titles.

    Raises:
        FileNotFoundError: there is no log in the folder.
    """
    logs = {
        run: read_log(path)
        for run in dict.fromkeys(panel.run for panel in PANELS)
        if (path := state / f"{run}.jsonl").is_file()
    }
    panels = [
        panel for panel in PANELS if any(map(panel.series.keys().__and__, logs.get(panel.run, ())))
    ]
    if not panels:
        raise FileNotFoundError(
            f"{state}: expected codec.jsonl, hearing.jsonl or speaking.jsonl of a training; name its folder with --state"
        )
    rows = -(len(panels) // -COLUMNS)
    figure = Figure(figsize=(3.6 * COLUMNS, 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for place, panel in zip(axes.flat, panels, strict=False):
        draw_panel(place, panel, logs[panel.run])
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    picture.parent.mkdir(parents=True, exist_ok=True)
    # Without the program's name and version in the file, so that the same curves give the same picture.
    figure.savefig(picture, dpi=120, metadata={"Software": None})
    return [panel.title for panel in panels]


def draw_panel(axes: Axes, panel: Panel, log: Sequence[Line]) -> None:
    """Draw one panel: each series over the minutes of its stage, its name beside its end."""
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel("minutes", fontsize=8, color=GREY)
    axes.tick_params(labelsize=8, colors=GREY)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for (key, name), colour in zip(panel.series.items(), COLOURS, strict=False):
        points = [(line["minutes"], panel.scale * line[key]) for line in log if key in line]
        if points:
            last = f"{points[-1][1]:.3g}"
            axes.plot(
                *zip(*points, strict=True), color=colour, linewidth=1.3, label=f"{name} ({last})"
            )
        if panel.demands and key in panel.demands:
            axes.axhline(panel.demands[key], color=colour, linewidth=0.8, linestyle=(0, (2, 3)))
    if panel.is_log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(
            lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""
        )
        axes.tick_params(which="minor", labelsize=7, colors=GREY)
    else:
        axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, frameon=False)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.curves", description=__doc__)
    parser.add_argument("--state", type=Path, default=default_folder(), metavar="FOLDER")
    parser.add_argument("--to", type=Path, default=PICTURE, metavar="FILE")
    args = parser.parse_args()
    for title in draw(args.state, args.to):
        print(title)
    print(f"written to {args.to}")


if __name__ == "__main__":
    main()
