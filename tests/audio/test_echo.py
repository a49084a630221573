"""The assistant's own voice is taken out of what the microphone hears, and a person speaking over it is not."""

import sys

import numpy as np
import pytest

from audio.chunk import AudioChunk, Samples
from audio.echo import HEADSET, Cleaning, EchoCanceller
from audio.errors import DeviceError, FormatError
from benchmarks.room import RATE_HZ, Room, clean, measure, speech_like

pytest.importorskip("livekit.rtc", reason="the package livekit is not installed")


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


@pytest.mark.parametrize("delay_ms", [40, 100, 170, 250])
def test_the_echo_is_lost_and_the_person_is_kept(delay_ms: int) -> None:
    result = measure(
        Room(delay_ms, echo_db=-10),
        reply=speech_like(9, seed=1, pitch_hz=200),
        person=speech_like(2, seed=2, pitch_hz=110),
        person_from_s=6,
    )
    # Measured: 24 to 34 dB of echo lost, as far down as the room's own noise, -5 to -2 dB of the person.
    assert result.echo_loss_db > 18
    assert result.person_db > -8
    assert result.person_likeness > 0.7
    assert result.delay_s == pytest.approx(delay_ms / 1000, abs=0.02)


def test_the_echo_is_lost_after_a_long_rest_too() -> None:
    room, silence = Room(120, echo_db=-10), np.zeros(8 * RATE_HZ, np.float32)
    reply = speech_like(8, seed=1, pitch_hz=200)
    played = np.concatenate([reply, silence, reply])
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(played))
    canceller = EchoCanceller(cleaning=Cleaning(gain=False))
    recorded = room.echo_of(played) + noise.astype(np.float32)
    cleaned = clean(canceller, recorded, played)
    second = slice(16 * RATE_HZ, 24 * RATE_HZ)
    assert level_db(cleaned[second]) < level_db(recorded[second]) - 18
    # All of it but the silence, and of that the first 2 s.
    assert canceller.num_cancelled == pytest.approx(100 * (8 + 2 + 8), abs=50)


def test_cleaned_sound_stays_at_its_place_in_time() -> None:
    canceller = EchoCanceller()
    sound = np.zeros(1000, np.float32)
    first = canceller.push(AudioChunk(sound[:100], RATE_HZ, 500), sound[:100])
    second = canceller.push(AudioChunk(sound[:300], RATE_HZ, 600), sound[:300])
    after_gap = canceller.push(AudioChunk(sound[:160], RATE_HZ, 5000), sound[:160])
    assert first is None
    assert second is not None
    assert (second.start, len(second.samples)) == (500, 320)
    assert after_gap is not None
    assert (after_gap.start, len(after_gap.samples)) == (5000, 160)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_headset_passes_what_was_recorded(rate_hz: int) -> None:
    canceller = EchoCanceller(rate_hz, cleaning=Cleaning(echo=False, noise=False, gain=False))
    sound = (0.3 * np.sin(2 * np.pi * 500 * np.arange(rate_hz) / rate_hz)).astype(np.float32)
    cleaned = canceller.push(AudioChunk(sound, rate_hz), sound)
    assert cleaned is not None
    assert level_db(cleaned.samples) == pytest.approx(level_db(sound), abs=1)
    assert not HEADSET.echo


def test_noise_is_suppressed() -> None:
    noise = (0.01 * np.random.default_rng(0).standard_normal(4 * RATE_HZ)).astype(np.float32)
    canceller = EchoCanceller(cleaning=Cleaning(gain=False))
    cleaned = clean(canceller, noise, np.zeros_like(noise))
    assert level_db(cleaned[2 * RATE_HZ :]) < level_db(noise) - 8


def test_a_quiet_voice_is_made_louder_but_not_while_something_is_played() -> None:
    voice = 0.05 * speech_like(6, seed=3)
    nothing, other = np.zeros_like(voice), speech_like(6, seed=4)
    alone = clean(EchoCanceller(), voice, nothing)
    during = clean(EchoCanceller(), voice, other)
    assert level_db(alone[3 * RATE_HZ :]) > level_db(voice[3 * RATE_HZ :]) + 6
    assert level_db(during[3 * RATE_HZ :]) < level_db(voice[3 * RATE_HZ :]) + 1


def test_what_is_not_finite_or_too_loud_is_survived() -> None:
    hostile = np.array([np.nan, np.inf, -np.inf, 1e9] * 80, np.float32)
    cleaned = EchoCanceller().push(AudioChunk(hostile, RATE_HZ), hostile)
    assert cleaned is not None
    assert np.isfinite(cleaned.samples).all()


def test_an_empty_chunk_gives_nothing() -> None:
    nothing = np.zeros(0, np.float32)
    assert EchoCanceller().push(AudioChunk(nothing, RATE_HZ), nothing) is None


@pytest.mark.parametrize(("rate_hz", "num_reference"), [(48_000, 160), (16_000, 159)])
def test_another_rate_or_length_is_refused(rate_hz: int, num_reference: int) -> None:
    chunk = AudioChunk(np.zeros(160, np.float32), rate_hz)
    with pytest.raises(FormatError, match="expected 16000 Hz and as many samples in both"):
        EchoCanceller().push(chunk, np.zeros(num_reference, np.float32))


def test_a_rate_that_the_library_does_not_take_is_refused() -> None:
    with pytest.raises(FormatError, match="sample rate 44100 Hz: expected one of"):
        EchoCanceller(44_100)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)  # As if it were not installed.
    with pytest.raises(DeviceError, match="livekit is missing"):
        EchoCanceller()
