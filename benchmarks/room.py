"""A room in which the microphone hears the speaker: made of numbers, so that what was whose is known exactly.

Used by tests and by the benchmark of echo cancellation; see `measure`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.chunk import AudioChunk, Samples
from audio.echo import Cleaning, EchoCanceller

RATE_HZ = 16_000
REVERBERATION_S = 0.25  # Until an echo has lost 60 dB: a furnished room.
NOISE_DB = -60.0  # Of the room itself, relative to full scale.
BLOCK = 320


@dataclass(frozen=True, slots=True)
class Room:
    """Where the speaker's sound goes to the microphone.

    Attributes:
        delay_ms: from the callback that plays a sample to the one that records it.
        echo_db: level of the echo, relative to what is played.
        seed: of the reflections.
    """

    delay_ms: float
    echo_db: float = -10.0
    seed: int = 0

    def echo_of(self, played: Samples) -> Samples:
        """Return what the microphone hears of `played`, as long as it."""
        response = _impulse_response(self.seed)
        size = 1 << (len(played) + len(response)).bit_length()
        spectrum = np.fft.rfft(played, size) * np.fft.rfft(response, size)
        heard = np.fft.irfft(spectrum, size)[: len(played)]
        heard *= 10 ** (self.echo_db / 20) * _rms(played) / max(_rms(heard), 1e-12)
        delay = round(self.delay_ms * RATE_HZ / 1000)
        return np.concatenate([np.zeros(delay), heard])[: len(played)].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of the echo and of the person.

    Attributes:
        echo_loss_db: how much weaker the echo is after cleaning while nobody else speaks.
        person_db: level of what is left of the person who speaks over the reply, relative to what the person said.
        person_likeness: correlation of the loudness over time between what is left and what the person said.
        delay_s: of the echo, as it was found.
        cleaned: all of the result.
    """

    echo_loss_db: float
    person_db: float
    person_likeness: float
    delay_s: float | None
    cleaned: Samples


def speech_like(seconds: float, *, seed: int, pitch_hz: float = 120.0) -> Samples:
    """Return a voice that says nothing: harmonics under moving formants, four syllables a second, hisses and pauses."""
    random = np.random.default_rng(seed)
    num_samples = round(seconds * RATE_HZ)
    times = np.arange(num_samples) / RATE_HZ
    pitch = pitch_hz * (1 + 0.15 * _wander(random, num_samples, 1.5))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    formants = [
        low + (high - low) * (0.5 + 0.5 * np.clip(_wander(random, num_samples, 4.0), -1, 1))
        for low, high in ((300.0, 800.0), (900.0, 2300.0), (2400.0, 3200.0))
    ]
    voiced = np.zeros(num_samples)
    for harmonic in range(1, int(3800 / pitch_hz)):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - center) / 120) ** 2) for center in formants)
        voiced += gain * np.sin(harmonic * phase) / np.sqrt(harmonic)
    hiss = np.diff(random.standard_normal(num_samples + 1)) * 0.4
    syllables = np.clip(np.sin(2 * np.pi * 4 * times + random.uniform(0, 6)), 0, 1) ** 0.5
    is_hiss = np.sin(2 * np.pi * 1.3 * times + random.uniform(0, 6)) > 0.85
    pauses = np.sin(2 * np.pi * 0.4 * times + random.uniform(0, 6)) > -0.8
    sound = np.where(is_hiss, hiss, voiced) * syllables * pauses
    scaled: Samples = (0.1 * sound / max(_rms(sound), 1e-12)).clip(-0.9, 0.9).astype(np.float32)
    return scaled


def measure(
    room: Room,
    *,
    reply: Samples,
    person: Samples,
    person_from_s: float,
    cleaning: Cleaning | None = None,
) -> Cancelled:
    """Play `reply` in `room`, let `person` speak over it from `person_from_s` on, and clean what the microphone hears.

    The echo's loss is taken from 2 s on, when the canceller has learned the room, until the person speaks.
    """
    begin = round(person_from_s * RATE_HZ)
    spoken = np.zeros(len(reply), np.float32)
    spoken[begin : begin + len(person)] = person[: len(reply) - begin]
    noise = np.random.default_rng(1).standard_normal(len(reply)) * 10 ** (NOISE_DB / 20)
    echo = room.echo_of(reply)
    recorded = (echo + spoken + noise).astype(np.float32)
    canceller = EchoCanceller(RATE_HZ, cleaning=cleaning)
    cleaned = clean(canceller, recorded, reply)
    alone, over = slice(2 * RATE_HZ, begin), slice(begin, begin + len(person))
    # The room's own noise is not echo.
    left = max(_rms(cleaned[alone]) ** 2, 1e-12)
    return Cancelled(
        echo_loss_db=float(10 * np.log10(_rms(echo[alone]) ** 2 / left)),
        person_db=float(20 * np.log10(max(_rms(cleaned[over]), 1e-9) / _rms(spoken[over]))),
        person_likeness=_likeness(cleaned[over], spoken[over]),
        delay_s=canceller.delay.delay_s,
        cleaned=cleaned,
    )


def clean(canceller: EchoCanceller, recorded: Samples, played: Samples) -> Samples:
    """Return `recorded` cleaned in blocks of 20 ms, as a microphone would give it."""
    parts = []
    for start in range(0, len(recorded), BLOCK):
        chunk = AudioChunk(recorded[start : start + BLOCK], RATE_HZ, start)
        cleaned = canceller.push(chunk, played[start : start + BLOCK])
        if cleaned is not None:
            parts.append(cleaned.samples)
    return np.concatenate(parts)


def _impulse_response(seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    num_samples = round(REVERBERATION_S * RATE_HZ)
    decay = 10 ** (-3 * np.arange(num_samples) / num_samples)
    response = 0.3 * random.standard_normal(num_samples) * decay
    response[0] = 1.0
    return response


def _wander(random: np.random.Generator, num_samples: int, rate_hz: float) -> NDArray[np.float64]:
    """Return a smooth random curve of about ±1 that changes `rate_hz` times a second."""
    num_points = max(2, round(num_samples / RATE_HZ * rate_hz) + 2)
    points = random.uniform(-1, 1, num_points)
    places = np.linspace(0, num_points - 1, num_samples)
    return np.interp(places, np.arange(num_points), points)


def _rms(samples: NDArray[np.float64] | Samples) -> float:
    return float(np.sqrt(np.mean(np.asarray(samples, np.float64) ** 2)))


def _likeness(one: Samples, other: Samples) -> float:
    """Correlate loudness in windows of 20 ms; up to 20 ms of delay are forgiven."""
    curves = [
        np.sqrt(np.mean(sound[: len(sound) // 320 * 320].reshape(-1, 320) ** 2, axis=1))
        for sound in (one, other)
    ]
    return max(
        float(np.corrcoef(curves[0][lag:], curves[1][: len(curves[1]) - lag])[0, 1])
        for lag in (0, 1)
    )
