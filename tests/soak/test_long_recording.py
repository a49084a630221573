"""An hour of speech through the real voice detector and a real, tiny model."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from models.lfm2_audio import Lfm2Audio
from models.vad import VoiceDetector
from tests.speech import say
from voiced.recordings import RecordingTranscriber
from voiced.segments import MAX_WINDOWS, WINDOW_SAMPLES
from voiced.transcripts import TranscriptFormat, renderer

CHECKPOINT = Path(__file__).parents[1] / "data" / "golden" / "checkpoint"
HOUR_S = 3600
SENTENCES = (
    "The meeting begins with the figures of the last quarter.",
    "Nobody expected the harbour to freeze so early in the year, but it did, and the ferries stayed where they were.",
    "Yes.",
    "Please read the second paragraph again, and slowly.",
)


class MemoryFace:
    """Notes the memory of this process at each step of progress."""

    def __init__(self) -> None:
        self.memory: list[int] = []
        self.errors: list[str] = []

    def progress(self, done_s: float, duration_s: float | None) -> None:
        self.memory.append(psutil.Process().memory_info().rss)

    def note(self, text: str) -> None:
        pass

    def error(self, text: str) -> None:
        self.errors.append(text)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_an_hour_is_transcribed_in_constant_memory(tmp_path: Path) -> None:
    spoken = [soundfile.read(say(s, tmp_path / "a.wav"), dtype="float32") for s in SENTENCES]
    rate_hz = spoken[0][1]
    rng = np.random.default_rng(0)
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", rate_hz, 1) as file:
        num_written = 0
        while num_written < HOUR_S * rate_hz:
            sound = spoken[rng.integers(len(spoken))][0]
            pause = np.zeros(round(rng.exponential(1.5) * rate_hz), np.float32)
            file.write(np.concatenate([sound, pause]))
            num_written += len(sound) + len(pause)
    model, detector = Lfm2Audio.load(CHECKPOINT), VoiceDetector()
    written: list[str] = []
    face = MemoryFace()
    transcriber = RecordingTranscriber(
        model=lambda: model,
        detector=lambda: detector,
        renderer=renderer(TranscriptFormat.SRT),
        write=written.append,
        face=face,
    )

    transcript = transcriber.transcribe(path, file="hour", name="hour")

    assert face.errors == []
    assert transcript.duration >= HOUR_S
    assert len(face.memory) > HOUR_S / 30
    longest_s = MAX_WINDOWS * WINDOW_SAMPLES / 16_000
    assert all(segment.end - segment.start <= longest_s for segment in transcript.segments)
    # The largest piece may come late, and the allocator keeps what its activations needed.
    early = max(face.memory[: len(face.memory) // 4])
    assert max(face.memory) - early < 64e6
