"""Transcripts are valid in every format, whatever was said."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.transcripts import (
    Renderer,
    Segment,
    Transcript,
    TranscriptFormat,
    renderer,
    timestamp,
)


def render(form: TranscriptFormat, transcript: Transcript, *, has_headings: bool = False) -> str:
    """Return what a renderer writes when each segment comes in two parts."""
    writer: Renderer = renderer(form, has_headings=has_headings)
    parts = [writer.begin(transcript.file)]
    for segment in transcript.segments:
        half = len(segment.text) // 2
        parts += [
            writer.text(segment.text[:half]),
            writer.text(segment.text[half:]),
            writer.segment(segment),
        ]
    return "".join([*parts, writer.end(transcript)])


@pytest.fixture
def transcript() -> Transcript:
    segments = [
        Segment(0.0321, 2.5, " Hello there."),
        Segment(3661.25, 3664, "Tom & <Jerry> --> run\nnow"),
    ]
    return Transcript("talk.wav", duration=3700.12345, segments=segments)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "00:00:00,000"),
        (-1, "00:00:00,000"),
        (59.9996, "00:01:00,000"),
        (3661.25, "01:01:01,250"),
        (360_000, "100:00:00,000"),
    ],
)
def test_times_go_beyond_an_hour_and_round_without_overflow(seconds: float, expected: str) -> None:
    assert timestamp(seconds, ",") == expected


def test_text_is_a_line_a_segment(transcript: Transcript) -> None:
    assert render(TranscriptFormat.TEXT, transcript) == "Hello there.\nTom & <Jerry> --> run now\n"


def test_text_of_several_recordings_names_each(transcript: Transcript) -> None:
    assert render(TranscriptFormat.TEXT, transcript, has_headings=True).startswith(
        "==> talk.wav <==\nHello"
    )


def test_json_is_one_object_a_line(transcript: Transcript) -> None:
    line = render(TranscriptFormat.JSON, transcript)

    assert line.count("\n") == 1
    assert json.loads(line) == {
        "file": "talk.wav",
        "text": "Hello there. Tom & <Jerry> --> run now",
        "duration": 3700.123,
        "segments": [
            {"start": 0.032, "end": 2.5, "text": "Hello there."},
            {"start": 3661.25, "end": 3664, "text": "Tom & <Jerry> --> run now"},
        ],
    }


def test_json_of_a_failure_has_the_error_and_what_was_transcribed_before() -> None:
    assert json.loads(render(TranscriptFormat.JSON, Transcript("a", error="gone"))) == {
        "file": "a",
        "error": "gone",
    }
    partial = json.loads(
        render(TranscriptFormat.JSON, Transcript("a", 1, [Segment(0, 1, "so")], error="cut"))
    )
    assert partial["error"] == "cut"
    assert partial["text"] == "so"


def test_json_of_silence_has_empty_text() -> None:
    line = render(TranscriptFormat.JSON, Transcript("a", 2.0))
    assert json.loads(line) == {"file": "a", "text": "", "duration": 2.0, "segments": []}


def test_srt_is_numbered_and_has_no_arrow_in_its_text(transcript: Transcript) -> None:
    assert render(TranscriptFormat.SRT, transcript) == (
        "1\n00:00:00,032 --> 00:00:02,500\nHello there.\n\n"
        "2\n01:01:01,250 --> 01:01:04,000\nTom & <Jerry> -> run now\n\n"
    )


def test_vtt_escapes_what_would_be_markup(transcript: Transcript) -> None:
    assert render(TranscriptFormat.VTT, transcript) == (
        "WEBVTT\n\n00:00:00.032 --> 00:00:02.500\nHello there.\n\n"
        "01:01:01.250 --> 01:01:04.000\nTom &amp; &lt;Jerry&gt; --&gt; run now\n\n"
    )


CUE = re.compile(r"(\d+\n)?\d\d+:\d\d:\d\d[,.]\d\d\d --> \d\d+:\d\d:\d\d[,.]\d\d\d\n[^\n]+")


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e6), st.floats(0, 30), st.text(st.characters(codec=None), max_size=30)
        ),
        max_size=5,
    ),
    st.text(max_size=10),
)
def test_nothing_that_is_said_breaks_a_format(
    spoken: list[tuple[float, float, str]], file: str
) -> None:
    segments = [Segment(start, start + length, text) for start, length, text in spoken]
    transcript = Transcript(file, 1.0, segments)
    num_segments = sum(1 for segment in segments if Transcript("", 0, [segment]).text)

    fields = json.loads(render(TranscriptFormat.JSON, transcript))
    assert len(fields["segments"]) == len(segments)

    for form in (TranscriptFormat.SRT, TranscriptFormat.VTT):
        text = render(form, transcript)
        cues = [block for block in text.removeprefix("WEBVTT\n\n").split("\n\n") if block]
        assert len(cues) == num_segments
        assert all(CUE.fullmatch(cue) for cue in cues)
        assert all(cue.count("-->") == 1 for cue in cues)

    assert len(render(TranscriptFormat.TEXT, transcript).splitlines()) <= len(segments)
    for form in TranscriptFormat:
        render(form, transcript).encode()
