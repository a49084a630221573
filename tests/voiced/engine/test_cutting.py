"""Where a reply is cut, and which of its words were heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import frame
from voiced.engine.cutting import MadeStep, Place, place_of_cut
from voiced.speech_model import FRAME_SAMPLES

TEXT = MadeStep(1, "word ")
SOUND = MadeStep(frame())
SILENT = MadeStep((1, 2, 3, 2048))  # In a later codebook: no sound comes of it.


def cut(steps: list[MadeStep], frames: float, *, has_ended: bool = True) -> Place:
    return place_of_cut(steps, round(frames * FRAME_SAMPLES), has_ended=has_ended)


def test_steps_stay_up_to_the_last_frame_that_was_heard() -> None:
    steps = [TEXT, SOUND, SOUND, TEXT, SOUND, SOUND]
    assert [cut(steps, heard).num_steps for heard in (0, 1, 2, 3)] == [0, 2, 3, 5]


def test_a_frame_counts_from_its_half_on() -> None:
    steps = [SOUND] * 5
    assert [cut(steps, heard).num_frames for heard in (0.49, 0.51, 1.49, 1.51)] == [0, 1, 1, 2]


def test_frames_without_sound_take_no_time() -> None:
    assert cut([SOUND, SILENT, SILENT, SOUND, SOUND], 2).num_steps == 4


def test_a_reply_that_was_heard_to_its_end_stays_whole() -> None:
    place = cut([TEXT, SOUND, TEXT], 5)
    assert (place.is_whole, place.num_steps, place.heard) == (True, 3, "word word ")


def test_one_that_goes_on_is_cut_after_its_last_frame() -> None:
    place = cut([TEXT, SOUND, TEXT], 5, has_ended=False)
    assert (place.is_whole, place.num_steps) == (False, 2)


def test_a_reply_without_sound_was_read() -> None:
    assert cut([TEXT, TEXT], 0).is_whole
    assert not cut([TEXT, TEXT], 0, has_ended=False).is_whole


@pytest.mark.parametrize(
    ("frames", "heard"),
    [(0, ""), (5, "One"), (10, "One two"), (15, "One two three"), (20, "One two three four")],
)
def test_of_a_whole_reply_words_were_heard_in_proportion(frames: int, heard: str) -> None:
    words = [MadeStep(index, text) for index, text in enumerate(["One", " two", " three", " four"])]
    steps = [*words, *[SOUND] * 20]
    assert cut(steps, frames).heard == heard


def test_of_an_open_reply_words_were_heard_at_an_ordinary_pace() -> None:
    steps = [MadeStep(1, "a sentence of many words that takes some time"), *[SOUND] * 12]
    place = cut(steps, 12, has_ended=False)
    assert place.kept == "a sentence of many words that takes some time"
    assert place.heard == "a sentence of"


@given(
    st.lists(st.sampled_from([TEXT, SOUND, SILENT]), max_size=30),
    st.integers(0, 40 * FRAME_SAMPLES),
    st.booleans(),
)
def test_what_was_heard_begins_what_stays_and_never_exceeds_it(
    steps: list[MadeStep], heard: int, has_ended: bool
) -> None:
    place = place_of_cut(steps, heard, has_ended=has_ended)
    assert place.kept.startswith(place.heard)
    assert 0 <= place.num_steps <= len(steps)
    assert place.num_frames == sum(made.is_sound for made in steps[: place.num_steps])
    assert place.num_samples <= heard + FRAME_SAMPLES // 2
