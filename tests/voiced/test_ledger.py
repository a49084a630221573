import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.events import TurnTimed
from voiced.ledger import (
    MOST_TURNS,
    Ledger,
    percentile,
    percentile_lines,
    percentiles,
    timing_header,
    timing_line,
)


def exchange(ledger: Ledger, turn: int = 1, decided_s: float = 2.0) -> TurnTimed:
    ledger.decide(turn, decided_s, speech_ended_s=decided_s - 0.5)
    ledger.mark(turn, "first_token", decided_s + 0.05)
    ledger.mark(turn, "first_frame", decided_s + 0.1)
    ledger.mark(turn, "first_sound", decided_s + 0.15)
    timed = ledger.finish(turn)
    assert timed is not None
    return timed


def test_an_exchange_has_every_moment_it_was_told() -> None:
    ledger = Ledger()
    ledger.decide(1, 2.0, speech_ended_s=1.5)
    for number, moment in enumerate(
        ("first_token", "first_frame", "first_sound", "transcribed", "barged_in", "silent")
    ):
        ledger.mark(1, moment, 3.0 + number)  # type: ignore[arg-type]
    ledger.underrun(1, 2)
    assert ledger.finish(1) == TurnTimed(
        turn=1,
        decided_s=2.0,
        speech_ended_s=1.5,
        first_token_s=3.0,
        first_frame_s=4.0,
        first_sound_s=5.0,
        transcribed_s=6.0,
        barged_in_s=7.0,
        silent_s=8.0,
        num_underruns=2,
    )


def test_the_first_time_of_a_moment_counts() -> None:
    ledger = Ledger()
    ledger.decide(1, 0.0, speech_ended_s=None)
    ledger.mark(1, "first_frame", 1.0)
    ledger.mark(1, "first_frame", 2.0)
    timed = ledger.finish(1)
    assert timed is not None
    assert timed.first_frame_s == 1.0


def test_a_reply_prepared_in_a_pause_has_its_first_token_before_the_decision() -> None:
    ledger = Ledger()
    ledger.mark(1, "first_token", 1.8)
    ledger.decide(1, 2.0, speech_ended_s=1.5)
    timed = ledger.finish(1)
    assert timed is not None
    assert timing_line(timed).split()[:3] == ["1", "500", "-200"]
    waited = {row.name: row.p50_s for row in percentiles([timed])}
    assert waited["decision to first token"] == 0.0  # Nobody waited.


def test_work_in_vain_is_counted_for_the_exchange_that_follows() -> None:
    ledger = Ledger()
    ledger.mark(1, "first_token", 1.0)
    ledger.discard(1, 0.8)
    ledger.discard(2, 0.4)
    timed = exchange(ledger, turn=3)
    assert timed.num_discarded == 2
    assert timed.discarded_s == pytest.approx(1.2)
    assert exchange(ledger, turn=4).num_discarded == 0
    assert [turn.turn for turn in ledger.turns] == [3, 4]


def test_a_hold_that_became_an_interruption_is_no_false_alarm() -> None:
    ledger = Ledger()
    ledger.decide(1, 0.0, speech_ended_s=None)
    ledger.hold(1, 2.5)
    ledger.hold(1, 2.75)
    ledger.mark(1, "barged_in", 3.0)
    timed = ledger.finish(1)
    assert timed is not None
    assert timed.num_holds == 1
    assert timed.held_s == 2.75


def test_an_exchange_that_was_never_decided_is_not_told() -> None:
    ledger = Ledger()
    ledger.mark(1, "first_token", 1.0)
    assert ledger.finish(1) is None
    assert ledger.finish(2) is None


def test_what_comes_after_the_end_opens_nothing_anew() -> None:
    ledger = Ledger()
    exchange(ledger)
    ledger.mark(1, "transcribed", 9.0)
    ledger.underrun(1)
    ledger.hold(1, 2.0)
    assert ledger.finish(1) is None


def test_only_the_newest_are_kept() -> None:
    ledger = Ledger()
    for turn in range(1, MOST_TURNS + 6):
        exchange(ledger, turn)
    assert len(ledger.turns) == MOST_TURNS
    assert ledger.turns[0].turn == 6


def test_percentiles_are_told_from_the_end_of_speech_and_from_the_decision() -> None:
    ledger = Ledger()
    exchange(ledger)
    waited = {row.name: (row.num, round(row.p50_s, 3)) for row in percentiles(ledger.turns)}
    assert waited == {
        "speech end to decision": (1, 0.5),
        "decision to first token": (1, 0.05),
        "decision to first frame": (1, 0.1),
        "decision to first sound": (1, 0.15),
        "speech end to first sound": (1, 0.65),
    }


def test_written_text_has_no_wait_from_the_end_of_speech() -> None:
    turn = TurnTimed(turn=1, decided_s=1.0, first_sound_s=1.1)
    assert [row.name for row in percentiles([turn])] == ["decision to first sound"]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_of_a_hundred_values_the_95th_is_p95(values: list[float]) -> None:
    ordered = sorted(values)
    found = percentile(ordered, 95)
    assert sum(value <= found for value in values) >= 0.95 * len(values)
    assert sum(value < found for value in values) < 0.95 * len(values)


def test_lines_stand_under_their_header() -> None:
    ledger = Ledger()
    ledger.discard(1, 0.64)
    timed = exchange(ledger, 2)
    header, line = timing_header(), timing_line(timed)
    assert line.split()[:8] == ["2", "500", "50", "100", "150", "650", "–", "–"]
    assert line.endswith("prepared in vain 1× (0.6 s)")
    assert line[: header.index("hangover") + len("hangover")].endswith("500")


def test_the_table_of_percentiles_is_empty_without_turns() -> None:
    assert percentile_lines([]) == []
    ledger = Ledger()
    exchange(ledger)
    lines = percentile_lines(ledger.turns)
    assert lines[0].split() == ["num", "p50", "p95", "most", "(ms)"]
    assert lines[4].split() == ["decision", "to", "first", "sound", "1", "150", "150", "150"]
