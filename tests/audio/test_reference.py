"""What was played is read in step with what is recorded, for hours, whatever the two clocks do."""

from collections.abc import Iterator

import numpy as np
import pytest

from audio.chunk import AudioChunk
from audio.device_clock import CallbackNotes, DeviceClock
from audio.reference import LAG_S, Pace, Reference
from audio.ring import SampleRing

SPEAKER_HZ, MICROPHONE_HZ = 48_000, 16_000
START_S = 5000.0


class Jitter:
    """How late callbacks come: mostly 1 ms, now and then 15, drawn anew each time."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def __call__(self, num: int) -> Iterator[float]:
        late = self._random.exponential(0.001, num)
        late[self._random.random(num) < 0.01] = 0.015
        return iter(late.tolist())


@pytest.mark.parametrize(("speaker_ppm", "microphone_ppm"), [(200, -200), (-200, 200), (200, 200)])
def test_four_hours_of_drift_neither_overrun_nor_underrun(
    speaker_ppm: float, microphone_ppm: float
) -> None:
    """Steps of 0.2 s of the two clocks; only where is read is computed, not the sound."""
    step_s, hours = 0.2, 4
    num_steps = round(hours * 3600 / step_s)
    late = Jitter()(2 * num_steps)
    played, recorded = DeviceClock(SPEAKER_HZ), DeviceClock(MICROPHONE_HZ)
    pace = Pace(SPEAKER_HZ, MICROPHONE_HZ)
    true_speaker_hz = SPEAKER_HZ * (1 + speaker_ppm * 1e-6)
    true_microphone_hz = MICROPHONE_HZ * (1 + microphone_ppm * 1e-6)
    offsets_s, num_read = [], 0
    for i in range(1, num_steps):
        time_s = i * step_s
        played.follow(START_S + time_s + next(late), round(time_s * true_speaker_hz))
        num_recorded = round(time_s * true_microphone_hz)
        recorded.follow(START_S + time_s + next(late), num_recorded)
        assert pace.plan(played, recorded, num_read)
        assert pace.position is not None
        # Where the speaker really was when this sample was recorded.
        true_position = num_read / true_microphone_hz * true_speaker_hz
        offsets_s.append((true_position - pace.position) / SPEAKER_HZ)
        step = SPEAKER_HZ / MICROPHONE_HZ * (1 + pace.correction_ppm * 1e-6)
        pace.position += (num_recorded - num_read) * step
        num_read = num_recorded
    settled = np.array(offsets_s[round(60 / step_s) :])
    assert abs(settled - LAG_S).max() < 0.005  # A fixed echo delay, of which the canceller is sure.
    assert settled.max() - settled.min() < 0.004
    assert pace.num_jumps <= 1  # While the clocks were found.
    # A callback that is 15 ms late moves the rate by so much, for a while.
    assert played.drift_ppm == pytest.approx(speaker_ppm, abs=40)
    assert recorded.drift_ppm == pytest.approx(microphone_ppm, abs=40)


def test_the_reference_of_drifting_devices_is_the_played_sound_without_clicks() -> None:
    """Half a minute of a tone, 400 ppm apart, in blocks of 10 ms of either device."""
    ring, notes = SampleRing(3 * SPEAKER_HZ), CallbackNotes()
    played, recorded = DeviceClock(SPEAKER_HZ), DeviceClock(MICROPHONE_HZ)
    reference = Reference(ring, SPEAKER_HZ, MICROPHONE_HZ)
    found = []
    for i in range(1, 3000):
        now_s = i * 0.01
        while ring.end / (SPEAKER_HZ * 1.0002) <= now_s:
            phase = 2 * np.pi * 1000 * np.arange(ring.end, ring.end + 480) / SPEAKER_HZ
            notes.add(ring.end / (SPEAKER_HZ * 1.0002), ring.end)
            ring.write((0.5 * np.sin(phase)).astype(np.float32)[:, None])
        for time_s, position in notes.take():
            played.follow(time_s, position)
        recorded.follow(now_s * 1.0002, i * 160)
        chunk = AudioChunk(np.zeros(160, np.float32), MICROPHONE_HZ, (i - 1) * 160)
        found.append(reference.during(chunk, played, recorded))
    sound = np.concatenate(found)[-8 * MICROPHONE_HZ :]
    spectrum = np.abs(np.fft.rfft(sound * np.blackman(len(sound))))
    frequencies = np.fft.rfftfreq(len(sound), 1 / MICROPHONE_HZ)
    beside = (
        np.abs(frequencies - 1000) > 5
    )  # The tone itself moves by 0.4 Hz and by the correction.
    assert 20 * np.log10(spectrum[beside].max() / spectrum.max()) < -60
    assert reference.num_missing < 0.1 * MICROPHONE_HZ  # At the beginning only.


def test_without_a_running_speaker_the_reference_is_silence() -> None:
    reference = Reference(SampleRing(100), SPEAKER_HZ, MICROPHONE_HZ)
    chunk = AudioChunk(np.ones(160, np.float32), MICROPHONE_HZ, 0)
    found = reference.during(chunk, DeviceClock(SPEAKER_HZ), DeviceClock(MICROPHONE_HZ))
    assert found.tolist() == [0] * 160


def test_a_clock_begins_anew_after_a_gap() -> None:
    clock = DeviceClock(16_000)
    for i in range(100):
        clock.follow(i * 0.01, i * 160)
    clock.follow(3600.0, 100 * 160)  # The machine slept.
    assert clock.num_restarts == 1
    assert clock.position_at(3600.01) == pytest.approx(101 * 160)


def test_a_clock_that_is_not_followed_keeps_its_nominal_rate() -> None:
    clock = DeviceClock(16_000)
    assert not clock.is_running
    assert clock.rate_hz == 16_000
    assert clock.drift_ppm == 0


def test_notes_that_nobody_takes_are_bounded() -> None:
    notes = CallbackNotes()
    for i in range(5000):
        notes.add(i * 0.01, i)
    assert len(notes.take()) == 1024
    assert notes.take() == []
