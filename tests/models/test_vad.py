"""The voice detector hears voices and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.reading import open_audio
from models.errors import RangeError
from models.vad import RATE_HZ, WINDOW_SAMPLES, VoiceDetector
from tests.speech import say


def probabilities(
    sound: NDArray[np.float32], detector: VoiceDetector | None = None
) -> NDArray[np.float64]:
    detector = detector or VoiceDetector()
    starts = range(0, len(sound) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES)
    return np.array([detector.push(sound[i : i + WINDOW_SAMPLES]) for i in starts])


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float32]:
    path = say(
        "The quick brown fox jumps over the lazy dog.", tmp_path_factory.mktemp("vad") / "a.wav"
    )
    with open_audio(path, rate_hz=RATE_HZ) as reader:
        return np.concatenate([chunk.samples for chunk in reader])


def test_speech_is_heard(speech: NDArray[np.float32]) -> None:
    assert (probabilities(speech) > 0.5).mean() > 0.6


@pytest.mark.parametrize(
    ("gain", "offset"), [(0.01, 0.0), (0.3, 0.5), (20, 0)], ids=["faint", "offset", "clipped"]
)
def test_speech_recorded_badly_is_heard(
    speech: NDArray[np.float32], gain: float, offset: float
) -> None:
    assert (probabilities(speech * np.float32(gain) + np.float32(offset)) > 0.5).mean() > 0.4


def test_silence_noise_and_tones_are_no_voice() -> None:
    num = 3 * RATE_HZ
    silence = np.zeros(num, np.float32)
    noise = (0.1 * np.random.default_rng(0).standard_normal(num)).astype(np.float32)
    tone = (0.3 * np.sin(np.arange(num) * 2 * np.pi * 440 / RATE_HZ)).astype(np.float32)
    for sound in (silence, noise, tone):
        assert probabilities(sound).max() < 0.35


def test_after_a_reset_everything_before_is_forgotten(speech: NDArray[np.float32]) -> None:
    detector = VoiceDetector()
    first = probabilities(speech, detector)
    detector.reset()

    np.testing.assert_array_equal(probabilities(speech, detector), first)


@pytest.mark.parametrize("num_samples", [0, 1, 511, 513])
def test_a_window_of_another_size_is_refused(num_samples: int) -> None:
    with pytest.raises(RangeError, match=r"expected \(512,\)"):
        VoiceDetector().push(np.zeros(num_samples, np.float32))


def test_the_detector_needs_no_torch() -> None:
    code = "import sys, models.vad; models.vad.VoiceDetector(); sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_the_detector_reports_nothing_to_anybody(tmp_path: Path) -> None:
    program = (
        "import numpy as np; from models.vad import *; "
        "detector = VoiceDetector(); detector.push(np.zeros(WINDOW_SAMPLES, np.float32))"
    )
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env=environment | places,
        check=True,
    )
    # Where its telemetry is on, onnxruntime keeps a device id and a queue of events here.
    assert not (tmp_path / "Microsoft").exists()
