"""What the microphone hears becomes turns: by the real detector, with speech made here."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.chunk import AudioChunk
from audio.reading import open_audio
from models import vad
from models.vad import VoiceDetector
from tests.speech import say
from voiced.errors import FormatError
from voiced.listening import LONGEST_GAP, Listener, WakeDetector
from voiced.turns import (
    Abandoned,
    BargedIn,
    Ended,
    ReplyHeld,
    ReplyResumed,
    SpeechEvent,
    Started,
    TurnMachine,
)
from voiced.voice_activity import RATE_HZ, WINDOW_SAMPLES

Sound = NDArray[np.float32]
CHUNK = RATE_HZ // 50  # 20 ms, as a device gives them.


class LoudnessDetector:
    """Takes what is loud for a voice; counts its resets."""

    def __init__(self) -> None:
        self.num_resets = 0

    def reset(self) -> None:
        self.num_resets += 1

    def push(self, window: Sound) -> float:
        return float(np.abs(window).mean() > 0.01)


class CuedWake:
    """Recognises the wake word in the next window after each cue; counts its resets."""

    def __init__(self) -> None:
        self.is_cued = False
        self.num_resets = 0

    def reset(self) -> None:
        self.num_resets += 1

    def push(self, window: Sound) -> bool:
        is_heard, self.is_cued = self.is_cued, False
        return is_heard


def pushed(listener: Listener, sound: Sound, sizes: list[int] | None = None) -> list[SpeechEvent]:
    events = []
    start = 0
    while start < len(sound):
        size = sizes.pop() if sizes else CHUNK
        chunk = AudioChunk(sound[start : start + size], RATE_HZ, listener.position)
        events += listener.push(chunk)
        start += size
    return events


def silence(duration_s: float) -> Sound:
    return np.zeros(round(duration_s * RATE_HZ), np.float32)


def loud(duration_s: float) -> Sound:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


@given(
    st.lists(st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)), max_size=4),
    st.lists(st.integers(0, 3000), max_size=100),
)
@settings(deadline=None, max_examples=50)
def test_the_events_do_not_depend_on_the_chunks(
    parts: list[tuple[float, float]], sizes: list[int]
) -> None:
    sound = np.concatenate([silence(1), *(x for a, b in parts for x in (loud(a), silence(b)))])
    seen = []
    for cut in (None, sizes):
        listener = Listener(LoudnessDetector(), TurnMachine())
        events = pushed(listener, sound, cut) + listener.finish()
        seen.append([(type(event), event.position, event.decided) for event in events])

    assert seen[0] == seen[1]


def test_the_windows_are_those_of_the_detector() -> None:
    assert (RATE_HZ, WINDOW_SAMPLES) == (vad.RATE_HZ, vad.WINDOW_SAMPLES)


def test_muted_nothing_is_held() -> None:
    listener = Listener(LoudnessDetector(), TurnMachine())
    pushed(listener, np.concatenate([silence(1), loud(0.99)]))

    assert [type(event) for event in listener.mute()] == [Abandoned]
    assert pushed(listener, loud(1)) == []
    assert not len(listener._rest)


def test_opening_the_microphone_resets_the_detector() -> None:
    detector = LoudnessDetector()
    listener = Listener(detector, TurnMachine())
    listener.mute()
    listener.unmute(RATE_HZ)

    assert detector.num_resets == 1
    assert listener.position == RATE_HZ


def test_the_wake_word_wakes_and_muted_it_is_not_listened_for() -> None:
    wake, machine = CuedWake(), TurnMachine(opener="wake word")
    listener = Listener(LoudnessDetector(), machine, wake)
    assert pushed(listener, np.concatenate([silence(1), loud(1), silence(1)])) == []
    wake.is_cued = True
    pushed(listener, silence(0.1))
    assert not machine.is_asleep

    listener.mute()
    wake.is_cued = True
    pushed(listener, loud(1))
    listener.unmute(listener.position)
    assert wake.is_cued  # It was given no sound.
    assert wake.num_resets == 1
    assert machine.is_asleep


def test_a_short_gap_in_the_stream_is_silence() -> None:
    listener = Listener(LoudnessDetector(), TurnMachine())
    listener.push(AudioChunk(loud(1), RATE_HZ))
    events = listener.push(AudioChunk(loud(1), RATE_HZ, RATE_HZ + LONGEST_GAP))

    assert Ended not in map(type, events)
    assert listener.position == 2 * RATE_HZ + LONGEST_GAP


def test_a_long_gap_in_the_stream_ends_the_turn() -> None:
    listener = Listener(LoudnessDetector(), TurnMachine())
    listener.push(AudioChunk(loud(1), RATE_HZ))
    events = listener.push(AudioChunk(loud(1), RATE_HZ, 10 * RATE_HZ))

    assert [type(event) for event in events] == [Ended, Started]
    assert events[1].position == 10 * RATE_HZ


def test_sound_goes_on_within_the_window_that_was_filled_up_when_it_broke_off() -> None:
    listener = Listener(LoudnessDetector(), TurnMachine())
    listener.push(AudioChunk(loud(1.0)[: WINDOW_SAMPLES + 100], RATE_HZ))
    listener.finish()
    assert listener.position == 2 * WINDOW_SAMPLES
    start = WINDOW_SAMPLES + 100
    with pytest.raises(FormatError, match="never goes back"):
        listener.push(AudioChunk(silence(0.1), RATE_HZ, start - 1))
    listener.push(AudioChunk(silence(0.1)[:50], RATE_HZ, start))  # All of it lies in the window.
    assert listener.position == 2 * WINDOW_SAMPLES
    listener.push(AudioChunk(silence(0.1), RATE_HZ, start + 50))
    assert listener.position == start + 50 + len(silence(0.1))
    with pytest.raises(FormatError, match="never goes back"):
        listener.push(AudioChunk(silence(0.1), RATE_HZ, start))


def test_a_chunk_of_another_rate_or_from_the_past_is_refused() -> None:
    listener = Listener(LoudnessDetector(), TurnMachine())
    with pytest.raises(FormatError, match="expected 16000 Hz"):
        listener.push(AudioChunk(silence(1), 48_000))
    listener.push(AudioChunk(silence(1), RATE_HZ))
    with pytest.raises(FormatError, match="never goes back"):
        listener.push(AudioChunk(silence(1), RATE_HZ))


# With the real detector


class Room:
    """A microphone in a room with a little noise, and the real detector."""

    def __init__(
        self, folder: Path, noise: float = 3e-4, *, wake: WakeDetector | None = None
    ) -> None:
        self._folder = folder
        self._rng = np.random.default_rng(0)
        self._noise = noise
        self.machine = TurnMachine(opener="voice" if wake is None else "wake word")
        self.listener = Listener(VoiceDetector(), self.machine, wake)

    def speech(self, text: str, voice: str = "en-us", words_per_minute: int = 160) -> Sound:
        """Return `text` as spoken, without the silence around it."""
        path = say(text, self._folder / "said.wav", voice=voice, words_per_minute=words_per_minute)
        with open_audio(path, rate_hz=RATE_HZ) as reader:
            sound: Sound = np.concatenate([chunk.samples for chunk in reader])
        loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
        return sound[loud[0] : loud[-1] + 1]

    def hear(self, *sounds: Sound) -> list[SpeechEvent]:
        sound = np.concatenate(sounds)
        noise = self._noise * self._rng.standard_normal(len(sound))
        return pushed(self.listener, (sound + noise).astype(np.float32))

    def cough(self, duration_s: float) -> Sound:
        """Return a burst of noise with two resonances of a throat: sudden, then falling off."""
        num = round(duration_s * RATE_HZ)
        hertz = np.fft.rfftfreq(num, 1 / RATE_HZ)
        throat = 1 / (1 + ((hertz - 700) / 400) ** 2) + 0.6 / (1 + ((hertz - 1800) / 600) ** 2)
        burst = np.fft.irfft(np.fft.rfft(self._rng.standard_normal(num)) * throat, num)
        fall = np.exp(-3 * np.arange(num) / num)
        cough: Sound = (0.3 * fall * burst / np.abs(burst).max()).astype(np.float32)
        return cough


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def kinds(events: list[SpeechEvent]) -> list[type[SpeechEvent]]:
    return [type(event) for event in events]


def turns(events: list[SpeechEvent]) -> list[Ended]:
    return [event for event in events if isinstance(event, Ended)]


SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.mark.parametrize(("voice", "pace"), [("en-us", 260), ("en-gb", 240), ("en-us+f3", 300)])
@pytest.mark.parametrize("offset", [0, 170, 340])  # Where the word falls into the windows.
def test_a_yes_of_250_ms_is_heard_whole(room: Room, voice: str, pace: int, offset: int) -> None:
    yes = room.speech("yes", voice, pace)
    assert len(yes) / RATE_HZ == pytest.approx(0.25, abs=0.02)
    said = RATE_HZ + offset
    events = room.hear(silence(1), np.zeros(offset, np.float32), yes, silence(2))

    (turn,) = turns(events)
    assert turn.speech.start <= said - 0.2 * RATE_HZ
    assert turn.speech.end >= said + len(yes)


def test_a_sentence_is_one_turn_with_all_its_sound(room: Room) -> None:
    sentence = room.speech(SENTENCE)
    (turn,) = turns(room.hear(silence(1), sentence, silence(2)))

    assert turn.speech.start <= RATE_HZ
    assert turn.speech.end >= RATE_HZ + len(sentence)


@pytest.mark.parametrize("duration_s", [0.1, 0.2, 0.3, 0.4])
def test_a_cough_is_no_turn_and_does_not_hold_the_reply(room: Room, duration_s: float) -> None:
    cough = room.cough(duration_s)
    assert room.hear(silence(1), cough, silence(1)) == []
    room.machine.reply_started(room.machine.position)
    assert room.hear(silence(1), cough, silence(1)) == []


@pytest.mark.parametrize("level", [1e-4, 1e-3, 1e-2, 1e-1])
def test_noise_of_any_level_is_no_turn(tmp_path: Path, level: float) -> None:
    assert Room(tmp_path, level).hear(silence(6)) == []


@pytest.mark.parametrize("decibels", [30, 20, 10])  # The voice above the noise.
def test_a_sentence_in_noise_is_one_turn(tmp_path: Path, decibels: int) -> None:
    quiet = Room(tmp_path)
    sentence = quiet.speech(SENTENCE)
    room = Room(tmp_path, float(sentence.std()) * 10 ** (-decibels / 20))
    (turn,) = turns(room.hear(silence(2), sentence, silence(3)))

    assert turn.why == "silence"
    assert turn.speech.end >= 2 * RATE_HZ + len(sentence) * 0.9


def test_noise_that_goes_on_after_the_voice_does_not_keep_the_turn(room: Room) -> None:
    sentence = room.speech(SENTENCE)
    noise = loud(5) * np.float32(0.3)
    events = room.hear(silence(2), sentence, noise)

    assert len(turns(events)) == 1


def test_uh_huh_under_300_ms_lets_the_reply_go_on(room: Room) -> None:
    room.machine.reply_started(0)
    uh_huh = room.speech("uh huh", "en-gb", words_per_minute=240)
    assert 0.2 < len(uh_huh) / RATE_HZ < 0.3
    events = room.hear(silence(1), uh_huh, silence(1))

    assert kinds(events) == [ReplyHeld, ReplyResumed]


def test_a_sentence_over_the_reply_interrupts_it(room: Room) -> None:
    room.machine.reply_started(0)
    events = room.hear(silence(1), room.speech("Tell me about the other one"), silence(2))

    assert kinds(events)[:3] == [ReplyHeld, BargedIn, Started]
    held, barged = events[:2]
    assert held.decided - RATE_HZ < 0.2 * RATE_HZ
    assert barged.position - RATE_HZ < 0.1 * RATE_HZ
    assert barged.decided - RATE_HZ < 0.6 * RATE_HZ


def test_a_speaker_who_pauses_is_soon_left_to_finish(room: Room) -> None:
    """Four sentences with pauses of 0.9 s: cut off once, then not again. One with pauses of 0.3 s: never."""
    words = [
        room.speech(text) for text in ("well I think", "that we could go", "to the old bridge")
    ]
    slow = [sound for word in words * 2 for sound in (word, silence(0.9))]
    quick = [sound for word in words * 2 for sound in (word, silence(0.3))]

    assert len(turns(room.hear(silence(1), *slow, silence(3)))) <= 3
    assert len(turns(room.hear(*slow, silence(3)))) == 1
    assert len(turns(room.hear(*quick, silence(3)))) == 1


def test_two_speakers_who_take_turns_at_the_microphone_are_both_left_to_finish(room: Room) -> None:
    words = ("turn on the light", "in the old kitchen", "and close the door")
    slow = [s for word in words for s in (room.speech(word, "en-gb"), silence(0.7))]
    quick = [s for word in words for s in (room.speech(word, "en-us+f3", 220), silence(0.25))]
    room.hear(silence(1), *slow, silence(3))

    for speaker in (slow, quick, slow, quick):
        assert len(turns(room.hear(*speaker, silence(3)))) == 1


# With the real wake word


@pytest.fixture
def bedroom(tmp_path: Path) -> Room:
    """Return a room in which everything sleeps until somebody says "alexa"."""
    reason = "pymicro-wakeword is not installed (pip install voiced[wake])"
    wake_word = pytest.importorskip("models.wake_word", reason=reason)
    return Room(tmp_path, wake=wake_word.WakeWordDetector("alexa"))


COMMAND = "turn on the kitchen light"


def test_asleep_a_sentence_is_no_turn(bedroom: Room) -> None:
    assert bedroom.hear(silence(1), bedroom.speech(SENTENCE), silence(2)) == []
    assert bedroom.machine.is_asleep


@pytest.mark.parametrize("voice", ["en-us", "en-gb", "en-us+f3", "en-gb-scotland", "en-us+m7"])
def test_the_wake_word_alone_is_no_turn(bedroom: Room, voice: str) -> None:
    said = 0.5 * bedroom.speech("alexa", voice)
    assert bedroom.hear(silence(2), said, silence(2)) == []
    assert not bedroom.machine.is_asleep


@pytest.mark.parametrize("pause_s", [0.15, 0.25, 0.4, 3])
def test_a_command_soon_after_the_wake_word_is_the_whole_turn(
    bedroom: Room, pause_s: float
) -> None:
    word, command = 0.5 * bedroom.speech("alexa"), 0.5 * bedroom.speech(COMMAND)
    events = bedroom.hear(silence(2), word, silence(pause_s), command, silence(2))
    word_end = 2 * RATE_HZ + len(word)
    said = word_end + round(pause_s * RATE_HZ)

    (turn,) = turns(events)
    assert word_end - 0.15 * RATE_HZ <= turn.speech.start <= said
    assert turn.speech.end >= said + len(command)


def test_a_command_right_behind_the_wake_word_is_the_whole_turn(bedroom: Room) -> None:
    word, command = 0.5 * bedroom.speech("alexa", "en-us+m7", 190), bedroom.speech(COMMAND)
    events = bedroom.hear(silence(2), word, 0.5 * command, silence(2))
    said = 2 * RATE_HZ + len(word)

    (turn,) = turns(events)
    assert said - 0.2 * RATE_HZ <= turn.speech.start <= said + 0.05 * RATE_HZ
    assert turn.speech.end >= said + len(command)


def test_after_a_turn_the_next_needs_no_wake_word(bedroom: Room) -> None:
    word, command = 0.5 * bedroom.speech("alexa"), 0.5 * bedroom.speech(COMMAND)
    bedroom.hear(silence(2), word, silence(0.3), command, silence(3))
    bedroom.machine.reply_started(bedroom.machine.position)
    bedroom.hear(silence(10))
    bedroom.machine.reply_stopped(bedroom.machine.position)

    assert len(turns(bedroom.hear(silence(5), command, silence(3)))) == 1
    assert turns(bedroom.hear(silence(9), command, silence(3))) == []
