"""Every kind of recording is read as mono at one rate; every broken one is named with what to do."""

import io
import os
import struct
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audio.errors import AudioError, FormatError
from audio.reading import AudioReader, open_audio
from tests.permissions import without_root

RATE_HZ = 16_000


def tone(seconds: float, rate_hz: int, *, hz: float = 440) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(
        np.float32
    )


def write(
    path: Path, samples: NDArray[np.float32], rate_hz: int = RATE_HZ, subtype: str = "PCM_16"
) -> Path:
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def read(source: Path | io.BytesIO) -> NDArray[np.float32]:
    """Return all samples, after checking that the chunks follow one another."""
    with open_audio(source) as reader:
        return gather(reader)[0]


def gather(reader: AudioReader) -> tuple[NDArray[np.float32], AudioError | None]:
    """Return what could be read, and the error that ended it."""
    parts = [np.zeros(0, np.float32)]
    end = 0
    try:
        for chunk in reader:
            assert chunk.start == end
            assert 0 < len(chunk.samples) <= 2 * RATE_HZ
            end = chunk.end
            parts.append(chunk.samples)
    except AudioError as error:
        return np.concatenate(parts), error
    return np.concatenate(parts), None


@pytest.mark.parametrize(
    ("name", "subtype", "rate_hz", "tolerance"),
    [
        ("a.wav", "PCM_16", 44_100, 1e-3),
        ("a.wav", "PCM_24", 48_000, 1e-3),
        ("a.wav", "FLOAT", 8_000, 1e-3),
        ("a.wav", "ULAW", 8_000, 0.02),
        ("a.flac", "PCM_16", 96_000, 1e-3),
        ("a.ogg", "VORBIS", 44_100, 0.05),
        ("a.ogg", "OPUS", 48_000, 0.05),
        ("a.mp3", "MPEG_LAYER_III", 44_100, 0.05),
        ("a.mp3", "MPEG_LAYER_III", 16_000, 0.05),
        ("a.aiff", "PCM_16", 22_050, 1e-3),
    ],
)
def test_any_format_and_rate_is_read_at_16_khz(
    tmp_path: Path, name: str, subtype: str, rate_hz: int, tolerance: float
) -> None:
    path = write(tmp_path / name, tone(3, rate_hz), rate_hz, subtype)

    with open_audio(path) as reader:
        assert reader.duration_s == pytest.approx(3, abs=0.05)
        assert reader.source_rate_hz == rate_hz
        samples, error = gather(reader)

    assert error is None
    assert len(samples) == 3 * RATE_HZ
    # The tone begins and ends abruptly: lossy formats smear that.
    middle = slice(RATE_HZ // 2, -RATE_HZ // 2)
    np.testing.assert_allclose(samples[middle], tone(3, RATE_HZ)[middle], atol=tolerance)


def test_eight_channels_at_192_khz_are_averaged(tmp_path: Path) -> None:
    channels = np.stack([tone(1, 192_000) * gain for gain in range(8)], axis=1) / np.float32(8)
    path = write(tmp_path / "a.wav", channels, 192_000)

    samples = read(path)

    assert len(samples) == RATE_HZ
    np.testing.assert_allclose(samples[500:-500], tone(1, RATE_HZ)[500:-500] * 3.5 / 8, atol=1e-3)


def test_a_stream_in_memory_is_read_from_its_beginning_and_stays_open() -> None:
    stream = io.BytesIO()
    soundfile.write(stream, tone(1, RATE_HZ), RATE_HZ, format="WAV")

    assert len(read(stream)) == RATE_HZ
    assert not stream.closed


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_a_fifo_is_read_to_its_end(tmp_path: Path, name: str) -> None:
    content = write(
        tmp_path / name,
        tone(1, RATE_HZ),
        subtype={"a.mp3": "MPEG_LAYER_III", "a.ogg": "VORBIS"}.get(name, "PCM_16"),
    ).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()

    samples = read(pipe)

    writer.join()
    assert len(samples) == RATE_HZ


def test_an_empty_pipe_is_named() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with (
        os.fdopen(reading, "rb") as stream,
        pytest.raises(AudioError, match=r"the pipe is empty \(0 bytes\): expected"),
    ):
        open_audio(stream, name="the pipe")


def test_clipped_sound_with_an_offset_is_passed_on_as_it_is(tmp_path: Path) -> None:
    sound = np.clip(tone(1, RATE_HZ) * 10 + 0.5, -1, 1 - 2**-15)

    np.testing.assert_allclose(read(write(tmp_path / "a.wav", sound)), sound, atol=2**-15)


def test_float_samples_beyond_one_are_passed_on_as_they_are(tmp_path: Path) -> None:
    sound = tone(1, RATE_HZ) * 30_000

    np.testing.assert_array_equal(read(write(tmp_path / "a.wav", sound, subtype="FLOAT")), sound)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_a_sample_that_is_no_number_is_named_with_its_time_after_all_before_it_was_given(
    tmp_path: Path, bad: float
) -> None:
    sound = tone(3, RATE_HZ)
    sound[40_000] = bad
    with open_audio(write(tmp_path / "a.wav", sound, subtype="FLOAT")) as reader:
        samples, error = gather(reader)

    assert "at 2.5000 s: expected finite numbers" in str(error)
    np.testing.assert_array_equal(samples, sound[:40_000])


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return contents that are no recordings, and what is said of them."""
    whole = io.BytesIO()
    soundfile.write(whole, tone(1, RATE_HZ), RATE_HZ, format="WAV")
    return {
        "text.wav": (
            b"This is not a recording.\n" * 50,
            r"seems to be text \('This is not a record' …\)",
        ),
        "text.mp3": (
            "Auch dies nicht: ähöü.\n".encode() * 50,
            "is not a WAV, FLAC, OGG or MP3 recording",
        ),
        "empty.wav": (b"", r"is empty \(0 bytes\)"),
        "head.wav": (whole.getvalue()[:30], "is damaged or cut off"),
        "video.mp4": (b"\0\0\0\x20ftypisom" + bytes(100), "MP4 or Matroska container; convert it"),
        "noise.ogg": (
            np.random.default_rng(0).bytes(5000),
            "is not a WAV, FLAC, OGG or MP3 recording",
        ),
        "zeros.mp3": (bytes(5000), "is not a WAV, FLAC, OGG or MP3 recording"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_what_is_no_recording_is_refused(tmp_path: Path, name: str) -> None:
    content, message = bad_files()[name]
    (tmp_path / name).write_bytes(content)

    with pytest.raises(AudioError, match=message) as caught:
        open_audio(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("rate_hz", [1, 2_000_000_000])
def test_a_rate_that_no_recording_has_is_refused(tmp_path: Path, rate_hz: int) -> None:
    path = write(tmp_path / "a.wav", tone(1, RATE_HZ))
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    path.write_bytes(content)

    with pytest.raises(FormatError, match="sample rate"):
        open_audio(path)


def test_paths_that_hold_no_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no\.wav does not exist"):
        open_audio(tmp_path / "no.wav")
    with pytest.raises(AudioError, match="is a folder"):
        open_audio(tmp_path)
    with pytest.raises(AudioError, match="is a device"):
        open_audio(Path("/dev/null"))
    with pytest.raises(AudioError, match="cannot be opened"):
        open_audio(Path("a\0b"))


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1, RATE_HZ))
    path.chmod(0)
    with without_root(), pytest.raises(AudioError, match="no permission"):
        open_audio(path)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    with open_audio(write(tmp_path / "a.wav", tone(0, RATE_HZ))) as reader:
        samples, error = gather(reader)

    assert len(samples) == 0
    assert "has no samples: expected a recording of at least 20 ms" in str(error)


@pytest.mark.parametrize(
    ("name", "subtype", "least_s"),
    [("a.wav", "PCM_16", 4.9), ("a.mp3", "MPEG_LAYER_III", 4), ("a.flac", "PCM_16", 3)],
)
def test_a_recording_that_was_cut_off_is_read_and_then_named(
    tmp_path: Path, name: str, subtype: str, least_s: float
) -> None:
    path = write(
        tmp_path / name,
        tone(10, RATE_HZ)
        + 0.01 * np.random.default_rng(0).standard_normal(160_000).astype(np.float32),
        subtype=subtype,
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with open_audio(path) as reader:
        samples, error = gather(reader)

    assert least_s * RATE_HZ <= len(samples) <= 6 * RATE_HZ
    assert error is not None
    assert "cut off" in str(error) or "damaged between" in str(error)


def test_an_ogg_recording_with_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.ogg",
        np.random.default_rng(0).standard_normal(320_000).astype(np.float32) * 0.1,
        subtype="VORBIS",
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 1000] = bytes(1000)
    path.write_bytes(content)

    with open_audio(path) as reader:
        _, error = gather(reader)

    assert "it was cut off" in str(error)


def test_ogg_streams_one_after_another_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.ogg", tone(1, RATE_HZ), subtype="VORBIS").read_bytes()
    second = write(tmp_path / "b.ogg", tone(2, RATE_HZ), subtype="VORBIS").read_bytes()
    (tmp_path / "ab.ogg").write_bytes(first + second)

    with pytest.raises(AudioError, match="several Ogg streams"):
        open_audio(tmp_path / "ab.ogg")


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x8000_0000 - 2**15])
def test_a_wav_file_of_unknown_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a.wav", tone(1, RATE_HZ))
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)

    assert len(read(path)) == RATE_HZ


def test_a_flac_file_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", tone(3, RATE_HZ))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # The number of samples: 36 bits of the first block, 0 when unknown.
    content[22:26] = bytes(4)
    path.write_bytes(content)

    with open_audio(path) as reader:
        assert reader.duration_s is None
        samples, error = gather(reader)
    assert error is None
    assert len(samples) == 3 * RATE_HZ


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 16_000, 2) as file:
        for _ in range(600):
            file.write(np.zeros((16_000, 2), np.float32))

    tracemalloc.start()
    with open_audio(path) as reader:
        num_samples = sum(len(chunk.samples) for chunk in reader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert num_samples == 600 * RATE_HZ
    assert peak < 4e6  # The recording is 77 MB when decoded.
