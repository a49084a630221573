"""An hour of speech through the whole command, with a real voice detector and a real, tiny model."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from tests.speech import say
from voiced.segments import MAX_WINDOWS, WINDOW_SAMPLES

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "tests" / "data" / "golden" / "checkpoint"
HOUR_S = 3600
SENTENCES = (
    "The meeting begins with the figures of the last quarter.",
    "Nobody expected the harbour to freeze so early in the year, but it did, and the ferries stayed where they were.",
    "Yes.",
    "Please read the second paragraph again, and slowly.",
)


def write_hour(path: Path, folder: Path) -> None:
    """Write sentences in random order with random pauses, none of them rounded to anything."""
    spoken = [soundfile.read(say(s, folder / "a.wav"), dtype="float32") for s in SENTENCES]
    rate_hz = spoken[0][1]
    rng = np.random.default_rng(0)
    num_written = 0
    with soundfile.SoundFile(path, "w", rate_hz, 1) as file:
        while num_written < HOUR_S * rate_hz:
            sound = spoken[rng.integers(len(spoken))][0]
            pause = np.zeros(round(rng.exponential(1.5) * rate_hz), np.float32)
            file.write(np.concatenate([sound, pause]))
            num_written += len(sound) + len(pause)


def seconds(timestamp: str) -> float:
    hours, minutes, rest = timestamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_an_hour_is_transcribed_in_constant_memory(tmp_path: Path) -> None:
    write_hour(tmp_path / "hour.flac", tmp_path)
    times: list[tuple[float, float]] = []
    memory: list[int] = []

    command = [sys.executable, "-m", "voiced.cli.main", "asr", "--format", "srt"]
    model = ["--model", str(CHECKPOINT), "--device", "cpu"]
    with subprocess.Popen(
        [*command, *model, str(tmp_path / "hour.flac")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "-->" in line:
                start, end = line.split(" --> ")
                times.append((seconds(start), seconds(end)))
                memory.append(psutil.Process(process.pid).memory_info().rss)

    assert process.returncode == 0
    assert len(times) > 100
    assert times[-1][1] > HOUR_S - 60
    longest_s = MAX_WINDOWS * WINDOW_SAMPLES / 16_000
    assert all(0 < end - start <= longest_s for start, end in times)
    assert all(before[1] <= after[0] for before, after in pairwise(times))
    # In the first quarter pieces of most lengths have come, and torch's caches of kernels are full.
    quarter = len(memory) // 4
    assert max(memory) - max(memory[:quarter]) < 64e6
