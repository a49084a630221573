import numpy as np

from audio.chunk import Samples
from voiced.playout import Playout
from voiced.speech_model import SOUND_RATE_HZ

SOUND = np.full(2400, 0.5, np.float32)  # 0.1 s


class Recorder:
    def __init__(self) -> None:
        self.samples = np.zeros(0, np.float32)

    def write(self, samples: Samples) -> None:
        self.samples = np.concatenate([self.samples, samples])


class ManualClock:
    """Goes on only when somebody waits or the test says so."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now_s(self) -> float:
        return self.time_s

    def wait_s(self, duration_s: float) -> None:
        self.time_s += duration_s


def test_without_a_clock_the_reply_begins_exactly_where_the_input_ends() -> None:
    recorder = Recorder()
    playout = Playout(recorder, None)
    playout.listen(2.5)
    playout.play(SOUND)
    playout.play(SOUND)
    assert not recorder.samples[: round(2.5 * SOUND_RATE_HZ)].any()
    assert recorder.samples[round(2.5 * SOUND_RATE_HZ) :].tolist() == [0.5] * 4800
    assert playout.num_late == 0


def test_with_a_clock_listening_lasts_as_long_as_the_input() -> None:
    clock = ManualClock()
    playout = Playout(Recorder(), clock)
    playout.listen(2.5)
    assert clock.time_s == 1002.5


def test_with_a_clock_late_sound_leaves_a_silence_before_it() -> None:
    clock, recorder = ManualClock(), Recorder()
    playout = Playout(recorder, clock)
    playout.listen(1.0)
    clock.time_s += 1.5
    playout.play(SOUND)
    playout.play(SOUND)  # In time: the first is still being played.
    clock.time_s += 0.3
    playout.play(SOUND)
    heard = np.flatnonzero(recorder.samples)
    assert heard[0] == round(2.5 * SOUND_RATE_HZ)
    assert playout.num_late == round(1.6 * SOUND_RATE_HZ)
    assert len(recorder.samples) == playout.num_samples == round(2.9 * SOUND_RATE_HZ)


def test_a_long_silence_is_written_in_parts_of_a_second() -> None:
    lengths: list[int] = []

    class Lengths:
        def write(self, samples: Samples) -> None:
            lengths.append(len(samples))

    Playout(Lengths(), None).listen(100.25)
    assert sum(lengths) == round(100.25 * SOUND_RATE_HZ)
    assert max(lengths) <= SOUND_RATE_HZ
