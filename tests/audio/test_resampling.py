"""Rates are converted exactly in length, and a stream gives what the whole gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.errors import FormatError
from audio.resampling import Resampler, resample

RATES_HZ = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000]


@given(st.sampled_from(RATES_HZ), st.integers(0, 20_000), st.integers(1, 5_000))
@settings(deadline=None, max_examples=40)
def test_a_stream_in_parts_gives_what_the_whole_gives(
    rate_hz: int, num_samples: int, part: int
) -> None:
    samples = np.random.default_rng(0).standard_normal(num_samples).astype(np.float32)
    resampler = Resampler(rate_hz, 16_000)

    parts = [resampler.push(samples[i : i + part]) for i in range(0, num_samples, part)]
    streamed = np.concatenate([*parts, resampler.flush()])

    assert len(streamed) == round(num_samples * 16_000 / rate_hz)
    np.testing.assert_array_equal(streamed, resample(samples, rate_hz, 16_000))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_keeps_its_pitch_level_and_place(rate_hz: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32)

    converted = resample(tone, rate_hz, 16_000)

    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    # The ends ring, because the tone begins and ends abruptly.
    np.testing.assert_allclose(converted[1000:-1000], expected[1000:-1000], atol=1e-3)


@pytest.mark.parametrize("rate_hz", [-1, 0, 1, 2_000_000_000])
def test_a_rate_that_no_recording_has_is_refused(rate_hz: int) -> None:
    with pytest.raises(FormatError, match=f"sample rate {rate_hz} Hz: expected 1000 to"):
        Resampler(rate_hz, 16_000)
