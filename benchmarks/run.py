"""Times every stage at full size on this machine and writes `docs/benchmarks.md`: `make bench`.

Contestants take turns within one run, stage by stage; figures are medians. Compare ratios within a run: machines are
shared and noisy, so milliseconds of different runs are not comparable.
"""

import argparse
import datetime as dt
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch

from benchmarks.contestants import Stage, contestants

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = (
    "<!-- written by make bench: begin ({device}) -->",
    "<!-- written by make bench: end ({device}) -->",
)
CHECKPOINT_SEED = 1


@dataclass(frozen=True, slots=True)
class Loading:
    """What one process that only loads the checkpoint took."""

    seconds: float
    before: int  # Bytes resident after imports, before loading.
    peak: int  # Bytes resident at most.


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, and write the table."""
    parser = argparse.ArgumentParser(
        description="Time every stage of LFM2-Audio at full size on this machine."
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="a model folder (default: a random one of full size, made once)",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--repeats", type=int, default=9, help="timings of each stage (default: 9)")
    parser.add_argument(
        "--output", type=Path, default=DOCUMENT, help="where to write (default: docs/benchmarks.md)"
    )
    args = parser.parse_args(arguments)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(
            "benchmarks: no CUDA device: expected one for --device cuda; leave the option out to time the CPU"
        )
    folder = args.checkpoint or full_checkpoint()
    names = [kind.name for kind in contestants()]
    loading = {name: probe_loading(name, folder, args.device, repeats=3) for name in names}
    entrants = {kind.name: kind(folder, args.device) for kind in contestants()}
    with torch.inference_mode():
        stages = {name: entrant.stages() for name, entrant in entrants.items()}
        medians = {
            row: time_in_turns(
                {name: stages[name][row] for name in names}, args.repeats, args.device
            )
            for row in stages[names[0]]
        }
    write(args.output, args.device, report(folder, args, names, loading, medians))
    print(f"benchmarks: written to {args.output}")


def full_checkpoint() -> Path:
    """Return a random checkpoint of full size, made in the user's cache folder if it is not there yet."""
    from models.lfm2_audio.random_checkpoint import write_random_checkpoint

    folder = Path(platformdirs.user_cache_dir("voiced")) / "benchmarks" / f"full-{CHECKPOINT_SEED}"
    if not (folder / "complete").exists():
        print(f"benchmarks: writing a random checkpoint of full size, 3.3 GB, to {folder}")
        write_random_checkpoint(folder, preset="full", seed=CHECKPOINT_SEED)
        (folder / "complete").touch()
    return folder


def probe_loading(name: str, folder: Path, device: str, *, repeats: int) -> Loading:
    """Return the medians over `repeats` processes that each load once."""
    runs = []
    for _ in range(repeats):
        output = subprocess.run(
            [sys.executable, "-m", "benchmarks.load_probe", name, str(folder), device],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        runs.append(Loading(**json.loads(output.splitlines()[-1])))
    return Loading(
        statistics.median(run.seconds for run in runs),
        round(statistics.median(run.before for run in runs)),
        round(statistics.median(run.peak for run in runs)),
    )


def time_in_turns(stages: dict[str, Stage], repeats: int, device: str) -> dict[str, float]:
    """Return each contestant's median in seconds, the contestants taking turns; the first turn is not counted."""
    times: dict[str, list[float]] = {name: [] for name in stages}
    for repeat in range(repeats + 1):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if repeat:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def report(
    folder: Path,
    args: argparse.Namespace,
    names: list[str],
    loading: dict[str, Loading],
    medians: dict[str, dict[str, float]],
) -> str:
    """Return the tables as Markdown."""
    weights = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    setting = (
        f"{dt.datetime.now(dt.UTC).date()}, {machine(args.device)}. torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, bfloat16 (detokenizer float32), random weights of "
        f"{weights / 2**30:.2f} GiB, medians of {args.repeats}, contestants in turns."
    )
    lines = [
        setting,
        "",
        f"| stage | {' | '.join(f'{name}, ms' for name in names)} |"
        + (" ratio |" if len(names) > 1 else ""),
        "| --- |" + " ---: |" * (len(names) + (len(names) > 1)),
    ]
    rows = {"load": {name: loading[name].seconds for name in names}, **medians}
    for row, taken in rows.items():
        ratio = f" {taken[names[1]] / taken[names[0]]:.2f} |" if len(names) > 1 else ""
        lines.append(
            f"| {row} | {' | '.join(f'{1000 * taken[name]:.1f}' for name in names)} |{ratio}"
        )
    lines += [
        "",
        "| memory of a process that only loads | " + " | ".join(names) + " |",
        "| --- |" + " ---: |" * len(names),
    ]
    memory: dict[str, Callable[[Loading], str]] = {
        "resident before loading, MiB": lambda entry: f"{entry.before / 2**20:.0f}",
        "peak, MiB": lambda entry: f"{entry.peak / 2**20:.0f}",
        "peak less what was there before, in sizes of the weights": lambda entry: (
            f"{(entry.peak - entry.before) / weights:.3f}"
        ),
        "peak of the whole process, in sizes of the weights": lambda entry: (
            f"{entry.peak / weights:.3f}"
        ),
    }
    lines += [
        f"| {row} | {' | '.join(tell(loading[name]) for name in names)} |"
        for row, tell in memory.items()
    ]
    if len(names) == 1:
        lines += ["", "The package liquid-audio was not importable, so its column is missing."]
    return "\n".join(lines)


def machine(device: str) -> str:
    """Return what computed, in words."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_properties(device).name)
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{model}, {torch.get_num_threads()} cores used"


def write(path: Path, device: str, table: str) -> None:
    """Put the table between this device's marks in the document; what stands around them stays."""
    kind = device.split(":", maxsplit=1)[0]
    begin, end = BEGIN.format(device=kind), END.format(device=kind)
    text = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n## {kind.upper()}\n\n{begin}\n{end}\n"
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}{begin}\n\n{table}\n\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
