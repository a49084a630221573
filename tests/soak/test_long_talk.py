"""An hour of talk: what is kept is bounded, and the last answers come as fast as the first, and are as right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 60
# Gained in an hour, by a line through the second half: no more than allocators waver, 1 % of what the processes have. The
# first half is left out: for each new length of sound torch keeps a kernel, up to a number.
MOST_DAEMON_MB, MOST_ENGINE_MB = 2.0, 10.0
# Of the wait for a reply, against a talk that has just begun.
MOST_SLOWER = 1.2
LEAST_RIGHT = 0.8


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_an_hour_of_talk_leaves_memory_latency_and_answers_as_they_were() -> None:
    command = [sys.executable, "-m", "tests.soak.long_talk", "--minutes", str(MINUTES)]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    figures = json.loads(result.stdout)
    print(figures)
    assert figures["minutes"] >= MINUTES
    assert figures["num_turns"] > 500
    assert figures["num_sheds"] > 100
    assert figures["most_positions"] <= figures["limit"]
    assert set(figures["ended"]) <= {"end", "interrupted"}
    assert len(figures["notices"]) == 1  # That the memory of the talk is full.
    assert figures["daemon_slope_mb"] <= MOST_DAEMON_MB
    assert figures["engine_slope_mb"] <= MOST_ENGINE_MB
    assert figures["aged_wait_s"] <= MOST_SLOWER * figures["fresh_wait_s"]
    assert figures["right_last"] >= LEAST_RIGHT
