from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiced.errors import AudioError
from voiced.questions import LONGEST_S, Said, read_question


def tone(path: Path, duration_s: float, rate_hz: int = 16_000, num_channels: int = 1) -> Path:
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    wave = 0.5 * np.sin(2 * np.pi * 440 * times)
    soundfile.write(path, np.tile(wave[:, None], num_channels), rate_hz)
    return path


@pytest.mark.parametrize(("rate_hz", "num_channels"), [(16_000, 1), (44_100, 2), (192_000, 8)])
def test_any_rate_and_number_of_channels_becomes_mono_at_16_khz(
    tmp_path: Path, rate_hz: int, num_channels: int
) -> None:
    said = read_question(tone(tmp_path / "q.wav", 0.5, rate_hz, num_channels))
    assert said.samples is not None
    assert said.samples.shape == (8000,)
    assert said.samples.dtype == np.float32
    assert said.duration_s == 0.5
    assert said.path == tmp_path / "q.wav"


def test_text_takes_no_time() -> None:
    assert Said(text="Hello").duration_s == 0


def test_ten_milliseconds_are_too_short(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"lasts 10\.0 ms: expected at least 20 ms"):
        read_question(tone(tmp_path / "q.wav", 0.01))


def test_a_turn_of_an_hour_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    path = tone(tmp_path / "q.wav", LONGEST_S + 1, 8000)
    with pytest.raises(AudioError, match=r"longer than 120 s.*voiced asr"):
        read_question(path)


def test_a_recording_of_the_longest_turn_is_read(tmp_path: Path) -> None:
    assert read_question(tone(tmp_path / "q.wav", LONGEST_S, 8000)).duration_s == LONGEST_S
