"""Live sound is converted without clicks, in time, and the same whatever the size of the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.chunk import Samples
from audio.errors import FormatError
from audio.live_resampling import LiveResampler

RATES_HZ = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000]


def tone(rate_hz: int, num_samples: int, frequency_hz: float = 1000.0) -> Samples:
    phase = 2 * np.pi * frequency_hz * np.arange(num_samples) / rate_hz
    return (0.5 * np.sin(phase)).astype(np.float32)


def convert(samples: Samples, resampler: LiveResampler, part: int) -> Samples:
    parts = [resampler.push(samples[i : i + part]) for i in range(0, len(samples), part)]
    return np.concatenate([*parts, resampler.flush()])


def worst_besides_tone_db(samples: Samples, rate_hz: int, frequency_hz: float = 1000.0) -> float:
    """Return the strongest line of the spectrum outside the tone, relative to it."""
    spectrum = np.abs(np.fft.rfft(samples * np.blackman(len(samples))))
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    beside = np.abs(frequencies - frequency_hz) > 8 * rate_hz / len(samples)
    return float(20 * np.log10(spectrum[beside].max() / spectrum.max()))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("is_input", [True, False])
def test_chunk_borders_make_no_clicks_in_the_spectrum(rate_hz: int, is_input: bool) -> None:
    from_hz, to_hz = (rate_hz, 16_000) if is_input else (24_000, rate_hz)
    converted = convert(tone(from_hz, from_hz), LiveResampler(from_hz, to_hz), 441)
    middle = converted[to_hz // 10 : -to_hz // 10]
    assert worst_besides_tone_db(middle, to_hz) < -70  # The filter's own figure.


@pytest.mark.parametrize("ppm", [-1000, -200, 3.3, 200, 1000])
def test_a_drifting_rate_makes_no_clicks_and_moves_the_tone_by_as_much(ppm: float) -> None:
    resampler = LiveResampler(48_000, 16_000)
    resampler.drift_ppm = ppm
    # A fast clock counts more samples in the same time.
    sound = tone(round(48_000 * (1 + ppm * 1e-6)), 48_000)
    middle = convert(sound, resampler, 480)[1600:-1600]
    assert worst_besides_tone_db(middle, 16_000) < -70


@given(
    st.sampled_from(RATES_HZ),
    st.sampled_from(RATES_HZ),
    st.integers(0, 4000),
    st.integers(1, 1500),
    st.sampled_from([0.0, -1000.0, 123.0]),
)
@settings(deadline=None, max_examples=60)
def test_a_stream_in_parts_gives_what_the_whole_gives(
    from_hz: int, to_hz: int, num_samples: int, part: int, ppm: float
) -> None:
    sound = np.random.default_rng(0).standard_normal(num_samples).astype(np.float32)
    whole, streamed = LiveResampler(from_hz, to_hz), LiveResampler(from_hz, to_hz)
    whole.drift_ppm = streamed.drift_ppm = ppm
    expected = convert(sound, whole, max(1, num_samples))
    # The sums of products may be taken in another order.
    np.testing.assert_allclose(convert(sound, streamed, part), expected, atol=1e-5)
    if ppm == 0:
        assert len(expected) == round(num_samples * to_hz / from_hz)


def test_the_rate_may_change_between_two_chunks_without_a_click() -> None:
    resampler = LiveResampler(48_000, 16_000)
    sound = tone(48_000, 96_000)
    parts = []
    for i in range(0, len(sound), 480):
        resampler.drift_ppm = 5 * (-1) ** (i // 480)
        parts.append(resampler.push(sound[i : i + 480]))
    assert worst_besides_tone_db(np.concatenate(parts)[1600:-1600], 16_000) < -70


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (24_000, 48_000)]
)
def test_sound_is_held_back_for_little_more_than_a_millisecond(from_hz: int, to_hz: int) -> None:
    resampler = LiveResampler(from_hz, to_hz)
    num_out = len(resampler.push(np.zeros(from_hz, np.float32)))
    assert resampler.delay_s <= 0.0013
    assert 1 - num_out / to_hz <= resampler.delay_s + 1 / to_hz


def test_an_output_sample_lies_where_its_input_lies() -> None:
    click = np.zeros(4800, np.float32)
    click[1500] = 1
    converted = convert(click, LiveResampler(48_000, 16_000), 100)
    assert int(np.argmax(converted)) == 500


def test_what_would_fold_back_is_suppressed() -> None:
    converted = convert(tone(48_000, 48_000, 9_000.0), LiveResampler(48_000, 16_000), 480)
    assert 20 * np.log10(np.abs(converted[1600:-1600]).max() / 0.5) < -65


def test_a_stream_that_begins_later_keeps_its_positions() -> None:
    resampler = LiveResampler(48_000, 16_000, first_sample=48_001)
    assert resampler.position == 16_001  # The first that is not before its input.
    sound = tone(48_000, 96_000)
    made = resampler.push(sound[48_001:])
    expected = tone(16_000, 40_000)[16_001 : 16_001 + len(made)]
    np.testing.assert_allclose(made[50:], expected[50:], atol=1e-3)
    assert resampler.position == 16_001 + len(made)


def test_equal_rates_pass_and_may_begin_to_drift() -> None:
    resampler = LiveResampler(16_000, 16_000)
    sound = tone(16_000, 16_000)
    assert np.array_equal(resampler.push(sound[:8000]), sound[:8000])
    resampler.drift_ppm = 100
    made = resampler.push(sound[8000:])
    expected = np.interp(8000 + np.arange(len(made)) * 1.0001, np.arange(16_000), sound)
    np.testing.assert_allclose(made, expected, atol=0.02)  # Straight lines between samples.


@pytest.mark.parametrize("rate_hz", [0, -1, 3_999, 400_000])
def test_a_rate_that_no_device_has_is_refused(rate_hz: int) -> None:
    with pytest.raises(FormatError, match=f"sample rate {rate_hz} Hz: expected 4000 to 384000"):
        LiveResampler(48_000, rate_hz)
