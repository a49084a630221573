"""Whole recordings become transcripts, and whatever happens on the way, nothing transcribed is lost."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray

from audio.resampling import resample
from models.errors import CheckpointError, ModelError, NonFiniteError
from models.vad import VoiceDetector
from tests.fakes import FakeConversation, FakeModel, LevelVad, ScriptedVad, ScriptStep, words
from tests.speech import say
from voiced.recordings import RecordingTranscriber
from voiced.recordings import VoiceDetector as AnyDetector
from voiced.transcripts import Transcript, TranscriptFormat, renderer

RATE_HZ = 16_000


@dataclass
class FakeFace:
    """Keeps what it was told."""

    steps: list[tuple[float, float | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def progress(self, done_s: float, duration_s: float | None) -> None:
        self.steps.append((done_s, duration_s))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def error(self, text: str) -> None:
        self.errors.append(text)


class Desk:
    """A transcriber with all that surrounds it."""

    def __init__(
        self,
        model: FakeModel | Callable[[], FakeModel],
        form: str = "json",
        vad: AnyDetector | None = None,
    ) -> None:
        self.face = FakeFace()
        self.written: list[str] = []
        self.transcriber = RecordingTranscriber(
            model=model if callable(model) else lambda: model,
            detector=lambda: vad or LevelVad(),
            renderer=renderer(TranscriptFormat(form)),
            write=self.written.append,
            face=self.face,
        )

    @property
    def text(self) -> str:
        return "".join(self.written)

    def transcribe(self, path: Path) -> Transcript:
        return self.transcriber.transcribe(path, file=path.name, name=str(path))


def voice(seconds: float) -> NDArray[np.float32]:
    """Return what LevelVad takes for a voice."""
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))).astype(
        np.float32
    )


def read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return samples, rate_hz


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def write(path: Path, *parts: NDArray[np.float32], subtype: str = "PCM_16") -> Path:
    soundfile.write(path, np.concatenate(parts), RATE_HZ, subtype=subtype)
    return path


@pytest.fixture
def three_utterances(tmp_path: Path) -> Path:
    pause = silence(3)
    return write(tmp_path / "three.wav", voice(2), pause, voice(2), pause, voice(2), pause)


def test_each_utterance_is_a_segment_with_its_times(three_utterances: Path) -> None:
    desk = Desk(FakeModel(words("one"), words("two and"), words("three")))

    transcript = desk.transcribe(three_utterances)

    assert transcript.error is None
    fields = json.loads(desk.text)
    assert fields["text"] == "one two and three"
    assert fields["duration"] == 15
    times = [(segment["start"], segment["end"]) for segment in fields["segments"]]
    np.testing.assert_allclose(times, [(0, 2), (5, 7), (10, 12)], atol=0.04)
    assert desk.face.steps[0] == (0, 15)
    assert desk.face.steps[-1][0] == pytest.approx(12.3, abs=0.1)


def test_text_is_written_as_it_is_decoded(three_utterances: Path) -> None:
    seen: list[str] = []

    def look(_: FakeConversation) -> list[ScriptStep]:
        seen.append(desk.text)
        return words("two")

    desk = Desk(FakeModel(words("one"), look, words("three")), "text")

    desk.transcribe(three_utterances)

    assert seen == ["one\n"]
    assert desk.text == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("text", "one\ntwo and\n"),
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:02,016\none\n\n2\n00:00:04,992 --> 00:00:07,008\ntwo and\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.016\none\n\n00:00:04.992 --> 00:00:07.008\ntwo and\n\n",
        ),
    ],
)
def test_an_interruption_leaves_what_was_decoded_in_valid_form(
    three_utterances: Path, form: str, expected: str
) -> None:
    desk = Desk(FakeModel(words("one"), ["two", " and", KeyboardInterrupt()]), form)

    with pytest.raises(KeyboardInterrupt):
        desk.transcribe(three_utterances)

    assert desk.text == expected


def test_an_interruption_leaves_a_json_object_that_says_so(three_utterances: Path) -> None:
    desk = Desk(FakeModel(words("one"), ["two", KeyboardInterrupt()]))

    with pytest.raises(KeyboardInterrupt):
        desk.transcribe(three_utterances)

    fields = json.loads(desk.text)
    assert fields["text"] == "one two"
    assert fields["error"] == "interrupted; transcribed until 7.0 s"


def test_a_recording_that_was_cut_off_keeps_all_that_was_in_it(three_utterances: Path) -> None:
    content = three_utterances.read_bytes()
    three_utterances.write_bytes(content[: len(content) * 45 // 100])  # In the second utterance.
    desk = Desk(FakeModel(words("one"), words("two")))

    transcript = desk.transcribe(three_utterances)

    assert transcript.error is not None
    assert "it was cut off" in transcript.error
    fields = json.loads(desk.text)
    assert fields["text"] == "one two"
    assert fields["error"] == transcript.error
    assert desk.face.errors == [transcript.error]


def test_a_nan_in_the_middle_keeps_all_before_it(tmp_path: Path) -> None:
    sound = np.concatenate([voice(2), silence(3), voice(2)])
    sound[6 * RATE_HZ] = np.nan
    desk = Desk(FakeModel(words("one"), words("two")))

    transcript = desk.transcribe(write(tmp_path / "a.wav", sound, subtype="FLOAT"))

    assert transcript.text == "one two"
    assert "at 6.0000 s" in str(transcript.error)
    assert transcript.duration == 6


@pytest.mark.parametrize("num_samples", [1, 160, 319])
def test_less_than_20_ms_is_an_error(tmp_path: Path, num_samples: int) -> None:
    desk = Desk(FakeModel(words("never")))

    transcript = desk.transcribe(write(tmp_path / "a.wav", voice(num_samples / RATE_HZ)))

    assert "expected at least 20 ms of sound" in str(transcript.error)
    assert list(json.loads(desk.text)) == ["file", "error"]


@pytest.mark.parametrize("num_samples", [320, 511, 512, 513, 8000])
def test_the_shortest_recordings_are_transcribed_whole(tmp_path: Path, num_samples: int) -> None:
    model = FakeModel(words("yes"))

    transcript = Desk(model).transcribe(write(tmp_path / "a.wav", voice(num_samples / RATE_HZ)))

    assert transcript.text == "yes"
    assert len(model.conversations[0].turns[1].audio[0]) == num_samples


def test_silence_gives_empty_text_and_a_note(tmp_path: Path) -> None:
    model = FakeModel(words("never"))
    desk = Desk(model)

    transcript = desk.transcribe(write(tmp_path / "a.wav", silence(60)))

    assert transcript.error is None
    assert json.loads(desk.text) == {"file": "a.wav", "text": "", "duration": 60, "segments": []}
    assert desk.face.notes == [f"{tmp_path / 'a.wav'}: nothing to transcribe, it is silent"]
    assert model.conversations == []


def test_speech_that_the_detector_misses_is_transcribed_with_a_note(tmp_path: Path) -> None:
    desk = Desk(FakeModel(words("after all")), vad=ScriptedVad(0.1))

    transcript = desk.transcribe(write(tmp_path / "a.wav", silence(5), voice(4), silence(5)))

    assert transcript.text == "after all"
    assert "no voice was detected" in desk.face.notes[0]


def test_noise_that_was_left_out_is_reported(tmp_path: Path) -> None:
    room = 0.08 * voice(60)  # 22 dB below the voice, above silence.
    desk = Desk(FakeModel(words("one")))

    desk.transcribe(write(tmp_path / "a.wav", voice(3), room, voice(3)))

    assert len(desk.face.notes) == 1
    assert "59 s of noise in which no voice was detected were left out" in desk.face.notes[0]


def test_a_looping_model_is_reported(tmp_path: Path) -> None:
    desk = Desk(FakeModel(["and", *[" on"] * 1000]))

    transcript = desk.transcribe(write(tmp_path / "a.wav", voice(3)))

    assert transcript.error is None
    assert len(transcript.text) < 100
    assert "the model repeated itself" in desk.face.notes[0]


def test_arithmetic_that_breaks_down_fails_the_recording_and_keeps_what_came_before(
    three_utterances: Path,
) -> None:
    script: list[ScriptStep] = ["two", NonFiniteError("hidden state is not finite")]
    desk = Desk(FakeModel(words("one"), script))

    transcript = desk.transcribe(three_utterances)

    assert transcript.text == "one two"
    assert transcript.error == "hidden state is not finite"


@pytest.mark.parametrize("error", [CheckpointError("no weights"), NonFiniteError("no weights")])
def test_a_model_that_cannot_be_loaded_ends_it_all(
    three_utterances: Path, error: ModelError
) -> None:
    def load() -> FakeModel:
        raise error

    desk = Desk(load)

    with pytest.raises(ModelError, match="no weights"):
        desk.transcribe(three_utterances)
    assert json.loads(desk.text) == {"file": "three.wav", "error": "no weights"}
    assert desk.face.errors == []


def test_real_speech_is_cut_between_sentences(tmp_path: Path) -> None:
    sentences = [
        resample(*read_wav(say(text, tmp_path / "a.wav")), RATE_HZ)
        for text in ("Good morning, everybody.", "Yes.", "It is half past seven, and it rains.")
    ]
    pause = silence(2)
    path = write(
        tmp_path / "b.wav", *(part for sentence in sentences for part in (sentence, pause))
    )
    model = FakeModel(words("so"))

    transcript = Desk(model, vad=VoiceDetector()).transcribe(path)

    start = 0.0
    assert len(transcript.segments) == len(sentences)
    for segment, sentence in zip(transcript.segments, sentences, strict=True):
        # espeak-ng leaves up to 0.2 s of silence at both ends.
        assert start - 0.05 <= segment.start <= start + 0.3
        start += len(sentence) / RATE_HZ
        assert start - 0.4 <= segment.end <= start + 0.2
        start += 2


def test_nothing_of_the_speech_is_lost_in_a_long_recording_in_constant_memory(
    tmp_path: Path,
) -> None:
    minutes = 20
    path = tmp_path / "long.flac"
    marks = 0.2 * np.random.default_rng(1).random(minutes * 60).astype(np.float32) + 0.05
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, subtype="PCM_16") as file:
        for second, level in enumerate(marks):
            pause = 0.25 if second % 7 == 0 else 0.0
            rest = silence(pause)
            sign = np.tile(np.array([1, -1], np.float32), RATE_HZ)[: RATE_HZ - len(rest)]
            file.write(np.concatenate([rest, level * sign]))
    heard = 0.0
    longest = 0
    memory: list[int] = []

    def listen(conversation: FakeConversation) -> list[ScriptStep]:
        nonlocal heard, longest
        (sound,) = conversation.turns[1].audio
        heard += float(np.abs(sound).sum())
        longest = max(longest, len(sound))
        memory.append(psutil.Process().memory_info().rss)
        model.conversations.clear()  # The fake would keep all it heard.
        return words("so it goes")

    model = FakeModel(listen)

    transcript = Desk(model, "text").transcribe(path)

    num_samples = np.array([RATE_HZ * (0.75 if s % 7 == 0 else 1) for s in range(minutes * 60)])
    assert heard == pytest.approx(float((marks * num_samples).sum()), rel=1e-3)  # 16 bits.
    assert transcript.error is None
    assert longest <= 30 * RATE_HZ
    assert len(memory) > 40
    # The recording is 77 MB as samples. Held at once are two pieces of up to 30 s, 2 MB each, and a second of the reader's.
    assert max(memory) - memory[3] < 10e6
