"""Recordings are cut at pauses, and nothing of the speech is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiced.segments import (
    LOUD_WINDOWS,
    MAX_WINDOWS,
    PADDING_WINDOWS,
    RATE_HZ,
    VOICE_BEGINS,
    WINDOW_SAMPLES,
    Limits,
    Piece,
    Segmenter,
)

# A stretch of the recording: number of windows, the detector's probability, amplitude.
Stretch = tuple[int, float, float]
SECOND = RATE_HZ // WINDOW_SAMPLES  # Windows; 31.


def recording(
    stretches: list[Stretch], window: int = WINDOW_SAMPLES
) -> tuple[NDArray[np.float32], list[float]]:
    rng = np.random.default_rng(0)
    parts = [amplitude * rng.standard_normal(num * window) for num, _, amplitude in stretches]
    probabilities = [p for num, p, _ in stretches for _ in range(num)]
    return np.concatenate([np.zeros(0), *parts]).astype(np.float32), probabilities


def cut(
    samples: NDArray[np.float32],
    probabilities: list[float],
    window: int = WINDOW_SAMPLES,
    limits: Limits = Limits(),  # noqa: B008  It is frozen.
) -> list[Piece]:
    segmenter = Segmenter(limits)
    pieces = []
    for index, probability in enumerate(probabilities):
        pieces += segmenter.push(samples[index * window : (index + 1) * window], probability)
    return pieces + segmenter.flush()


@given(
    st.lists(
        st.tuples(
            st.integers(1, 400),
            st.sampled_from([0.0, 0.1, 0.4, 0.6, 1.0]),
            st.sampled_from([0.0, 1e-3, 1e-2, 0.1, 1.0]),
        ),
        max_size=30,
    ),
    st.sampled_from([Limits(), Limits.of_sentences(6), Limits.of_sentences(3)]),
)
@settings(deadline=None, max_examples=60)
def test_every_voiced_sample_lies_in_exactly_one_piece(
    stretches: list[Stretch], limits: Limits
) -> None:
    window = 8  # The segmenter does not mind the size; small ones make the test quick.
    samples, probabilities = recording(stretches, window)

    pieces = cut(samples, probabilities, window, limits)

    times_covered = np.zeros(len(samples), int)
    for piece in pieces:
        assert 0 < len(piece.samples) <= limits.longest * window
        assert np.array_equal(piece.samples, samples[piece.start : piece.end])
        assert piece.start <= piece.sound_start < piece.sound_end <= piece.end
        times_covered[piece.start : piece.end] += 1
    assert (times_covered <= 1).all()
    assert (times_covered[np.repeat(np.array(probabilities) >= VOICE_BEGINS, window)] == 1).all()
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3000))
@settings(deadline=None, max_examples=20)
def test_no_more_than_the_longest_piece_is_held(windows: list[tuple[float, float]]) -> None:
    segmenter = Segmenter()
    for probability, amplitude in windows:
        segmenter.push(np.array([amplitude, -amplitude], np.float32), probability)
        assert len(segmenter._windows) < MAX_WINDOWS


def test_two_sentences_apart_become_two_pieces_with_padding_and_times() -> None:
    pause = 3 * SECOND
    samples, probabilities = recording(
        [(SECOND, 1, 0.1), (pause, 0, 0), (SECOND, 1, 0.1), (pause, 0, 0)]
    )

    first, second = cut(samples, probabilities)

    assert (first.sound_start, first.sound_end) == (0, SECOND * WINDOW_SAMPLES)
    assert first.end == (SECOND + PADDING_WINDOWS) * WINDOW_SAMPLES
    assert second.sound_start == (SECOND + pause) * WINDOW_SAMPLES
    assert second.start == second.sound_start - PADDING_WINDOWS * WINDOW_SAMPLES


def test_a_short_pause_does_not_cut_a_short_piece_but_a_long_one() -> None:
    short_pause = (10, 0.0, 0.0)
    early = [(3 * SECOND, 1.0, 0.1), short_pause, (3 * SECOND, 1.0, 0.1)]
    late = [(22 * SECOND, 1.0, 0.1), short_pause, (3 * SECOND, 1.0, 0.1)]

    assert len(cut(*recording(early))) == 1
    assert len(cut(*recording(late))) == 2


def test_somebody_who_never_pauses_is_cut_at_the_quietest_place() -> None:
    quiet_from = 20 * SECOND
    samples, probabilities = recording([(quiet_from, 1, 0.1), (4, 1, 0.001), (20 * SECOND, 1, 0.1)])

    first, second = cut(samples, probabilities)

    assert quiet_from < first.end // WINDOW_SAMPLES < quiet_from + 4
    assert second.start == first.end
    assert second.end == len(samples)


def test_the_published_models_limits_are_the_default() -> None:
    assert Limits().longest == MAX_WINDOWS
    assert [Limits().pause(length * SECOND) for length in (0, 10, 25)] == [47, 27, 7]


def test_for_a_model_of_sentences_a_short_pause_ends_a_short_piece() -> None:
    sentence, pause = (SECOND, 1.0, 0.1), (12, 0.0, 0.0)  # 0.38 s.
    two = recording([sentence, pause, sentence])

    assert len(cut(*two)) == 1
    assert len(cut(*two, limits=Limits.of_sentences(6))) == 2


def test_for_a_model_of_sentences_the_gap_between_two_words_ends_no_piece() -> None:
    word, gap = (12, 1.0, 0.1), (6, 0.0, 0.0)  # 0.19 s.
    sentence = recording([word, gap, word, gap, word, gap, word])

    assert len(cut(*sentence, limits=Limits.of_sentences(6))) == 1


def test_for_a_model_of_sentences_somebody_who_never_pauses_is_cut_before_its_longest_piece_ends() -> (
    None
):
    pieces = cut(*recording([(20 * SECOND, 1, 0.1)]), limits=Limits.of_sentences(6))

    lengths = [len(piece.samples) for piece in pieces]
    assert RATE_HZ * 0.9 < min(lengths) <= max(lengths) <= 6 * RATE_HZ
    assert sum(lengths) == 20 * SECOND * WINDOW_SAMPLES


def test_a_piece_is_given_as_soon_as_its_pause_is_long_enough() -> None:
    segmenter = Segmenter()
    samples, probabilities = recording([(2 * SECOND, 1, 0.1), (2 * SECOND, 0, 0)])

    given_after = [
        index
        for index, probability in enumerate(probabilities)
        if segmenter.push(
            samples[index * WINDOW_SAMPLES : (index + 1) * WINDOW_SAMPLES], probability
        )
    ]

    assert len(given_after) == 1
    assert 2 * SECOND < given_after[0] < 4 * SECOND - 5


def test_silence_yields_nothing_and_counts_as_nothing_skipped() -> None:
    segmenter = Segmenter()
    for _ in range(100):
        assert (
            segmenter.push(np.full(WINDOW_SAMPLES, 0.5, np.float32), 0.01) == []
        )  # Only an offset.
    assert segmenter.flush() == []
    assert not segmenter.heard_voice
    assert segmenter.num_skipped == 0


def test_loud_sound_in_which_the_detector_hears_nothing_is_kept() -> None:
    samples, probabilities = recording(
        [(5 * SECOND, 0, 0.0), (5 * SECOND, 0.1, 0.1), (5 * SECOND, 0, 0)]
    )

    (piece,) = cut(samples, probabilities)

    assert piece.sound_start <= 5 * SECOND * WINDOW_SAMPLES
    assert piece.sound_end >= 10 * SECOND * WINDOW_SAMPLES


@pytest.mark.parametrize("num_windows", [1, 5, 20])
def test_a_loud_recording_shorter_than_a_second_is_kept(num_windows: int) -> None:
    (piece,) = cut(*recording([(num_windows, 0.1, 0.1)]))

    assert len(piece.samples) == num_windows * WINDOW_SAMPLES


def test_a_click_in_silence_is_left_out_and_reported_as_skipped() -> None:
    segmenter = Segmenter()
    for index in range(200):
        segmenter.push(
            np.full(WINDOW_SAMPLES, 0.0, np.float32)
            + (np.arange(WINDOW_SAMPLES) == 7) * (index == 100),
            0.1,
        )

    assert segmenter.flush() == []
    assert segmenter.num_skipped == WINDOW_SAMPLES


def test_room_noise_far_below_the_voices_is_left_out_and_reported() -> None:
    samples, probabilities = recording(
        [(5 * SECOND, 1, 0.2), (30 * SECOND, 0.02, 0.01), (5 * SECOND, 1, 0.2)]
    )
    segmenter = Segmenter()
    pieces = []
    for index, probability in enumerate(probabilities):
        pieces += segmenter.push(
            samples[index * WINDOW_SAMPLES : (index + 1) * WINDOW_SAMPLES], probability
        )
    pieces += segmenter.flush()

    assert len(pieces) == 2
    assert 28 * SECOND < segmenter.num_skipped / WINDOW_SAMPLES < 30 * SECOND


def test_the_last_second_is_judged_even_when_it_ends_abruptly() -> None:
    samples, probabilities = recording(
        [(5 * SECOND, 1, 0.1), (2 * SECOND, 0, 0), (LOUD_WINDOWS, 0.1, 0.1)]
    )

    assert cut(samples, probabilities)[-1].end == len(samples)
