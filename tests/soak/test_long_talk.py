"""An hour of talk: what is kept is bounded, and the last answers come as fast as the first, and are as right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 60
# The highest of the last quarter against the highest of the second. Memory is given back and taken again by steps of 2 MB, which
# a line through all points takes for growth; and in the first quarter torch keeps kernels for each new length of sound.
MOST_DAEMON_MB, MOST_ENGINE_MB = 2.0, 10.0
# Of the wait for a reply, against a talk that has just begun.
MOST_SLOWER = 1.2
LEAST_RIGHT = 0.8


def growth_mb(memory: list[dict[str, float]], which: str) -> float:
    """Return how much higher the last quarter is than the second."""
    values, quarter = [one[which] for one in memory], len(memory) // 4
    return max(values[-quarter:]) - max(values[quarter : 2 * quarter])


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
    assert growth_mb(figures["memory"], "daemon_mb") <= MOST_DAEMON_MB
    assert growth_mb(figures["memory"], "engine_mb") <= MOST_ENGINE_MB
    assert figures["aged_wait_s"] <= MOST_SLOWER * figures["fresh_wait_s"]
    assert figures["right_last"] >= LEAST_RIGHT
