"""A live talk through virtual devices: how long one waits, how fast it falls silent, and what it costs while nobody speaks.

Run: python -m benchmarks.live_talk --turns 20

`voiced run` talks to a PulseAudio of its own, with a null sink as microphone and another one as speaker. Both are recorded by
one clock, so that what a person would hear is measured from outside; the ledger's figures stand beside.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
import soxr

from audio.chunk import Samples
from protocols.events import TurnTimed, decode_line
from tests.speech import say
from tests.virtual_sound import VirtualSound, virtual_sound
from voiced.ledger import percentile, percentile_lines
from voiced.session_recording import EVENTS, SPEAKER

ROOT = Path(__file__).parents[1]
RATE_HZ = 48_000
RAW = ("--raw", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le")
QUESTIONS = (
    "turn on the kitchen light",
    "what can you do",
    "how are you today",
    "set a timer for five minutes please",
    "good morning",
)
LONG = "could you count to eight"
INTERRUPTION = "turn on the light in the kitchen please"
LOUD = 0.01
LISTENING_S = 20.0
BETWEEN_S = 1.0  # From the end of a reply to the next question.
INTERRUPT_AFTER_S = 0.8
PATIENCE_S = 60.0


class Recorder:
    """Records one side from now on, and knows when each sample was taken."""

    def __init__(self, sound: VirtualSound, source: str) -> None:
        self._process = subprocess.Popen(
            ["parec", "--latency-msec=10", f"--device={source}", *RAW],
            env=sound.environment,
            stdout=subprocess.PIPE,
        )
        self._pieces: list[bytes] = []
        self._begun_s = float("inf")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> tuple[Samples, float]:
        """Return all that was recorded, and when its first sample was taken."""
        self._process.terminate()
        self._thread.join()
        data = b"".join(self._pieces)
        samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(
            32768
        )
        return samples, self._begun_s

    def _read(self) -> None:
        num_bytes = 0
        assert self._process.stdout is not None
        while data := self._process.stdout.read1(4096):  # type: ignore[attr-defined]  # Buffered.
            num_bytes += len(data)
            self._pieces.append(data)
            # No sample arrives before it was taken: the earliest of these is the least delayed.
            self._begun_s = min(self._begun_s, time.monotonic() - num_bytes / 2 / RATE_HZ)


class Talk:
    """A running `voiced run --json` and what it tells."""

    def __init__(self, sound: VirtualSound, folder: Path, options: list[str]) -> None:
        self._sound, self._folder = sound, folder
        self.talks = folder / "talks"
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        command = [sys.executable, "-m", "voiced.cli.main", "run", "--json", "--timings"]
        self.process = subprocess.Popen(
            [*command, "--record", str(self.talks), *options],
            cwd=ROOT,
            env=sound.environment | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def num(self, is_it: Callable[[dict[str, Any]], bool]) -> int:
        """Return how many such events were told."""
        with self._changed:
            return sum(map(is_it, self._events))

    def wait_for(self, is_it: Callable[[dict[str, Any]], bool], num: int = 1) -> None:
        """Wait until so many such events were told."""
        until_s = time.monotonic() + PATIENCE_S
        with self._changed:
            while sum(map(is_it, self._events)) < num:
                if not self._changed.wait(until_s - time.monotonic()):
                    sys.exit(f"benchmarks: nothing came of it: {self._events[-5:]}")

    def say(self, text: str) -> None:
        """Say `text` to the microphone; returns when it has been said."""
        samples, rate_hz = soundfile.read(say(text, self._folder / "said.wav"), dtype="float32")
        sound = 0.5 * soxr.resample(samples, rate_hz, RATE_HZ)
        subprocess.run(
            ["pacat", "--playback", f"--device={self._sound.microphone}", *RAW],
            env=self._sound.environment,
            input=(sound * 32767).astype("<i2").tobytes(),
            check=True,
        )

    def answer(self, text: str) -> None:
        """Ask, and wait until the reply is over."""
        before = self.num(is_timed)
        self.say(text)
        self.wait_for(is_timed, before + 1)
        time.sleep(BETWEEN_S)

    def interrupt(self) -> None:
        """Ask for a long reply, speak over it, and wait until both are over."""
        before, sounding = self.num(is_timed), self.num(is_speaking)
        self.say(LONG)
        self.wait_for(is_speaking, sounding + 1)
        time.sleep(INTERRUPT_AFTER_S)
        self.say(INTERRUPTION)
        self.wait_for(is_timed, before + 2)
        time.sleep(BETWEEN_S)

    def end(self) -> Path:
        """Quit; return the folder of the recorded talk."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        [folder] = self.talks.iterdir()
        return folder

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify_all()


def is_timed(event: dict[str, Any]) -> bool:
    """Tell whether an exchange is over."""
    return bool(event["event"] == "turn_timed")


def is_speaking(event: dict[str, Any]) -> bool:
    """Tell whether a reply began to sound."""
    return bool(event["event"] == "state_changed" and event["state"] == "speaking")


