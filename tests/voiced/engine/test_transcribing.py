"""Interim words that stay, requests that replace each other, and long turns in pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.voiced.engine.fakes import spoken
from voiced.engine import messages as m
from voiced.engine.messages import pack_samples
from voiced.engine.pace import UNKNOWN_S, Pace
from voiced.engine.transcribing import MOST_FINAL, Desk, agreement, cut_in_pieces


def request(turn: int, value: float = 0.1, *, is_final: bool = False) -> m.Transcribe:
    return m.Transcribe(1, turn, pack_samples(spoken(value)), is_final)


def test_words_that_two_decodings_have_in_common_stay() -> None:
    shown, agreed = agreement("", 0, "what is")
    assert (shown, agreed) == ("what is", 0)
    shown, agreed = agreement(shown, agreed, "what is the")
    assert (shown, shown[:agreed]) == ("what is the", "what is")
    shown, agreed = agreement(shown, agreed, "watt is the time")
    assert (shown, shown[:agreed]) == ("what is the time", "what is the")


def test_punctuation_and_case_are_no_disagreement() -> None:
    shown, agreed = agreement("Turn it off.", 0, "turn it off, please")
    assert shown[:agreed] == "turn it off,"


def test_a_shorter_decoding_takes_no_agreed_word_back() -> None:
    assert agreement("one two three", 7, "one") == ("one two", 7)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=8))
def test_the_agreed_beginning_never_changes(decodings: list[list[str]]) -> None:
    shown, agreed = "", 0
    for words in decodings:
        before = shown[:agreed]
        shown, agreed = agreement(shown, agreed, " ".join(words))
        assert shown.startswith(before)
        assert agreed >= len(before)


def test_final_requests_are_kept_in_order_and_the_oldest_gives_way() -> None:
    desk = Desk()
    for turn in range(MOST_FINAL):
        assert desk.take(request(turn, is_final=True)) is None
    overrun = desk.take(request(MOST_FINAL, is_final=True))
    assert overrun is not None
    assert overrun.turn == 0
    assert [desk.next_request().turn for _ in range(MOST_FINAL)] == [*range(1, MOST_FINAL + 1)]
    assert not desk.has_work


def test_an_interim_request_of_a_turn_that_is_already_final_is_dropped() -> None:
    desk = Desk()
    desk.take(request(3, is_final=True))
    desk.take(request(3))
    assert desk.next_request().is_final
    assert not desk.has_work


@pytest.mark.parametrize("num_samples", [320, 96_000, 96_001, 200_000, 480_000])
def test_pieces_are_whole_and_no_longer_than_allowed(num_samples: int) -> None:
    samples = np.arange(num_samples, dtype=np.float32)
    pieces = cut_in_pieces(samples, 96_000)
    assert np.array_equal(np.concatenate(pieces), samples)
    assert max(map(len, pieces)) <= 96_000
    assert len(pieces) == -(-num_samples // 96_000)
    assert min(map(len, pieces)) >= min(num_samples, 320)


def test_a_long_turn_is_cut_where_it_is_quiet() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 150_000).astype(np.float32)
    samples[70_000:74_000] = 0
    first, _ = cut_in_pieces(samples, 96_000)
    assert 70_000 <= len(first) <= 74_000


def test_a_long_step_is_announced_and_a_short_one_is_not() -> None:
    now = [0.0]
    told: list[float] = []
    pace = Pace(lambda: now[0], told.append)
    with pace.step("prefill"):
        now[0] += 0.01
    assert told == [UNKNOWN_S + 1, 0.0]
    with pace.step("prefill"):
        now[0] += 0.6
    assert told == [UNKNOWN_S + 1, 0.0]
    with pace.step("prefill"):
        now[0] += 0.1
    assert told[2:] == [pytest.approx(2.8), 0.0]
