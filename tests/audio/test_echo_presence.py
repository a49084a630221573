"""Whether the speaker is heard at all: only what is certain counts."""

import numpy as np

from audio.chunk import Samples
from audio.echo_presence import EchoPresence
from benchmarks.room import RATE_HZ, Room, speech_like

FRAME = RATE_HZ // 100


def seconds_until_absent(recorded: Samples, played: Samples) -> float | None:
    presence = EchoPresence()
    for start in range(0, len(played) - FRAME + 1, FRAME):
        part = slice(start, start + FRAME)
        presence.push(power(recorded[part]), power(played[part]))
        if presence.is_absent:
            return start / RATE_HZ
    return None


def power(frame: Samples) -> float:
    return float(np.mean(np.square(frame)))


def noise(num_samples: int, level: float = 1e-3) -> Samples:
    samples = level * np.random.default_rng(0).standard_normal(num_samples)
    return samples.astype(np.float32)


def after_silence(sound: Samples) -> Samples:
    return np.concatenate([np.zeros(RATE_HZ, np.float32), sound])


def test_a_reply_that_the_microphone_does_not_hear_is_noticed_within_a_second() -> None:
    played = after_silence(speech_like(4.0, seed=1))
    found_s = seconds_until_absent(noise(len(played)), played)
    assert found_s is not None
    assert found_s < 2.0


def test_an_echo_is_never_taken_for_none() -> None:
    for seed in range(8):
        played = after_silence(speech_like(6.0, seed=seed, pitch_hz=90 + 20 * seed))
        for delay_ms in (40, 140, 250):
            echo = Room(delay_ms, seed=seed).echo_of(played)
            assert seconds_until_absent(echo + noise(len(played)), played) is None


def test_the_next_reply_has_to_show_it_anew() -> None:
    presence = EchoPresence()
    silent, loud = np.zeros(FRAME, np.float32), speech_like(2.0, seed=1)
    quiet = noise(FRAME)
    for start in range(0, len(loud) - FRAME, FRAME):
        presence.push(power(quiet), power(loud[start : start + FRAME]))
    assert presence.is_absent
    for _ in range(60):
        presence.push(power(quiet), power(silent))
    assert not presence.is_absent
