"""What a speaker at the other end is sent, and how far it is believed to have played."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.chunk import Samples
from voiced.live.remote_speaker import LEAD_S, RemoteSpeaker
from voiced.speech_model import SOUND_RATE_HZ

LEAD = round(LEAD_S * SOUND_RATE_HZ)


class Line:
    """Notes what is sent, and is the clock."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.sent: list[tuple[int, int] | str] = []
        self.speaker = RemoteSpeaker(self, lambda: self.now_s)

    def begin(self) -> None:
        self.sent.append("begin")

    def sound(self, position: int, samples: Samples) -> None:
        self.sent.append((position, len(samples)))

    def hold(self) -> None:
        self.sent.append("hold")

    def resume(self) -> None:
        self.sent.append("resume")

    def stop(self) -> None:
        self.sent.append("stop")

    def end(self) -> None:
        self.sent.append("end")


@pytest.fixture
def line() -> Line:
    line = Line()
    line.speaker.begin()
    return line


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SOUND_RATE_HZ), np.float32)


def test_a_reply_is_sent_and_played_in_its_time(line: Line) -> None:
    assert line.speaker.write(silence(0.5)) == SOUND_RATE_HZ // 2
    line.speaker.finish()
    assert not line.speaker.is_finished
    line.now_s += 0.25
    assert line.speaker.num_played == SOUND_RATE_HZ // 4
    line.now_s += 10.0
    assert line.speaker.num_played == SOUND_RATE_HZ // 2
    assert line.speaker.is_finished
    assert line.sent == ["begin", (0, SOUND_RATE_HZ // 2), "end"]


def test_no_more_is_sent_than_two_seconds_ahead(line: Line) -> None:
    assert line.speaker.write(silence(5.0)) == LEAD
    assert line.speaker.write(silence(1.0)) == 0
    line.now_s += 0.5
    assert line.speaker.write(silence(5.0)) == SOUND_RATE_HZ // 2
    assert line.sent[1:] == [(0, LEAD), (LEAD, SOUND_RATE_HZ // 2)]


def test_a_gap_in_the_sound_is_no_sound_that_was_played(line: Line) -> None:
    line.speaker.write(silence(0.5))
    line.now_s += 3.0  # Nothing more came for 2.5 s.
    line.speaker.write(silence(1.0))
    assert line.speaker.num_played == SOUND_RATE_HZ // 2
    line.now_s += 0.25
    assert line.speaker.num_played == 3 * SOUND_RATE_HZ // 4


def test_what_the_other_end_reports_counts(line: Line) -> None:
    line.speaker.write(silence(2.0))
    line.now_s += 1.0
    line.speaker.report(SOUND_RATE_HZ // 2)  # It waited for its buffer.
    assert line.speaker.num_played == SOUND_RATE_HZ // 2
    line.now_s += 0.25
    assert line.speaker.flush() == 3 * SOUND_RATE_HZ // 4
    assert line.sent[-1] == "stop"


@pytest.mark.parametrize("reported", [-5, 10**12])
def test_a_report_of_what_cannot_be_is_bounded(line: Line, reported: int) -> None:
    line.speaker.write(silence(1.0))
    line.speaker.report(reported)
    assert 0 <= line.speaker.num_played <= SOUND_RATE_HZ


def test_held_sound_stands_still_and_goes_on_from_there(line: Line) -> None:
    line.speaker.write(silence(1.0))
    line.now_s += 0.25
    line.speaker.hold()
    line.now_s += 7.0
    assert line.speaker.num_played == SOUND_RATE_HZ // 4
    line.speaker.resume()
    line.now_s += 0.25
    assert line.speaker.num_played == SOUND_RATE_HZ // 2
    assert line.sent[-2:] == ["hold", "resume"]


def test_after_a_flush_the_next_reply_begins_at_nothing(line: Line) -> None:
    line.speaker.write(silence(1.0))
    line.now_s += 0.5
    line.speaker.flush()
    assert line.speaker.is_finished
    line.speaker.begin()
    assert (line.speaker.num_played, line.speaker.is_finished) == (0, False)
    line.speaker.write(silence(0.1))
    assert line.sent[-1] == (0, SOUND_RATE_HZ // 10)


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 100_000)),
    st.tuples(st.just("wait"), st.integers(0, 3000)),
    st.tuples(st.just("report"), st.integers(-10, 300_000)),
    st.tuples(st.sampled_from(["hold", "resume", "begin", "finish", "flush"]), st.just(0)),
)


@given(st.lists(STEPS, max_size=40))
def test_never_more_is_played_than_sent_nor_sent_than_there_is_room_for(
    steps: list[tuple[str, int]],
) -> None:
    line = Line()
    speaker = line.speaker
    num_sent = 0
    for name, amount in steps:
        match name:
            case "write":
                num_sent += speaker.write(np.zeros(amount, np.float32))
                assert num_sent - speaker.num_played <= LEAD
            case "wait":
                line.now_s += amount / 1000
            case "report":
                speaker.report(amount)
            case "begin":
                speaker.begin()
                num_sent = 0
            case "flush":
                num_sent = speaker.flush()
            case _:
                getattr(speaker, name)()
        assert 0 <= speaker.num_played <= num_sent
