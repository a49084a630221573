"""What was said, when, in the formats that other programs read.

Pure: a renderer takes what happens and returns the text to write, so that a transcript can be written while it grows and is
complete wherever it ends.
"""

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from html import escape

from voiced.text_output import without_controls


class TranscriptFormat(Enum):
    """How a transcript is written."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"

    @property
    def suffix(self) -> str:
        """The file name's ending."""
        return ".txt" if self is TranscriptFormat.TEXT else f".{self.value}"


@dataclass(slots=True)
class Segment:
    """What was said between two pauses.

    Attributes:
        start: seconds from the recording's beginning.
        end: seconds from the recording's beginning.
        text: grows while it is decoded; spaces around it do not count.
    """

    start: float
    end: float
    text: str = ""


@dataclass(slots=True)
class Transcript:
    """What was said in one recording.

    Attributes:
        file: as the caller named it.
        duration: of the sound that was read, in seconds; 0 until something was.
        segments: those with text, in order.
        error: why the recording could not be read or transcribed, or not to its end; None when all went well.
    """

    file: str
    duration: float = 0.0
    segments: list[Segment] = field(default_factory=list)
    error: str | None = None

    @property
    def text(self) -> str:
        """All that was said, on one line."""
        return " ".join(one_line(segment.text) for segment in self.segments)


class Renderer:
    """Writes transcripts as lines of text: each segment one, as it is decoded. The base of the other formats."""

    def __init__(self, *, has_headings: bool = False) -> None:
        self._has_headings = has_headings  # Says before each recording which one it is.
        self._line_is_open = False  # Part of a segment's text has been returned.

    def begin(self, file: str, /) -> str:
        """Return what comes before the first segment of a recording."""
        return f"==> {one_line(file)} <==\n" if self._has_headings else ""

    def text(self, text: str, /) -> str:
        """Return what to write for a part of a segment's text, as it is decoded."""
        shown = without_controls(text) if self._line_is_open else without_controls(text).lstrip()
        self._line_is_open = self._line_is_open or bool(shown)
        return shown

    def segment(self, _segment: Segment, /) -> str:
        """Return what to write when a segment is complete; `text` has been called with all of its text."""
        was_open, self._line_is_open = self._line_is_open, False
        return "\n" if was_open else ""

    def end(self, _transcript: Transcript, /) -> str:
        """Return what comes after the last segment of a recording."""
        return ""


class JsonRenderer(Renderer):
    """One JSON object a line and recording, written when it ends; keys as promised in the documentation."""

    def begin(self, _file: str, /) -> str:
        return ""

    def text(self, _text: str, /) -> str:
        return ""

    def segment(self, _segment: Segment, /) -> str:
        return ""

    def end(self, transcript: Transcript, /) -> str:
        """Return the object: with `error` alone when nothing was transcribed, beside what was transcribed otherwise."""
        fields: dict[str, object] = {"file": transcript.file}
        if transcript.error is None or transcript.segments:
            fields["text"] = transcript.text
            fields["duration"] = round(transcript.duration, 3)
            fields["segments"] = [
                {
                    "start": round(segment.start, 3),
                    "end": round(segment.end, 3),
                    "text": one_line(segment.text),
                }
                for segment in transcript.segments
            ]
        if transcript.error is not None:
            fields["error"] = transcript.error
        return json.dumps(fields, ensure_ascii=False) + "\n"


class SrtRenderer(Renderer):
    """SubRip subtitles: numbered, with a comma before the milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def begin(self, _file: str, /) -> str:
        self._number = 0
        return ""

    def text(self, _text: str, /) -> str:
        return ""

    def segment(self, segment: Segment, /) -> str:
        # SubRip has no escapes: an arrow in the text would be taken for a cue's times.
        text = one_line(segment.text).replace("-->", "->")
        if not text:
            return ""
        self._number += 1
        return f"{self._number}\n{_times(segment, ',')}\n{text}\n\n"


class VttRenderer(Renderer):
    """WebVTT subtitles."""

    def begin(self, _file: str, /) -> str:
        return "WEBVTT\n\n"

    def text(self, _text: str, /) -> str:
        return ""

    def segment(self, segment: Segment, /) -> str:
        text = escape(one_line(segment.text), quote=False)
        return f"{_times(segment, '.')}\n{text}\n\n" if text else ""


def renderer(form: TranscriptFormat, *, has_headings: bool = False) -> Renderer:
    """Return a renderer of a format; `has_headings` names each recording where the format itself does not."""
    match form:
        case TranscriptFormat.TEXT:
            return Renderer(has_headings=has_headings)
        case TranscriptFormat.JSON:
            return JsonRenderer()
        case TranscriptFormat.SRT:
            return SrtRenderer()
        case TranscriptFormat.VTT:
            return VttRenderer()


def one_line(text: str) -> str:
    """Return `text` cleaned, without spaces around it and with single ones inside."""
    return re.sub(r" {2,}", " ", without_controls(text)).strip()


def timestamp(seconds: float, point: str) -> str:
    """Return a time as HH:MM:SS and milliseconds after `point`; hours may exceed two digits."""
    total_ms = round(max(0.0, seconds) * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _times(segment: Segment, point: str) -> str:
    end = max(segment.end, segment.start + 0.001)  # Players refuse a cue that lasts no time.
    return f"{timestamp(segment.start, point)} --> {timestamp(end, point)}"
