"""Whole recordings to transcripts: read, cut, transcribed and written as they go, whatever happens on the way."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from audio.chunk import AudioChunk
from audio.reading import AudioReader, open_audio
from voiced.errors import AudioError, NonFiniteError, RangeError, VoicedError
from voiced.segments import RATE_HZ, WINDOW_SAMPLES, Limits, Piece, Segmenter
from voiced.speech_model import SpeechModel
from voiced.transcription import Ending, transcribe_piece
from voiced.transcripts import Renderer, Segment, Transcript

MIN_SAMPLES = RATE_HZ // 50  # 20 ms; from less the model's front end can make no features.
# Shorter noise left out is not worth a note: every pause has some.
NOTED_SKIP_S = 5


class VoiceDetector(Protocol):
    """What says of each window of 512 samples how likely somebody speaks in it."""

    def push(self, window: NDArray[np.float32]) -> float: ...
    def reset(self) -> None: ...


class Face(Protocol):
    """What the person at the keyboard sees besides the transcripts."""

    def progress(self, done_s: float, duration_s: float | None) -> None:
        """Show how much of the present recording is transcribed; its duration is None when not known yet."""

    def note(self, text: str) -> None:
        """Say something that is no error."""

    def error(self, text: str) -> None:
        """Say why a recording failed."""


class PieceFinder:
    """Cuts a recording into pieces to transcribe, in constant memory.

    Attributes:
        num_samples: of the recording, read so far.
        heard_voice: whether the detector has heard one so far.
        num_skipped: samples left out although they were not silent.
        num_pieces: yielded so far.
    """

    def __init__(self, detector: VoiceDetector, limits: Limits) -> None:
        self._detector = detector
        self._segmenter = Segmenter(limits)
        self.num_samples = 0
        self.num_pieces = 0

    @property
    def heard_voice(self) -> bool:
        return self._segmenter.heard_voice

    @property
    def num_skipped(self) -> int:
        return self._segmenter.num_skipped

    def pieces(self, chunks: Iterable[AudioChunk], name: str) -> Iterator[Piece]:
        """Yield the pieces of a recording as they become final.

        Raises:
            AudioError: the recording is shorter than 20 ms, or reading `chunks` failed; what came before was yielded.
        """
        for piece in self._cut(chunks, name):
            self.num_pieces += 1
            yield piece

    def _cut(self, chunks: Iterable[AudioChunk], name: str) -> Iterator[Piece]:
        self._detector.reset()
        fault: AudioError | None = None
        try:
            for window in _windows(chunks):
                self.num_samples += len(window)
                yield from self._segmenter.push(window, self._detector.push(_fill_up(window)))
        except AudioError as error:
            fault = error
        if self.num_samples >= MIN_SAMPLES:
            yield from self._segmenter.flush()
        elif fault is None:
            fault = AudioError(
                f"{name} lasts {1000 * self.num_samples / RATE_HZ:.1f} ms: expected at least 20 ms of sound; record it again"
            )
        if fault is not None:
            raise fault


class RecordingTranscriber:
    """Transcribes one recording after the other; a bad one does not stop the next.

    Args:
        model: returns the model, loaded once; called when the first recording could be opened.
        detector: returns the voice detector, made once.
        renderer: turns transcripts into text.
        write: takes the text as it comes.
        face: shows progress, notes and errors.
        limits: returns how long pieces for this model become; called after `model`.
    """

    def __init__(
        self,
        *,
        model: Callable[[], SpeechModel],
        detector: Callable[[], VoiceDetector],
        renderer: Renderer,
        write: Callable[[str], None],
        face: Face,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self._model = model
        self._detector = detector
        self._renderer = renderer
        self._write = write
        self._face = face
        self._limits = limits

    def transcribe(self, source: Path | BinaryIO, *, file: str, name: str) -> Transcript:
        """Return the transcript of a recording; all of it has been written, also when this raises.

        A recording that cannot be read, or not to its end, or not transcribed, gives a transcript with an `error`.

        Args:
            source: a path, or a stream open for reading bytes.
            file: what the transcript calls it.
            name: what messages call it.

        Raises:
            VoicedError: not the recording's fault: no model, no room for the output.
            KeyboardInterrupt: what was transcribed until then has been written, in valid form.
        """
        transcript = Transcript(file)
        model: SpeechModel | None = None
        self._write(self._renderer.begin(file))
        try:
            with open_audio(source, rate_hz=RATE_HZ, name=name) as reader:
                self._face.progress(0, reader.duration_s)
                model = self._model()
                self._transcribe(model, reader, transcript)
        except (AudioError, RangeError, NonFiniteError) as error:
            transcript.error = str(error)
            if model is None and not isinstance(error, AudioError):
                raise  # Its weights are damaged: no recording can be transcribed.
            self._face.error(str(error))
        except KeyboardInterrupt:
            transcript.error = f"interrupted; transcribed until {_done_s(transcript):.1f} s"
            raise
        except VoicedError as error:
            transcript.error = str(error)
            raise
        finally:
            self._write(self._renderer.end(transcript))
        return transcript

    def give_up(self, files: Iterable[str], error: VoicedError) -> None:
        """Write for each of `files` that it was not transcribed, and why."""
        for file in files:
            self._write(self._renderer.begin(file))
            self._write(self._renderer.end(Transcript(file, error=str(error))))

    def _transcribe(self, model: SpeechModel, reader: AudioReader, transcript: Transcript) -> None:
        finder = PieceFinder(self._detector(), self._limits())
        try:
            for piece in finder.pieces(reader, reader.name):
                self._transcribe_piece(model, piece, transcript, reader.name)
                self._face.progress(piece.end / RATE_HZ, reader.duration_s)
        finally:
            transcript.duration = finder.num_samples / RATE_HZ
        self._note_what_is_missing(finder, reader.name, transcript)

    def _transcribe_piece(
        self, model: SpeechModel, piece: Piece, transcript: Transcript, name: str
    ) -> None:
        """Add a segment to the transcript; it is there, with the text so far, also when this raises."""
        segment = Segment(piece.sound_start / RATE_HZ, piece.sound_end / RATE_HZ)
        decoding = transcribe_piece(model, piece.samples)
        ending = Ending.COMPLETE
        try:
            while True:
                text = next(decoding)
                segment.text += text
                self._write(self._renderer.text(text))
        except StopIteration as stop:
            ending = stop.value
        finally:
            if segment.text.strip():
                transcript.segments.append(segment)
            self._write(self._renderer.segment(segment))
        if ending is not Ending.COMPLETE:
            self._face.note(
                f"{name}: the text from {segment.start:.1f} to {segment.end:.1f} s may be wrong or incomplete: "
                f"{ending.value}"
            )

    def _note_what_is_missing(self, finder: PieceFinder, name: str, transcript: Transcript) -> None:
        """Say what the reader of the transcript could not know: that nothing was found, or that something was left out."""
        if not transcript.segments:
            reason = "the model found no words" if finder.num_pieces else "it is silent"
            self._face.note(f"{name}: nothing to transcribe, {reason}")
        elif not finder.heard_voice:
            self._face.note(
                f"{name}: no voice was detected, but it is not silent; the text may be wrong"
            )
        if finder.num_skipped > NOTED_SKIP_S * RATE_HZ:
            self._face.note(
                f"{name}: {finder.num_skipped / RATE_HZ:.0f} s of noise in which no voice was detected were left out"
            )


def _windows(chunks: Iterable[AudioChunk]) -> Iterator[NDArray[np.float32]]:
    """Yield the chunks' sound in windows of the detector's size; only the last may be shorter.

    When reading a chunk fails, what came before it is yielded before the error is raised.
    """
    rest = np.zeros(0, np.float32)
    fault: AudioError | None = None
    try:
        for chunk in chunks:
            sound = np.concatenate([rest, chunk.samples])
            num_whole = len(sound) - len(sound) % WINDOW_SAMPLES
            yield from (
                np.split(sound[:num_whole], range(WINDOW_SAMPLES, num_whole, WINDOW_SAMPLES))
                if num_whole
                else ()
            )
            rest = sound[num_whole:]
    except AudioError as error:
        fault = error
    if len(rest):
        yield rest
    if fault is not None:
        raise fault


def _fill_up(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the last window with silence behind it, for the detector; any other as it is."""
    missing = WINDOW_SAMPLES - len(window)
    return np.pad(window, (0, missing)) if missing else window


def _done_s(transcript: Transcript) -> float:
    return transcript.segments[-1].end if transcript.segments else 0.0
