"""A window is a voice when the detector is sure enough and it is loud enough for the place and the speaker."""

import pytest

from voiced.voice_activity import (
    BELOW_VOICE,
    LEAST_NOISE_WINDOWS,
    NOISE_WINDOWS,
    OVER_REPLY,
    VOICE_BEGINS,
    VOICE_ENDS,
    Situation,
    VoiceActivity,
)

NOISE, VOICE = 1e-6, 1e-2  # Powers.


@pytest.fixture
def activity() -> VoiceActivity:
    """Return one that knows a quiet room."""
    return in_noise(NOISE)


def in_noise(power: float, probability: float = 0.0) -> VoiceActivity:
    activity = VoiceActivity()
    for _ in range(2 * NOISE_WINDOWS):
        activity.is_voice(power, probability, Situation.LISTENING)
    return activity


@pytest.mark.parametrize(
    ("situation", "threshold"),
    [
        (Situation.LISTENING, VOICE_BEGINS),
        (Situation.PAUSED, VOICE_BEGINS),
        (Situation.SPEAKING, VOICE_ENDS),
        (Situation.REPLYING, OVER_REPLY),
        (Situation.INTERRUPTING, VOICE_BEGINS),
    ],
)
def test_each_situation_has_its_threshold(
    activity: VoiceActivity, situation: Situation, threshold: float
) -> None:
    assert activity.is_voice(VOICE, threshold + 0.02, situation)
    assert not activity.is_voice(VOICE, threshold - 0.02, situation)


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-6, 1e-4, 1e-2])
def test_a_voice_must_rise_above_the_noise_of_the_place(noise: float) -> None:
    assert not in_noise(noise).is_voice(1.5 * noise, 0.8, Situation.LISTENING)
    assert in_noise(noise).is_voice(max(4 * noise, 1e-8), 0.8, Situation.LISTENING)


def test_a_background_that_makes_the_detector_guess_makes_it_strict() -> None:
    assert in_noise(NOISE).is_voice(VOICE, 0.6, Situation.LISTENING)
    assert not in_noise(NOISE, 0.3).is_voice(VOICE, 0.6, Situation.LISTENING)


def test_a_voice_that_the_detector_is_sure_of_is_heard_over_any_background() -> None:
    assert in_noise(NOISE, 0.84).is_voice(VOICE, 0.9, Situation.LISTENING)


def test_a_voice_that_goes_on_does_not_become_the_noise(activity: VoiceActivity) -> None:
    activity.begin_turn()
    for _ in range(10 * NOISE_WINDOWS):
        assert activity.is_voice(VOICE, 0.95, Situation.SPEAKING)


def test_noise_that_the_detector_takes_for_a_voice_is_seen_through_in_the_next_turn() -> None:
    activity = in_noise(NOISE)
    for _ in range(2 * NOISE_WINDOWS):
        activity.is_voice(VOICE, 0.7, Situation.SPEAKING)
    activity.begin_turn()

    assert not activity.is_voice(VOICE, 0.7, Situation.SPEAKING)


def test_before_the_noise_is_known_any_level_is_heard() -> None:
    activity = VoiceActivity()
    for _ in range(LEAST_NOISE_WINDOWS - 1):
        assert activity.is_voice(NOISE, 0.8, Situation.LISTENING)


@pytest.mark.parametrize("situation", [Situation.SPEAKING, Situation.PAUSED, Situation.REPLYING])
def test_who_is_far_quieter_than_the_speaker_is_somebody_else(
    activity: VoiceActivity, situation: Situation
) -> None:
    activity.begin_turn()
    for _ in range(50):
        activity.is_voice(VOICE, 0.95, Situation.SPEAKING)

    assert not activity.is_voice(VOICE * BELOW_VOICE * 0.9, 0.95, situation)
    assert activity.is_voice(VOICE * BELOW_VOICE * 1.1, 0.95, situation)


def test_a_quiet_speaker_may_begin_after_a_loud_one(activity: VoiceActivity) -> None:
    activity.begin_turn()
    for _ in range(50):
        activity.is_voice(VOICE, 0.95, Situation.SPEAKING)

    assert activity.is_voice(VOICE / 1000, 0.95, Situation.LISTENING)
    activity.begin_turn()
    assert activity.is_voice(VOICE / 1000, 0.95, Situation.SPEAKING)


def test_after_the_microphone_was_closed_the_noise_is_learnt_anew() -> None:
    activity = in_noise(VOICE)
    activity.forget_noise()

    assert activity.is_voice(NOISE, 0.8, Situation.LISTENING)
