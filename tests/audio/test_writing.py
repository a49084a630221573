"""A WAV file is playable after every write, and says why it could not be written."""

import io
import os
import resource
import signal
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.errors import AudioError, OutputError
from audio.writing import RawPcmWriter, WavWriter
from tests.permissions import without_root

RATE_HZ = 24_000


def ramp(num_samples: int) -> NDArray[np.float32]:
    return np.linspace(-1, 1, num_samples, dtype=np.float32)


def read_wav(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        assert len(samples) == file.getnframes()
        return samples


def test_what_is_written_can_be_read_back(tmp_path: Path) -> None:
    samples = ramp(1001)
    with WavWriter(tmp_path / "a.wav") as writer:
        writer.write(samples[:500])
        writer.write(samples[500:])

    # Half a step of 16 bits, and the missing +32768.
    np.testing.assert_allclose(read_wav(tmp_path / "a.wav") / 32768, samples, atol=1.01 / 32768)
    assert writer.num_samples == 1001
    assert writer.num_clipped == 0


def test_the_file_is_complete_after_every_write_before_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    writer = WavWriter(path)
    assert len(read_wav(path)) == 0
    for num_writes in range(1, 4):
        writer.write(ramp(1920))
        assert len(read_wav(path)) == 1920 * num_writes
    writer.close()


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav") as writer:
        writer.write(np.array([0, 1, -1, 1.5, -7], np.float32))

    assert read_wav(tmp_path / "a.wav").tolist() == [0, 32767, -32768, 32767, -32768]
    assert writer.num_clipped == 2


def test_samples_that_are_not_finite_are_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav") as writer:
        writer.write(ramp(100))
        with pytest.raises(AudioError, match=r"sample 1 of 3 to be written is nan"):
            writer.write(np.array([0, np.nan, 0], np.float32))

    assert len(read_wav(tmp_path / "a.wav")) == 100


def test_a_file_that_exists_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 10_000)
    with WavWriter(path) as writer:
        writer.write(ramp(10))

    assert path.stat().st_size == 44 + 20


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist; create it"):
        WavWriter(tmp_path / "nowhere" / "a.wav")


def test_a_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        WavWriter(tmp_path)


def test_a_path_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with without_root(), pytest.raises(OutputError, match="no permission"):
        WavWriter(tmp_path / "a.wav")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device_is_reported_as_such() -> None:
    with pytest.raises(OutputError, match="cannot write /dev/full: no space is left"):
        WavWriter(Path("/dev/full"))


def test_a_disk_that_fills_up_keeps_a_playable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = WavWriter(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (44 + 10_001, before[1]))  # Half a sample fits.
        writer.write(ramp(4000))
        with pytest.raises(OutputError, match=r"no space is left.*the first 0\.21 s are in it"):
            writer.write(ramp(4000))
        assert len(read_wav(path)) == 5000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)

    writer.write(ramp(10))  # Space is back.
    writer.close()
    assert len(read_wav(path)) == 5010


def test_a_fifo_gets_a_header_of_unknown_length(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    with WavWriter(path) as writer:
        writer.write(ramp(100))
        writer.write(ramp(100))
    reader.join()

    (data,) = received
    assert data[40:44] == b"\xff" * 4
    assert len(data) == 44 + 400
    assert writer.num_samples == 200


def test_a_stream_given_by_the_caller_stays_open() -> None:
    stream = io.BytesIO()
    with WavWriter(stream) as writer:
        writer.write(ramp(100))

    with wave.open(io.BytesIO(stream.getvalue())) as file:
        assert file.getnframes() == 100


def test_raw_samples_go_to_a_stream_without_a_header() -> None:
    stream = io.BytesIO()
    writer = RawPcmWriter(stream)
    writer.write(np.array([0, 0.5, 2], np.float32))

    assert stream.getvalue() == np.array([0, 16384, 32767], "<i2").tobytes()
    assert (writer.num_samples, writer.num_clipped) == (3, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_raw_samples_to_a_full_device_are_reported() -> None:
    with (
        open("/dev/full", "wb", buffering=0) as stream,
        pytest.raises(OutputError, match="cannot write standard output: no space is left"),
    ):
        RawPcmWriter(stream).write(ramp(10))


def test_a_reader_that_has_gone_is_left_to_the_caller() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        RawPcmWriter(stream).write(ramp(10))
