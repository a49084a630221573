"""A private PulseAudio with a virtual microphone and speaker, for tests of real sound devices without hardware."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = "pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
PROGRAMS = ("pulseaudio", "pactl", "pacat", "parec")
START_S = 10.0
SETTINGS = "default.pa"


@dataclass(slots=True)
class VirtualSound:
    """A running sound server.

    Attributes:
        folder: for what it keeps.
        environment: what a program needs to find it; its default devices are the virtual ones.
        microphone: what is played to this sink is heard by the default microphone.
        speaker: what is played by default is recorded from this source.
    """

    folder: Path
    environment: dict[str, str]
    microphone: str = "virtual_microphone"
    speaker: str = "virtual_speaker.monitor"
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def server(self) -> int:
        """Number of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, for the first time or again, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *("pulseaudio", "-n", "-F", str(self.folder / SETTINGS), "--daemonize=no"),
                *("--exit-idle-time=-1", "--use-pid-file=no", "--disallow-exit", "--realtime=no"),
                *("--high-priority=no", f"--log-target=file:{self.folder / 'log'}"),
            ],
            env=self.environment,
        )
        _wait_until_it_answers(self, self._process)

    def kill(self) -> None:
        """End the server as a crash does; `start` starts another."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def control(self, *arguments: str) -> str:
        """Run pactl, the sound server's remote control."""
        return subprocess.run(
            ["pactl", *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout


@contextlib.contextmanager
def virtual_sound(folder: Path) -> Iterator[VirtualSound]:
    """Start a sound server in `folder` and end it afterwards; skips the test where it is not installed."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: apt-get install {PACKAGES})")
    _write_settings(folder)
    sound = VirtualSound(folder, _environment(folder))
    try:
        sound.start()
        yield sound
    finally:
        sound.kill()


def _environment(folder: Path) -> dict[str, str]:
    # Runtime folders must be ours alone; a short latency asked of the server makes its output stand still.
    folder.chmod(0o700)
    added = {
        "XDG_RUNTIME_DIR": str(folder),
        "PULSE_SERVER": f"unix:{folder / 'socket'}",
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_STATE_PATH": str(folder),
        "PULSE_COOKIE": str(folder / "cookie"),
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
    }
    kept = {name: value for name, value in os.environ.items() if name != "PULSE_LATENCY_MSEC"}
    return kept | added


def _write_settings(folder: Path) -> None:
    (folder / "asound.conf").write_text(
        "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n"
    )
    (folder / SETTINGS).write_text(
        f"load-module module-native-protocol-unix auth-anonymous=1 socket={folder / 'socket'}\n"
        "load-module module-null-sink sink_name=virtual_microphone rate=48000 channels=2\n"
        "load-module module-null-sink sink_name=virtual_speaker rate=48000 channels=2\n"
        "load-module module-remap-source master=virtual_microphone.monitor source_name=virtual_source\n"
        "set-default-sink virtual_speaker\n"
        "set-default-source virtual_source\n"
    )


def _wait_until_it_answers(sound: VirtualSound, server: "subprocess.Popen[bytes]") -> None:
    """Wait for the server's first answer: there is no event for it that could be waited for."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(subprocess.SubprocessError):
            if "virtual_source" in sound.control("list", "short", "sources"):
                return
        time.sleep(0.1)
    pytest.skip("the sound server did not start here")
