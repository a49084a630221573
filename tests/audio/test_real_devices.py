"""Real sound devices, of a virtual sound server: what is said to the microphone arrives, what is said to the speaker too."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.virtual_sound import VirtualSound, virtual_sound

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 48_000
PLAY_S = 2.0

pytestmark = pytest.mark.device


def tone(frequency_hz: float, seconds: float) -> bytes:
    phase = 2 * np.pi * frequency_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (8000 * np.sin(phase)).astype("<i2").tobytes()


def pitch_hz(samples: NDArray[np.float64]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / RATE_HZ)[int(np.argmax(spectrum))])


def start_probe(sound: VirtualSound, *arguments: str) -> "subprocess.Popen[str]":
    probe = subprocess.Popen(
        [sys.executable, "-m", "tests.audio.real_sound_probe", str(PLAY_S), *arguments],
        cwd=ROOT,
        env=sound.environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert probe.stdout is not None
    if probe.stdout.readline().strip() != "ready":
        _, error = probe.communicate(timeout=30)
        if "sounddevice" in error or "PortAudio" in error:
            pytest.skip(f"no PortAudio: {error.splitlines()[-1]}")
        pytest.fail(error)
    return probe


def test_both_virtual_devices_carry_what_was_said(tmp_path: Path) -> None:
    raw = ["--rate=48000", "--channels=1", "--format=s16le", "--raw"]
    with virtual_sound(tmp_path) as sound:
        probe = start_probe(sound)
        recorder = subprocess.Popen(
            ["parec", f"--device={sound.speaker}", *raw],
            env=sound.environment,
            stdout=subprocess.PIPE,
        )
        subprocess.run(
            ["pacat", "--playback", f"--device={sound.microphone}", *raw],
            env=sound.environment,
            input=tone(700, PLAY_S),
            check=True,
            timeout=30,
        )
        output, error = probe.communicate(timeout=30)
        recorder.terminate()
        played, _ = recorder.communicate(timeout=10)
    found = json.loads(output)
    spoken = np.frombuffer(played[: len(played) // 2 * 2], "<i2").astype(np.float64)
    assert found["pitch_hz"] == pytest.approx(700, abs=2), error
    assert pitch_hz(spoken) == pytest.approx(440, abs=2)
    assert found["num_played"] == round(PLAY_S * 24_000)
    assert found["num_underruns"] == 0
    assert found["events"].count("DeviceOpened") == 2
    assert found["events"].count("DeviceClosed") == 2
    assert found["looked"] == found["devices"]


def test_a_sound_server_that_stood_still_is_missed_and_used_again(tmp_path: Path) -> None:
    with virtual_sound(tmp_path) as sound:
        output, error = start_probe(sound, str(sound.server)).communicate(timeout=60)
    assert output, error
    events = json.loads(output)["events"]
    assert events.count("DeviceLost") == 2
    assert events.count("DeviceOpened") == 4
    assert events[-2:] == ["DeviceClosed", "DeviceClosed"]