def runs(sound: Samples, begun_s: float, gap_s: float) -> list[tuple[float, float]]:
    """Return begin and end of what sounds, on the recorders' clock; shorter silences than `gap_s` are part of it."""
    loud = np.flatnonzero(np.abs(sound) > LOUD) / RATE_HZ + begun_s
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > gap_s)
    begins = [loud[0], *loud[breaks + 1]]
    return list(zip(map(float, begins), map(float, [*loud[breaks], loud[-1]]), strict=True))


def mouth_to_ear(
    heard: list[tuple[float, float]], played: list[tuple[float, float]]
) -> list[float]:
    """Return how long after each thing that was said a reply began to sound."""
    waits = []
    for (_, end_s), later in zip(heard, [*heard[1:], (float("inf"), 0.0)], strict=True):
        begins = [begin_s for begin_s, _ in played if end_s < begin_s < later[0]]
        waits += [begins[0] - end_s] if begins else []
    return waits


def interruptions(
    heard: list[tuple[float, float]], played: list[tuple[float, float]]
) -> list[float]:
    """Return how long a voice over a reply took to silence it."""
    return [
        end_s - voice_s
        for voice_s, _ in heard
        for begin_s, end_s in played
        if begin_s < voice_s < end_s
    ]


def silences(folder: Path) -> list[float]:
    """Return how long after each detection the speaker was given sound, by the talk's own recording."""
    sound, rate_hz = soundfile.read(folder / SPEAKER, dtype="float32")
    waits = []
    for line in (folder / EVENTS).read_text().splitlines():
        fields = json.loads(line)
        if fields.get("event") == "turn_timed" and fields["barged_in_s"] and fields["held_s"]:
            held_s = fields["held_s"]
            near = sound[round((held_s - 0.1) * rate_hz) : round((held_s + 0.5) * rate_hz)]
            loud = np.flatnonzero(np.abs(near) > LOUD)
            waits += [loud[-1] / rate_hz - 0.1] if len(loud) else []
    return waits


def line(name: str, waits: list[float]) -> str:
    """Return a row of the report."""
    ordered = sorted(max(0.0, wait) for wait in waits)
    if not ordered:
        return f"{name}: none"
    p50, p95 = percentile(ordered, 50), percentile(ordered, 95)
    return f"{name}: p50 {1000 * p50:.0f}, p95 {1000 * p95:.0f}, most {1000 * ordered[-1]:.0f} ms ({len(ordered)})"


def shares(pid: int) -> dict[str, tuple[float, int]]:
    """Return processor seconds and resident bytes of the daemon, the sound devices together, and the engine."""
    daemon = psutil.Process(pid)
    *devices, engine = sorted(
        daemon.children(recursive=True), key=lambda child: int(child.memory_info().rss)
    )
    named = {"daemon": [daemon], "sound devices": devices, "engine": [engine]}
    return {
        name: (
            sum(sum(process.cpu_times()[:2]) for process in processes),
            sum(process.memory_info().rss for process in processes),
        )
        for name, processes in named.items()
    }


def main() -> None:
    """Parse the command line, talk, and print."""
    parser = argparse.ArgumentParser(description="Time a live talk through virtual devices.")
    parser.add_argument("--turns", type=int, default=20, help="questions (default: 20)")
    parser.add_argument("--interruptions", type=int, default=10, help="replies that are cut off")
    parser.add_argument("options", nargs="*", help="further options of voiced run, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, virtual_sound(Path(name)) as sound:
        talk = Talk(sound, Path(name), args.options)
        try:
            talk.wait_for(lambda e: e["event"] == "state_changed" and e["state"] == "listening")
            time.sleep(3.0)  # The devices begin.
            before = shares(talk.process.pid)
            time.sleep(LISTENING_S)
            for process, (seconds, num_bytes) in shares(talk.process.pid).items():
                share = (seconds - before[process][0]) / LISTENING_S
                print(f"{process} while listening: {share:.1%} of a core, {num_bytes / 1e6:.0f} MB")
            sides = [Recorder(sound, f"{sound.microphone}.monitor"), Recorder(sound, sound.speaker)]
            time.sleep(0.5)
            for turn in range(args.turns):
                talk.answer(QUESTIONS[turn % len(QUESTIONS)])
            for _ in range(args.interruptions):
                talk.interrupt()
            heard, played = (runs(*side.end(), gap_s=0.5) for side in sides)
            folder = talk.end()
        finally:
            talk.process.kill()
        print(line("end of voice to reply, heard from outside", mouth_to_ear(heard, played)))
        print(
            line(
                "begin of a voice over a reply to silence, from outside",
                interruptions(heard, played),
            )
        )
        print(line("detection to the last sound that the speaker was given", silences(folder)))
        events = [json.loads(text) for text in (folder / EVENTS).read_text().splitlines()]
        timed = [decode_line(json.dumps(e)) for e in events if e.get("event") == "turn_timed"]
        print(*percentile_lines(t for t in timed if isinstance(t, TurnTimed)), sep="\n")


if __name__ == "__main__":
    main()
