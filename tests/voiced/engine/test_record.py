"""What the daemon can tell a new engine."""

from tests.fakes import frame
from voiced.engine import messages as m
from voiced.engine.record import MOST_KEPT_STEPS, MOST_SOUND_S, MOST_TURNS, Record
from voiced.speech_model import FRAME_SAMPLES

SECOND = bytes(4 * 16_000)


def text(turn: int, added: str, *steps: m.Step) -> m.Text:
    return m.Text(session=1, turn=turn, text=added, steps=steps)


def ended(turn: int, *steps: m.Step) -> m.Ended:
    return m.Ended(session=1, turn=turn, how="end", steps=steps, timings=m.Timings(received_s=0.0))


def test_a_turn_is_told_by_its_sound_and_its_steps() -> None:
    record = Record()
    record.prepared(1, text="", pcm=SECOND)
    record.made(text(1, "Hi", 5, 6))
    record.made(m.Sound(session=1, turn=1, pcm=b"", steps=(frame(),)))
    record.made(ended(1, 7))
    record.heard(m.Transcript(session=1, turn=1, text="hello", is_final=True))
    assert record.history() == (m.PastTurn(1, "hello", SECOND, (5, 6, frame(), 7), "Hi"),)


def test_a_discarded_or_failed_turn_is_not_told() -> None:
    record = Record()
    record.prepared(1, text="one", pcm=b"")
    record.prepared(2, text="two", pcm=b"")
    record.dropped(2)
    record.dropped(7)
    assert [turn.turn for turn in record.history()] == [1]


def test_a_cut_reply_is_told_as_far_as_it_was_heard() -> None:
    for with_engine in (True, False):
        record = Record()
        record.prepared(1, text="one", pcm=b"")
        record.made(text(1, "Hi", 5))
        record.made(m.Sound(session=1, turn=1, pcm=b"", steps=(frame(), frame())))
        if with_engine:
            record.was_cut(m.WasCut(session=1, turn=1, num_steps=2))
        else:
            assert record.cut(1, FRAME_SAMPLES).kept == "Hi"
        assert record.history()[0].steps == (5, frame())


def test_old_sound_gives_way_to_its_transcript_and_without_one_the_turn_is_left_out() -> None:
    record = Record()
    for turn in range(1, MOST_SOUND_S // 10 + 3):
        record.prepared(turn, text="", pcm=SECOND * 10)
        if turn == 1:
            record.heard(m.Transcript(session=1, turn=1, text="the first", is_final=True))
    told = record.history()
    assert [turn.turn for turn in told][:2] == [1, 3]
    assert (told[0].said, told[0].pcm) == ("the first", b"")
    assert sum(len(turn.pcm) for turn in told) <= MOST_SOUND_S * 64_000


def test_turns_and_steps_are_bounded() -> None:
    record = Record()
    for turn in range(MOST_TURNS + 50):
        record.prepared(turn, text="x", pcm=b"")
    assert len(record.history()) == MOST_TURNS
    record = Record()
    for turn in range(20):
        record.prepared(turn, text="x", pcm=b"")
        record.made(ended(turn, *[5] * (MOST_KEPT_STEPS // 8)))
    assert 7 <= len(record.history()) <= 9


def test_the_longest_history_fits_into_a_message() -> None:
    record = Record()
    for turn in range(MOST_TURNS):
        record.prepared(turn, text="", pcm=SECOND)
        record.heard(m.Transcript(session=1, turn=turn, text="ö" * 1000, is_final=True))
        record.made(ended(turn, *[frame(2000)] * (MOST_KEPT_STEPS // MOST_TURNS)))
    payload = m.encode(m.Open(1, history=record.history()))
    assert 7_000_000 < len(payload) < m.MOST_BYTES_TO_ENGINE


def test_a_history_that_was_told_is_told_again() -> None:
    told = (m.PastTurn(1, "one", b"", (5, frame()), "Hi"), m.PastTurn(2, "two"))
    assert Record(told).history() == told
