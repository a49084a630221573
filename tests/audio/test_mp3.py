"""MP3 files whose length is missing or wrong are read whole."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.mp3 import read_layout
from audio.reading import open_audio


def sound(seconds: float, rate_hz: int) -> NDArray[np.float32]:
    """Return noise that is loud in its first half, so that bit rates vary."""
    noise = (
        np.random.default_rng(0).standard_normal(round(seconds * rate_hz)).astype(np.float32) * 0.1
    )
    noise[len(noise) // 2 :] *= 0.001
    return noise


def mp3(seconds: float, rate_hz: int = 48_000) -> bytes:
    stream = io.BytesIO()
    soundfile.write(
        stream, sound(seconds, rate_hz), rate_hz, format="MP3", subtype="MPEG_LAYER_III"
    )
    return stream.getvalue()


def without_length(content: bytes) -> bytes:
    layout = read_layout(io.BytesIO(content))
    assert layout is not None
    assert layout.promised_frames is not None
    return content[layout.start :]


def duration_s(content: bytes) -> float:
    with open_audio(io.BytesIO(content)) as reader:
        return sum(len(chunk.samples) for chunk in reader) / 16_000


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 22_050, 8_000])
def test_a_file_without_a_length_is_read_to_its_end(rate_hz: int) -> None:
    # What the missing frame would have told to leave out stays in: less than four frames.
    assert 10 <= duration_s(without_length(mp3(10, rate_hz))) <= 10 + 4 * 1152 / rate_hz


def test_files_put_together_are_read_to_the_end() -> None:
    assert duration_s(mp3(3) + mp3(5)) == pytest.approx(8, abs=0.2)


def test_a_tag_before_and_behind_the_sound_is_skipped() -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 20, 0]) + b"\xff\xfb\x90\x44" * 640
    content = tag + mp3(2) + b"TAG" + b"x" * 125

    assert duration_s(content) == pytest.approx(2, abs=0.1)


def test_what_is_no_mp3_has_no_layout() -> None:
    for content in (
        b"",
        b"\xff",
        b"RIFF",
        b"\xff\xfb\x90\x44",
        b"ID3",
        bytes(1000),
        b"\xff" * 1000,
    ):
        assert read_layout(io.BytesIO(content)) is None


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=100)
def test_no_content_breaks_the_count_of_frames(content: bytes) -> None:
    read_layout(io.BytesIO(content))
    read_layout(io.BytesIO(b"\xff\xfb\x90\x44" + content))


def test_frames_of_a_long_file_are_all_counted() -> None:
    layout = read_layout(io.BytesIO(without_length(mp3(10)) * 36))

    assert layout is not None
    assert layout.duration_s == pytest.approx(360, abs=2)
