"""`voiced run` as a user has it: spoken to through a virtual microphone, heard at a virtual speaker, with voiced-mini."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import soxr

from tests.speech import say
from tests.virtual_sound import VirtualSound, virtual_sound
from training.distance import word_errors
from voiced.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
RATE_HZ = 48_000
RAW = ["--raw", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le"]

pytestmark = [pytest.mark.device, pytest.mark.timeout(180)]


def ask(sound: VirtualSound, folder: Path, *texts: str, after_s: float = 0.1) -> None:
    """Say `texts` to the virtual microphone, each after so much silence; returns when all has been said."""
    parts = []
    for text in texts:
        samples, rate_hz = soundfile.read(say(text, folder / "said.wav"), dtype="float32")
        parts += [np.zeros(round(after_s * RATE_HZ)), soxr.resample(samples, rate_hz, RATE_HZ)]
    subprocess.run(
        ["pacat", "--playback", "--latency-msec=100", f"--device={sound.microphone}", *RAW],
        env=sound.environment,
        input=(0.5 * np.concatenate(parts) * 32767).astype("<i2").tobytes(),
        check=True,
        timeout=60,
    )


class RunningTalk:
    """A running `voiced run --json`, its virtual devices, and everything that it told."""

    def __init__(self, sound: VirtualSound, folder: Path, *options: str) -> None:
        self.sound, self._folder = sound, folder
        command = [sys.executable, "-m", "voiced.cli.main", "run", "--json"]
        self.events: list[dict[str, Any]] = []
        self.errors = ""  # What stood on standard error, once it has ended.
        self.process = subprocess.Popen(
            [*command, "--model", "voiced-mini", *options],
            cwd=ROOT,
            env=sound.environment | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next event that is the one looked for; the test's timeout ends a wait in vain."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            self.events.append(event)
            if is_it(event):
                return event
        assert self.process.stderr is not None
        raise AssertionError(self.process.stderr.read())

    def wait_for_reply(self) -> dict[str, Any]:
        """Return the end of the next reply."""
        return self.wait_for(lambda e: e["event"] == "turn_ended" and e["role"] == "assistant")

    def wait_for_notices(self, *beginnings: str) -> None:
        """Wait until notices with these beginnings were told, in any order."""
        missing = list(beginnings)
        while missing:
            text = self.wait_for(lambda e: e["event"] == "noticed")["text"]
            missing = [beginning for beginning in missing if not text.startswith(beginning)]

    def wait_for_state(self, state: str) -> None:
        """Wait until this goes on."""
        self.wait_for(lambda e: e["event"] == "state_changed" and e["state"] == state)

    def ask(self, *texts: str, after_s: float = 0.1) -> None:
        """Say `texts` to the microphone, each after so much silence; returns when all has been said."""
        ask(self.sound, self._folder, *texts, after_s=after_s)

    def record(self, path: Path) -> "subprocess.Popen[bytes]":
        """Begin to record what the speaker plays, raw; for `recorded`."""
        with path.open("wb") as file:
            return subprocess.Popen(
                ["parec", "--latency-msec=50", f"--device={self.sound.speaker}", *RAW],
                env=self.sound.environment,
                stdout=file,
            )

    @property
    def engine(self) -> int:
        """Number of the engine's process."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return int(max(children, key=lambda child: child.memory_info().rss).pid)

    def end(self) -> int:
        """Quit; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        _, self.errors = self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[RunningTalk]:
    with running(tmp_path, "listening") as talk:
        yield talk


@contextmanager
def running(folder: Path, state: str, *options: str) -> Iterator[RunningTalk]:
    """Run the assistant with these options, until it is in this state and has its devices."""
    with virtual_sound(folder) as sound:
        talk = RunningTalk(sound, folder, *options)
        try:
            talk.wait_for_state(state)
            talk.wait_for_notices("microphone", "speaker")
            yield talk
        finally:
            talk.process.kill()
            talk.process.communicate()


def recorded(recorder: "subprocess.Popen[bytes]", path: Path) -> Path:
    """End a recording and return it as a WAV file."""
    recorder.terminate()
    recorder.wait(30)
    sound = path.read_bytes()
    soundfile.write(
        path.with_suffix(".wav"), np.frombuffer(sound[: len(sound) // 2 * 2], "<i2"), RATE_HZ
    )
    return path.with_suffix(".wav")


def test_a_spoken_question_and_its_follow_up_are_answered_aloud(
    talk: RunningTalk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = talk.record(tmp_path / "reply.raw")
    talk.ask("turn on the kitchen light")
    assert talk.wait_for_reply()["text"].strip() == "the kitchen light is on"
    sound = recorded(recorder, tmp_path / "reply.raw")
    assert main(["asr", str(sound), "--model", "voiced-mini"]) == 0
    heard = capsys.readouterr().out.split()
    assert word_errors("the kitchen light is on".split(), heard) <= 1
    talk.ask("and in the bedroom")
    assert talk.wait_for_reply()["text"].strip() == "the bedroom light is on"
    words = [e["text"].strip() for e in talk.events if e["event"] == "transcribed"]
    assert "turn on the kitchen light" in words
    assert talk.end() == 0


def test_speaking_over_the_reply_cuts_it_and_is_answered(talk: RunningTalk) -> None:
    talk.ask("could you count to eight")
    talk.wait_for_state("speaking")
    talk.ask("turn on the light in the kitchen please", after_s=0.7)
    cut = talk.wait_for_reply()
    assert cut["ended"] == "interrupted"
    assert len(cut["text"].split()) < 8
    assert talk.wait_for_reply()["ended"] == "end"


def test_a_killed_engine_is_told_and_the_next_one_knows_the_conversation(
    talk: RunningTalk,
) -> None:
    talk.ask("turn on the kitchen light")
    talk.wait_for_reply()
    os.kill(talk.engine, signal.SIGKILL)
    notice = talk.wait_for(lambda e: e["event"] == "noticed")
    assert "the engine is gone" in notice["text"]
    talk.ask("and in the bedroom")  # While another one is being started.
    assert talk.wait_for_reply()["text"].strip() == "the bedroom light is on"


def test_asleep_it_answers_only_what_follows_the_wake_word(tmp_path: Path) -> None:
    pytest.importorskip("pymicro_wakeword", reason="not installed (pip install voiced[wake])")
    with running(tmp_path, "asleep", "--wake-word", "alexa") as talk:
        talk.ask("turn on the kitchen light")
        talk.ask("alexa", "turn on the bedroom light", after_s=0.4)
        assert talk.wait_for_reply()["text"].strip() == "the bedroom light is on"
        states = [event["state"] for event in talk.events if event["event"] == "state_changed"]
        assert states[:2] == ["loading", "asleep"]
        asked = [e for e in talk.events if e["event"] == "turn_ended" and e["role"] == "user"]
        assert len(asked) == 1
        talk.wait_for_state("asleep")


def test_devices_that_stand_still_are_told_and_the_talk_goes_on_with_them(
    talk: RunningTalk,
) -> None:
    os.kill(talk.sound.server, signal.SIGSTOP)
    try:
        talk.wait_for_notices("microphone 'default' is gone", "speaker 'default' is gone")
    finally:
        os.kill(talk.sound.server, signal.SIGCONT)
    talk.wait_for_notices("microphone 'default' at", "speaker 'default' at")
    talk.ask("turn on the kitchen light", after_s=2.0)
    assert talk.wait_for_reply()["text"].strip() == "the kitchen light is on"


def test_a_sound_server_that_dies_is_told_and_the_talk_goes_on_with_the_next(
    talk: RunningTalk,
) -> None:
    talk.ask("could you count to eight")
    talk.wait_for_state("speaking")
    talk.sound.kill()
    talk.wait_for_notices("microphone 'default' is gone", "speaker 'default' is gone")
    talk.sound.start()
    talk.wait_for_notices("microphone 'default' at", "speaker 'default' at")
    talk.ask("turn on the kitchen light", after_s=2.0)
    talk.wait_for(lambda e: e["event"] == "turn_ended" and "kitchen" in e["text"])
    assert talk.end() == 0
    assert len(talk.errors.splitlines()) == 1  # Which model answers.


class TerminalTalk:
    """`voiced run` in a terminal of its own, recorded; driven by keys."""

    def __init__(self, sound: VirtualSound, folder: Path) -> None:
        self._sound, self._talks = sound, folder / "talks"
        self._terminal, slave = pty.openpty()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "voiced.cli.main", "run", "--model", "voiced-mini"),
                *("--record", str(self._talks)),
            ],
            cwd=ROOT,
            env=sound.environment
            | {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder), "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # No threads yet.
        )
        os.close(slave)
        threading.Thread(target=self._read, daemon=True).start()

    def press(self, key: str) -> None:
        os.write(self._terminal, key.encode())

    def wait_for(self, num: int, **fields: str) -> None:
        """Wait until so many events with these fields were recorded."""
        until_s = time.monotonic() + 60
        while self.num(**fields) < num:
            assert time.monotonic() < until_s, self._events()
            time.sleep(0.05)

    def num(self, **fields: str) -> int:
        return sum(fields.items() <= event.items() for event in self._events())

    def wait_for_captures(self, num: int) -> None:
        """Wait until so many programs record; the server's own loops are none."""
        until_s = time.monotonic() + 30
        while num != sum(
            "protocol-native" in line
            for line in self._sound.control("list", "short", "source-outputs").splitlines()
        ):
            assert time.monotonic() < until_s
            time.sleep(0.05)

    def _events(self) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in self._talks.glob("*/events.jsonl")]
        lines = [line for text in texts for line in text.splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Its end.
            while os.read(self._terminal, 65536):
                pass
        os.close(self._terminal)


def test_muted_by_a_key_nothing_records_and_nothing_is_heard(tmp_path: Path) -> None:
    with virtual_sound(tmp_path) as sound:
        talk = TerminalTalk(sound, tmp_path)
        try:
            talk.wait_for(1, event="state_changed", state="listening")
            talk.wait_for_captures(1)
            talk.press("m")
            talk.wait_for(1, event="state_changed", state="muted")
            talk.wait_for_captures(0)
            ask(sound, tmp_path, "turn on the kitchen light")
            talk.press("m")
            talk.wait_for(2, event="state_changed", state="listening")
            talk.wait_for_captures(1)
            ask(sound, tmp_path, "turn on the bedroom light", after_s=1.5)
            talk.wait_for(1, event="turn_ended", role="assistant", text="the bedroom light is on")
            assert talk.num(event="turn_ended", role="user") == 1
            talk.press("q")
            assert talk.process.wait(30) == 0
        finally:
            talk.process.kill()
            talk.process.wait()
    for side in ("microphone.wav", "speaker.wav"):
        [path] = (tmp_path / "talks").glob(f"*/{side}")
        assert soundfile.info(path).duration > 5
