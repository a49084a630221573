"""Turns begin, pause, go on and end where the voice says, and no sound of theirs is lost."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiced.endpointing import (
    FIRST_SILENCE,
    LEAST_SILENCE,
    MOST_SILENCE,
    UNFINISHED_SILENCE,
)
from voiced.errors import RangeError
from voiced.turns import (
    CONFIRM_WINDOWS,
    FOLLOW_UP,
    PAUSE,
    PRE_ROLL,
    REST_OF_WORD,
    RESUME,
    SHORTEST_LONGEST_TURN,
    WAKE_WORD,
    Abandoned,
    BargedIn,
    Ended,
    Opener,
    Paused,
    ReplyHeld,
    ReplyResumed,
    SpeechEvent,
    Started,
    TurnMachine,
    WentOn,
)
from voiced.voice_activity import RATE_HZ, WINDOW_SAMPLES

Kind = TypeVar("Kind", bound=SpeechEvent)
SECOND = 31  # Windows.
VOICE, SILENCE = 0.1, 0.001  # Amplitudes.


class Talk:
    """A machine and all that was pushed into it, so that each event's sound can be compared.

    Attributes:
        events: all so far.
        sound: all so far, muted or not.
    """

    def __init__(self, machine: TurnMachine | None = None) -> None:
        self.machine = machine or TurnMachine()
        self.events: list[SpeechEvent] = []
        self.sound = np.zeros(0, np.float32)
        self._rng = np.random.default_rng(0)

    def voice(self, num_windows: int, amplitude: float = VOICE) -> list[SpeechEvent]:
        return self.hear(num_windows, 0.95, amplitude)

    def silence(self, num_windows: int) -> list[SpeechEvent]:
        return self.hear(num_windows, 0.01, SILENCE)

    def hear(self, num_windows: int, probability: float, amplitude: float) -> list[SpeechEvent]:
        caused: list[SpeechEvent] = []
        for _ in range(num_windows):
            noise = self._rng.standard_normal(WINDOW_SAMPLES)
            window = (amplitude * noise).astype(np.float32)
            self.sound = np.concatenate([self.sound, window])
            caused += self.machine.push(window, probability)
        return self.tell(lambda: caused)

    def tell(self, fact: Callable[[], list[SpeechEvent]]) -> list[SpeechEvent]:
        caused = fact()
        self.events += caused
        return caused

    def reply(self) -> None:
        """Let a reply sound from now on."""
        self.tell(lambda: self.machine.reply_started(self.machine.position))

    def reply_ends(self) -> list[SpeechEvent]:
        return self.tell(lambda: self.machine.reply_stopped(self.machine.position))

    @property
    def kinds(self) -> list[type[SpeechEvent]]:
        return [type(event) for event in self.events]

    def only(self, kind: type[Kind]) -> Kind:
        (event,) = (event for event in self.events if isinstance(event, kind))
        return event


@pytest.fixture
def talk() -> Talk:
    """Return a talk in a quiet room that was listened to for two seconds."""
    talk = Talk()
    talk.silence(2 * SECOND)
    return talk


def samples(windows: int) -> int:
    return windows * WINDOW_SAMPLES


# A turn


def test_a_turn_starts_pauses_and_ends(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(SECOND)

    assert talk.kinds == [Started, Paused, Ended]
    start, end = samples(2 * SECOND), samples(3 * SECOND)
    assert [event.position for event in talk.events] == [start, end, end]


def test_a_turn_holds_300_ms_from_before_the_voice(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(SECOND)

    speech = talk.only(Ended).speech
    voice_start = samples(2 * SECOND)
    assert voice_start - speech.start == PRE_ROLL >= 0.3 * RATE_HZ
    np.testing.assert_array_equal(speech.samples, talk.sound[speech.start : speech.end])


@pytest.mark.parametrize("num_windows", [3, 4, 8])
def test_a_short_word_is_a_turn(talk: Talk, num_windows: int) -> None:
    talk.voice(num_windows)
    talk.silence(SECOND)

    assert talk.only(Ended).position - talk.only(Started).position == samples(num_windows)


@pytest.mark.parametrize("num_windows", [1, 2])
def test_a_click_is_no_turn(talk: Talk, num_windows: int) -> None:
    for _ in range(5):
        talk.voice(num_windows)
        talk.silence(SECOND // 4)

    assert talk.events == []


def test_a_voice_from_the_first_sample_on_is_heard() -> None:
    talk = Talk()
    talk.voice(8)
    talk.silence(SECOND)

    assert talk.only(Started).sound_start == 0


def test_silence_shorter_than_the_wait_keeps_the_floor(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(SECOND // 2)
    talk.voice(SECOND)
    talk.silence(SECOND)

    assert talk.kinds == [Started, Paused, WentOn, Paused, Ended]
    assert talk.only(WentOn).position == samples(3 * SECOND + SECOND // 2)


def test_gaps_inside_words_are_no_pauses(talk: Talk) -> None:
    for _ in range(10):
        talk.voice(4)
        talk.silence(5)

    assert talk.kinds == [Started]


def test_a_turn_does_not_end_while_a_voice_may_be_beginning(talk: Talk) -> None:
    talk.voice(SECOND)
    silence = FIRST_SILENCE // WINDOW_SAMPLES
    talk.silence(silence)
    talk.voice(3)

    assert talk.kinds == [Started, Paused, WentOn]


def test_the_reply_prepared_at_the_pause_is_to_the_same_sound_as_at_the_end(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(SECOND)

    prepared, ended = talk.only(Paused), talk.only(Ended)
    assert prepared.decided - prepared.position == PAUSE
    assert ended.decided > prepared.decided
    np.testing.assert_array_equal(prepared.speech.samples, ended.speech.samples)


def test_a_click_in_the_pause_does_not_roll_the_prepared_reply_back(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(8)
    talk.voice(1)
    talk.silence(SECOND)

    assert talk.kinds == [Started, Paused, Ended]


def test_two_turns_share_no_sound(talk: Talk) -> None:
    for _ in range(2):
        talk.voice(SECOND)
        talk.silence(SECOND)

    first, second = (event.speech for event in talk.events if isinstance(event, Ended))
    assert second.start >= first.end


def test_in_the_first_windows_after_a_reset_silence_does_not_count() -> None:
    talk = Talk()
    talk.voice(3)
    talk.silence(9 + PAUSE // WINDOW_SAMPLES)

    assert talk.only(Paused).decided == samples(12) + PAUSE


def test_sound_that_is_not_finite_is_silence(talk: Talk) -> None:
    talk.voice(SECOND)
    broken = np.full(WINDOW_SAMPLES, np.nan, np.float32)
    talk.tell(lambda: talk.machine.push(broken, 0.9))
    talk.silence(SECOND)

    assert np.isfinite(talk.only(Ended).speech.samples).all()


def test_a_probability_that_is_no_number_is_no_voice(talk: Talk) -> None:
    talk.hear(SECOND, float("nan"), VOICE)
    assert talk.events == []
    talk.voice(SECOND)
    assert talk.kinds == [Started]


@pytest.mark.parametrize("num_samples", [0, 511, 513])
def test_a_window_of_another_size_is_refused(num_samples: int) -> None:
    with pytest.raises(RangeError, match=r"expected \(512,\)"):
        TurnMachine().push(np.zeros(num_samples, np.float32), 0.0)


# The wait


def wait(talk: Talk) -> int:
    """Return how many samples of silence end a turn of three seconds."""
    talk.voice(3 * SECOND)
    talk.silence(4 * SECOND)
    ended = talk.events[-1]
    assert isinstance(ended, Ended)
    return ended.decided - ended.position


def speak_with_pauses(talk: Talk, pause_windows: int) -> None:
    for _ in range(6):
        talk.voice(SECOND)
        talk.silence(pause_windows)
    talk.voice(SECOND)
    talk.silence(4 * SECOND)


def test_the_first_wait_is_six_tenths_of_a_second(talk: Talk) -> None:
    assert 0 <= wait(talk) - FIRST_SILENCE < WINDOW_SAMPLES


def test_who_pauses_long_is_waited_for_longer(talk: Talk) -> None:
    speak_with_pauses(talk, SECOND)
    assert wait(talk) > RATE_HZ


def test_who_never_pauses_is_answered_sooner(talk: Talk) -> None:
    for _ in range(5):
        wait(talk)

    assert 0 <= wait(talk) - LEAST_SILENCE < WINDOW_SAMPLES


def test_the_wait_never_exceeds_two_seconds(talk: Talk) -> None:
    for _ in range(5):
        speak_with_pauses(talk, 2 * SECOND)

    assert wait(talk) <= MOST_SILENCE + WINDOW_SAMPLES


def test_who_was_cut_off_is_waited_for_longer(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(SECOND)
    talk.voice(SECOND)

    assert talk.kinds == [Started, Paused, Ended, Started]
    talk.silence(int(0.7 * SECOND))
    assert talk.kinds[-1] is Paused  # The first wait is over by now.


def test_who_answers_a_reply_was_not_cut_off(talk: Talk) -> None:
    talk.voice(3 * SECOND)
    talk.silence(20)
    talk.reply()
    talk.silence(int(0.9 * SECOND))
    talk.reply_ends()
    talk.voice(SECOND)
    talk.silence(20)

    assert talk.kinds[-1] is Ended


def test_words_that_sound_unfinished_are_waited_for_a_second_longer(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.machine.heard_words("turn on the light and")
    talk.silence(3 * SECOND)

    ended = talk.only(Ended)
    expected = FIRST_SILENCE + UNFINISHED_SILENCE
    assert 0 <= ended.decided - ended.position - expected < WINDOW_SAMPLES


def test_words_that_came_during_the_pause_count(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.silence(10)
    talk.machine.heard_words("turn on the")
    talk.silence(SECOND)

    assert talk.kinds == [Started, Paused]


def test_words_from_before_a_pause_do_not_count_after_it(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.machine.heard_words("turn on the")
    talk.silence(SECOND)
    talk.voice(SECOND // 2)
    talk.silence(int(1.5 * SECOND))

    assert talk.kinds[-1] is Ended


def test_words_of_a_turn_that_is_over_do_not_count_for_the_next(talk: Talk) -> None:
    talk.machine.heard_words("and")
    assert wait(talk) < FIRST_SILENCE + WINDOW_SAMPLES


# The longest turn


def test_a_turn_over_the_limit_is_cut_and_the_rest_is_the_next_turn() -> None:
    talk = Talk(TurnMachine(longest=10 * RATE_HZ))
    talk.silence(2 * SECOND)
    talk.voice(15 * SECOND)
    talk.silence(SECOND)

    first, second = (event for event in talk.events if isinstance(event, Ended))
    assert (first.why, second.why) == ("longest", "silence")
    assert len(first.speech.samples) <= 10 * RATE_HZ + WINDOW_SAMPLES
    assert second.speech.start == first.speech.end
    assert talk.kinds[:3] == [Started, Ended, Started]


def test_the_cut_lies_where_it_is_quietest() -> None:
    talk = Talk(TurnMachine(longest=10 * RATE_HZ))
    talk.voice(270)
    talk.silence(4)
    talk.voice(SECOND * 5)

    cut = next(event for event in talk.events if isinstance(event, Ended)).position
    assert samples(270) < cut < samples(275)


def test_a_limit_under_two_seconds_is_refused() -> None:
    with pytest.raises(RangeError, match="expected at least 32000"):
        TurnMachine(longest=SHORTEST_LONGEST_TURN - 1)


# Interrupting


def test_a_voice_over_the_reply_holds_it_at_once(talk: Talk) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.voice(3)

    held = talk.only(ReplyHeld)
    assert held.position == samples(3 * SECOND)
    assert held.decided - held.position == samples(3)


@pytest.mark.parametrize("num_windows", [3, 9, 12])
def test_a_false_start_holds_the_reply_and_lets_it_go_on(talk: Talk, num_windows: int) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.voice(num_windows)
    talk.silence(SECOND)

    assert talk.kinds == [ReplyHeld, ReplyResumed]
    resumed = talk.only(ReplyResumed)
    assert resumed.decided - resumed.position == RESUME


def test_an_interruption_is_confirmed_and_began_with_its_first_voice(talk: Talk) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.voice(CONFIRM_WINDOWS)

    assert talk.kinds == [ReplyHeld, BargedIn, Started]
    assert talk.only(BargedIn).position == talk.only(Started).position == samples(3 * SECOND)
    assert talk.only(BargedIn).cause == "voice"


def test_what_interrupted_is_a_turn_with_all_its_sound(talk: Talk) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.voice(2 * SECOND)
    talk.silence(SECOND)

    speech = talk.only(Ended).speech
    assert speech.start == samples(3 * SECOND) - PRE_ROLL
    np.testing.assert_array_equal(speech.samples, talk.sound[speech.start : speech.end])


def test_false_starts_do_not_add_up(talk: Talk) -> None:
    talk.reply()
    for _ in range(10):
        talk.voice(8)
        talk.silence(SECOND // 2)

    assert talk.kinds == [ReplyHeld, ReplyResumed] * 10


def test_uh_huh_lets_the_reply_go_on_even_when_it_is_long(talk: Talk) -> None:
    talk.reply()
    talk.voice(5)
    talk.machine.heard_words("uh huh")
    talk.voice(20)
    talk.silence(SECOND)

    assert talk.kinds == [ReplyHeld, ReplyResumed]


def test_stop_interrupts_however_short_it_is(talk: Talk) -> None:
    talk.reply()
    talk.voice(5)
    talk.tell(lambda: talk.machine.heard_words("stop"))

    assert talk.kinds == [ReplyHeld, BargedIn, Started]


def test_a_short_yes_at_the_end_of_the_reply_is_its_answer(talk: Talk) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.voice(8)
    talk.silence(SECOND // 2)  # Held, and resumed:
    talk.reply_ends()  # it had little left to say.
    talk.silence(SECOND)

    assert talk.kinds == [ReplyHeld, ReplyResumed, Started, Paused, Ended]
    assert talk.only(Ended).speech.start == samples(3 * SECOND) - PRE_ROLL


def test_a_false_start_long_before_the_end_of_the_reply_is_no_answer(talk: Talk) -> None:
    talk.reply()
    talk.voice(8)
    talk.silence(2 * SECOND)
    talk.reply_ends()
    talk.silence(SECOND)

    assert talk.kinds == [ReplyHeld, ReplyResumed]


def test_a_short_voice_is_no_answer_where_time_went_by_unheard_before_the_end(talk: Talk) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.voice(8)
    talk.silence(SECOND // 2)
    talk.machine.forget_answer()  # The microphone was pulled out, for minutes.
    talk.reply_ends()
    talk.silence(SECOND)

    assert talk.kinds == [ReplyHeld, ReplyResumed]


def test_a_voice_that_outlasts_the_reply_has_the_turn(talk: Talk) -> None:
    talk.reply()
    talk.voice(5)
    talk.reply_ends()
    talk.voice(SECOND)

    assert talk.kinds == [ReplyHeld, Started]


def test_what_is_left_of_the_echo_does_not_hold_the_reply(talk: Talk) -> None:
    talk.voice(2 * SECOND)
    talk.silence(SECOND)
    num_events = len(talk.events)
    talk.reply()
    talk.voice(5 * SECOND, amplitude=VOICE / 100)

    assert len(talk.events) == num_events


def test_an_unsure_detector_does_not_hold_the_reply(talk: Talk) -> None:
    talk.reply()
    talk.hear(SECOND, 0.6, VOICE)

    assert talk.events == []


def test_a_reply_that_begins_in_the_users_turn_is_cut_off(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.reply()

    assert talk.kinds == [Started, BargedIn]


def test_a_voice_before_the_announced_reply_holds_it(talk: Talk) -> None:
    talk.machine.reply_started(talk.machine.position + RATE_HZ)
    talk.voice(3)

    assert talk.kinds == [ReplyHeld]


def test_a_key_cuts_the_reply_off(talk: Talk) -> None:
    talk.reply()
    talk.silence(SECOND)
    talk.tell(talk.machine.interrupt)

    assert talk.only(BargedIn).cause == "key"
    assert talk.tell(talk.machine.interrupt) == []


# Keys, text, mute


def test_a_turn_lasts_as_long_as_the_key_is_held() -> None:
    talk = Talk(TurnMachine(opener="key"))
    talk.voice(SECOND)
    talk.tell(talk.machine.press)
    talk.silence(5)
    talk.voice(SECOND)
    talk.silence(4 * SECOND)
    talk.voice(SECOND)
    talk.tell(talk.machine.release)
    talk.voice(SECOND)

    assert talk.kinds == [Started, Paused, WentOn, Ended]
    assert talk.only(Ended).why == "released"
    assert talk.only(Ended).speech.end == samples(7 * SECOND + 5)


def test_a_word_begun_before_the_key_was_down_is_not_cut() -> None:
    talk = Talk(TurnMachine(opener="key"))
    talk.silence(SECOND)
    talk.tell(talk.machine.press)

    assert talk.only(Started).sound_start == samples(SECOND) - PRE_ROLL


def test_a_key_pressed_without_a_word_gives_no_turn(talk: Talk) -> None:
    talk.tell(talk.machine.press)
    talk.silence(SECOND)
    talk.tell(talk.machine.release)

    assert talk.kinds == [Started, Abandoned]


def test_a_key_cuts_the_reply_off_and_begins_a_turn(talk: Talk) -> None:
    talk.reply()
    talk.tell(talk.machine.press)

    assert talk.kinds == [BargedIn, Started]


def test_a_key_that_is_held_over_the_limit_loses_nothing() -> None:
    talk = Talk(TurnMachine(longest=4 * RATE_HZ, opener="key"))
    talk.tell(talk.machine.press)
    for _ in range(10):
        talk.voice(SECOND)
        talk.silence(8)
    talk.tell(talk.machine.release)

    turns = [event.speech for event in talk.events if isinstance(event, Ended)]
    assert sum(len(turn.samples) for turn in turns) > samples(10 * SECOND)


def test_a_key_that_is_stuck_begins_no_turn_after_turn() -> None:
    talk = Talk(TurnMachine(longest=4 * RATE_HZ))
    talk.tell(talk.machine.press)
    talk.silence(60 * SECOND)

    assert talk.kinds == [Started, Abandoned]


def test_text_cuts_the_reply_off(talk: Talk) -> None:
    talk.reply()
    talk.tell(talk.machine.enter_text)

    assert talk.only(BargedIn).cause == "text"


def test_text_takes_the_place_of_what_was_being_said(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.tell(talk.machine.enter_text)
    talk.silence(SECOND)

    assert talk.kinds == [Started, Abandoned]


def test_muted_nothing_is_held_and_nothing_starts(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.tell(talk.machine.mute)
    talk.voice(5 * SECOND)

    assert talk.kinds == [Started, Abandoned]
    assert not talk.machine._windows
    assert not talk.machine._recent


def test_after_unmuting_no_sound_from_before_is_in_the_turn(talk: Talk) -> None:
    talk.voice(2)
    talk.machine.mute()
    opened = talk.machine.position + 10 * RATE_HZ
    talk.machine.unmute(opened)
    talk.voice(SECOND)

    assert talk.only(Started).sound_start == talk.only(Started).position == opened


def test_muting_lets_a_held_reply_go_on(talk: Talk) -> None:
    talk.reply()
    talk.voice(5)
    talk.tell(talk.machine.mute)

    assert talk.kinds == [ReplyHeld, ReplyResumed]


def test_time_never_goes_back(talk: Talk) -> None:
    talk.machine.mute()
    with pytest.raises(RangeError, match="never goes back"):
        talk.machine.unmute(talk.machine.position - 1)


def test_the_end_of_the_input_ends_the_turn(talk: Talk) -> None:
    talk.voice(SECOND)
    talk.tell(talk.machine.finish)

    assert talk.only(Ended).why == "end of input"
    assert talk.only(Ended).speech.end == talk.machine.position


def test_the_sound_so_far_is_that_of_the_turn(talk: Talk) -> None:
    assert talk.machine.speech_so_far() is None
    talk.voice(SECOND)

    speech = talk.machine.speech_so_far()
    assert speech is not None
    np.testing.assert_array_equal(speech.samples, talk.sound[speech.start : speech.end])
    assert speech.end == talk.machine.position


# The wake word

WORD = 19  # Windows: 0.6 s.
LAG = 7  # Windows after its end, when it is recognised: 0.2 s.


@pytest.fixture
def sleeper() -> Talk:
    """Return a talk in a quiet room that waits for the wake word."""
    talk = Talk(TurnMachine(opener="wake word"))
    talk.silence(2 * SECOND)
    return talk


def wake(talk: Talk, *, rest: int = 0) -> int:
    """Say the wake word, `rest` windows of it after it was recognised, and be silent; return where it was recognised."""
    talk.voice(WORD - rest)
    talk.silence(0 if rest else LAG)
    talk.tell(talk.machine.heard_wake_word)
    woke_at = talk.machine.position
    talk.voice(rest)
    talk.silence(LAG)
    return woke_at


def turns_of(talk: Talk) -> list[Ended]:
    return [event for event in talk.events if isinstance(event, Ended)]


def test_asleep_a_voice_means_nothing(sleeper: Talk) -> None:
    sleeper.voice(SECOND)
    sleeper.silence(4 * SECOND)

    assert sleeper.machine.is_asleep
    assert sleeper.events == []


def test_after_the_wake_word_a_voice_is_a_turn_without_it(sleeper: Talk) -> None:
    word_end = sleeper.machine.position + samples(WORD)
    wake(sleeper)
    assert not sleeper.machine.is_asleep
    said = sleeper.machine.position
    sleeper.voice(SECOND)
    sleeper.silence(SECOND)

    assert sleeper.kinds == [Started, Paused, Ended]
    assert sleeper.only(Started).position == said
    speech = sleeper.only(Ended).speech
    assert word_end <= speech.start <= said - samples(2 * LAG) + samples(4)
    assert speech.end >= said + samples(SECOND)


@pytest.mark.parametrize(
    "lag", [-4, 0, 3, 7, 10]
)  # Windows from the word's end to its recognition.
def test_a_command_without_a_pause_is_heard_from_its_beginning(sleeper: Talk, lag: int) -> None:
    said = sleeper.machine.position + samples(WORD)
    sleeper.voice(WORD + lag)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.voice(SECOND)
    sleeper.silence(SECOND)

    speech = sleeper.only(Ended).speech
    assert said - PRE_ROLL - samples(4) <= speech.start <= said
    assert speech.end >= said + samples(SECOND + lag)


@pytest.mark.parametrize("gap", [2, 5, 8, 12])  # Windows between word and command.
def test_a_command_after_a_short_pause_is_heard_whole(sleeper: Talk, gap: int) -> None:
    sleeper.voice(WORD)
    word_end = sleeper.machine.position
    said = word_end + samples(gap)
    for number in range(gap + SECOND):
        if number == LAG:
            sleeper.tell(sleeper.machine.heard_wake_word)
        sleeper.hear(1, *((0.95, VOICE) if number >= gap else (0.01, SILENCE)))
    sleeper.silence(SECOND)

    speech = sleeper.only(Ended).speech
    assert speech.start <= said
    assert speech.end >= said + samples(SECOND)
    assert gap < LAG or speech.start >= word_end


@pytest.mark.parametrize("rest", range(8))
def test_the_wake_word_alone_is_no_turn_and_its_command_is_waited_for(
    sleeper: Talk, rest: int
) -> None:
    wake(sleeper, rest=rest)
    sleeper.silence(7 * SECOND)
    assert sleeper.events == []
    assert not sleeper.machine.is_asleep
    sleeper.voice(SECOND)

    assert sleeper.kinds == [Started]


def test_it_falls_asleep_when_nothing_is_said(sleeper: Talk) -> None:
    woke_at = wake(sleeper)
    while not sleeper.machine.is_asleep:
        sleeper.silence(1)
    sleeper.voice(SECOND)

    assert sleeper.machine.position - samples(SECOND) == woke_at + FOLLOW_UP
    assert sleeper.events == []


def test_who_began_to_speak_before_it_falls_asleep_is_heard(sleeper: Talk) -> None:
    woke_at = wake(sleeper)
    sleeper.silence((woke_at + FOLLOW_UP - sleeper.machine.position) // WINDOW_SAMPLES - 1)
    sleeper.voice(SECOND)

    assert sleeper.kinds == [Started]


def test_a_long_turn_and_a_long_reply_keep_it_awake(sleeper: Talk) -> None:
    wake(sleeper)
    for _ in range(12):
        sleeper.voice(SECOND)
    sleeper.silence(SECOND)
    sleeper.reply()
    sleeper.silence(20 * SECOND)
    assert not sleeper.machine.is_asleep
    sleeper.reply_ends()
    sleeper.silence(7 * SECOND)
    sleeper.voice(SECOND)
    sleeper.silence(SECOND)
    assert len(turns_of(sleeper)) == 2
    sleeper.silence(8 * SECOND)

    assert sleeper.machine.is_asleep


def test_while_a_reply_is_being_made_it_can_be_kept_awake(sleeper: Talk) -> None:
    wake(sleeper)
    for _ in range(20):
        sleeper.silence(SECOND)
        sleeper.machine.stay_awake()

    assert not sleeper.machine.is_asleep


def test_awake_a_voice_interrupts_the_reply(sleeper: Talk) -> None:
    wake(sleeper)
    sleeper.reply()
    sleeper.silence(20 * SECOND)
    sleeper.voice(SECOND)

    assert sleeper.kinds == [ReplyHeld, BargedIn, Started]


@pytest.mark.parametrize(
    "num_windows", [8, WORD]
)  # Recognised while it is only suspected, or later.
def test_the_wake_word_over_a_reply_cuts_it_and_is_no_turn(sleeper: Talk, num_windows: int) -> None:
    sleeper.reply()
    sleeper.silence(SECOND)
    sleeper.voice(num_windows)
    sleeper.silence(3)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.silence(2 * SECOND)

    assert sleeper.kinds == [ReplyHeld, BargedIn, Started, Abandoned]
    assert not sleeper.machine.is_asleep


def test_a_reply_that_says_the_wake_word_does_not_interrupt_itself(sleeper: Talk) -> None:
    sleeper.reply()
    sleeper.silence(SECOND)

    assert sleeper.tell(sleeper.machine.heard_wake_word) == []


def test_a_reply_that_says_the_wake_word_takes_no_short_answer_away(sleeper: Talk) -> None:
    sleeper.reply()
    sleeper.silence(SECOND)
    said = sleeper.machine.position
    sleeper.voice(8)
    sleeper.silence(RESUME // WINDOW_SAMPLES + 5)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.reply_ends()

    assert sleeper.kinds == [ReplyHeld, ReplyResumed, Started]
    assert sleeper.only(Started).sound_start == said - PRE_ROLL


def test_the_wake_word_said_with_the_key_held_is_part_of_the_turn(sleeper: Talk) -> None:
    sleeper.tell(sleeper.machine.press)
    sleeper.voice(WORD)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.tell(sleeper.machine.release)

    assert sleeper.kinds == [Started, Ended]


def test_a_key_ends_what_is_left_of_the_wake_word(sleeper: Talk) -> None:
    sleeper.voice(WORD)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.tell(sleeper.machine.press)
    sleeper.tell(sleeper.machine.release)
    released = sleeper.machine.position
    sleeper.voice(SECOND)

    assert sleeper.kinds == [Started, Abandoned, Started]
    assert sleeper.events[-1].position == released


def test_awake_the_wake_word_before_a_command_is_left_out(sleeper: Talk) -> None:
    wake(sleeper)
    sleeper.silence(SECOND)
    sleeper.voice(WORD)
    said = sleeper.machine.position
    sleeper.voice(LAG)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.voice(SECOND)
    sleeper.silence(SECOND)

    assert sleeper.kinds == [Started, Abandoned, Started, Paused, Ended]
    assert said - PRE_ROLL <= sleeper.only(Ended).speech.start <= said


def test_in_the_middle_of_a_turn_the_wake_word_is_a_word(sleeper: Talk) -> None:
    wake(sleeper)
    sleeper.voice(WAKE_WORD // WINDOW_SAMPLES + 1)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.silence(SECOND)

    assert sleeper.kinds == [Started, Paused, Ended]


def test_a_voice_that_outlasts_the_rest_of_the_word_is_a_command(sleeper: Talk) -> None:
    sleeper.voice(WORD)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.voice(REST_OF_WORD // WINDOW_SAMPLES - 1)
    assert sleeper.events == []
    sleeper.voice(1)

    assert sleeper.kinds == [Started]


def test_muted_the_wake_word_is_off_and_after_it_asleep(sleeper: Talk) -> None:
    wake(sleeper)
    sleeper.tell(sleeper.machine.mute)
    sleeper.tell(sleeper.machine.heard_wake_word)
    sleeper.machine.unmute(sleeper.machine.position)
    sleeper.voice(SECOND)

    assert sleeper.machine.is_asleep
    assert sleeper.events == []


def test_where_none_is_asked_for_the_wake_word_is_nothing(talk: Talk) -> None:
    talk.voice(SECOND)
    assert talk.tell(talk.machine.heard_wake_word) == []
    assert not talk.machine.is_asleep


# What holds whatever happens

Stretch = tuple[int, float, float]  # Number of windows, the detector's probability, amplitude.
OPENERS: tuple[Opener, ...] = ("voice", "key", "wake word")
STRETCHES = st.tuples(
    st.integers(1, 60),
    st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.95, 1.0]),
    st.sampled_from([0.0, SILENCE, 0.01, VOICE, 1.0]),
)
FACTS = st.sampled_from(
    "reply reply_ahead reply_ends words uh_huh stop key press release text mute unmute wake awake".split()
)


def happen(talk: Talk, fact: str) -> None:
    machine = talk.machine
    match fact:
        case "reply":
            talk.reply()
        case "reply_ahead":
            talk.tell(lambda: machine.reply_started(machine.position + 1000))
        case "reply_ends":
            talk.reply_ends()
        case "words":
            talk.tell(lambda: machine.heard_words("and"))
        case "uh_huh":
            talk.tell(lambda: machine.heard_words("uh huh"))
        case "stop":
            talk.tell(lambda: machine.heard_words("stop"))
        case "key":
            talk.tell(machine.interrupt)
        case "press":
            talk.tell(machine.press)
        case "release":
            talk.tell(machine.release)
        case "text":
            talk.tell(machine.enter_text)
        case "mute":
            talk.tell(machine.mute)
        case "unmute":
            machine.unmute(machine.position)
        case "wake":
            talk.tell(machine.heard_wake_word)
        case "awake":
            machine.stay_awake()


@given(
    st.lists(st.one_of(STRETCHES, FACTS), max_size=40),
    st.sampled_from(OPENERS),
    st.sampled_from([2 * RATE_HZ, 5 * RATE_HZ]),
)
@settings(deadline=None, max_examples=200)
def test_whatever_happens_the_events_make_sense(
    script: list[Stretch | str], opener: Opener, longest: int
) -> None:
    talk = Talk(TurnMachine(longest=longest, opener=opener))
    for part in script:
        if isinstance(part, str):
            happen(talk, part)
        else:
            talk.hear(*part)
        held = len(talk.machine._windows) * WINDOW_SAMPLES
        assert held <= longest + 12 * RATE_HZ
        assert not (talk.machine.is_muted and held)
    talk.tell(talk.machine.finish)

    assert_order(talk.events)
    assert_sound(talk.events, talk.sound, longest)


def assert_order(events: list[SpeechEvent]) -> None:
    has_turn = is_paused = is_held = False
    decided = 0
    for event in events:
        assert 0 <= event.position <= event.decided
        assert event.decided >= decided
        decided = event.decided
        match event:
            case Started():
                assert not has_turn
                has_turn, is_paused, is_held = True, False, False
            case Paused():
                assert has_turn
                assert not is_paused
                is_paused = True
            case WentOn():
                assert is_paused
                is_paused = False
            case Ended() | Abandoned():
                assert has_turn
                has_turn = is_paused = False
            case ReplyHeld():
                assert not has_turn
                assert not is_held
                is_held = True
            case ReplyResumed():
                assert is_held
                is_held = False
            case BargedIn():
                is_held = False
    assert not has_turn
    assert not is_held


def assert_sound(events: list[SpeechEvent], sound: NDArray[np.float32], longest: int) -> None:
    started: Started | None = None
    prepared: Paused | None = None
    last_end = 0
    for event in events:
        match event:
            case Started():
                assert last_end <= event.sound_start <= event.position
                assert event.position - event.sound_start <= PRE_ROLL
                started = event
            case Paused():
                assert event.decided - event.position >= PAUSE
                prepared = event
            case WentOn():
                prepared = None
            case Ended(speech=speech):
                assert started is not None
                assert speech.start == started.sound_start
                assert len(speech.samples) <= longest + WINDOW_SAMPLES
                np.testing.assert_array_equal(speech.samples, sound[speech.start : speech.end])
                if prepared is not None:
                    np.testing.assert_array_equal(speech.samples, prepared.speech.samples)
                if event.why == "silence":
                    waited = event.decided - event.position
                    assert waited >= LEAST_SILENCE
                last_end, prepared = speech.end, None
            case Abandoned():
                prepared = None


@given(st.lists(st.tuples(st.integers(3, 200), st.integers(1, 120)), max_size=12))
@settings(deadline=None, max_examples=60)
def test_every_voiced_sample_lies_in_exactly_one_turn(
    voices_and_silences: list[tuple[int, int]],
) -> None:
    talk = Talk(TurnMachine(longest=4 * RATE_HZ))
    num_turns = np.zeros(samples(sum(map(sum, voices_and_silences))), int)
    voices = []
    for num_voiced, num_silent in voices_and_silences:
        voices.append(slice(len(talk.sound), len(talk.sound) + samples(num_voiced)))
        talk.voice(num_voiced)
        talk.silence(num_silent)
    talk.tell(talk.machine.finish)

    for event in talk.events:
        if isinstance(event, Ended):
            num_turns[event.speech.start : event.speech.end] += 1
    assert num_turns.max(initial=0) <= 1
    assert all((num_turns[voice] == 1).all() for voice in voices)


@given(st.lists(STRETCHES, max_size=20))
@settings(deadline=None, max_examples=60)
def test_asleep_nothing_that_is_heard_is_an_event(stretches: list[Stretch]) -> None:
    talk = Talk(TurnMachine(opener="wake word"))
    for stretch in stretches:
        talk.hear(*stretch)
        assert talk.machine.is_asleep
        assert talk.machine.speech_so_far() is None
    talk.tell(talk.machine.finish)

    assert talk.events == []


@given(st.lists(STRETCHES, max_size=20))
@settings(deadline=None, max_examples=60)
def test_three_seconds_after_the_last_voice_no_turn_goes_on(stretches: list[Stretch]) -> None:
    talk = Talk()
    for stretch in stretches:
        talk.hear(*stretch)
    talk.machine.heard_words("and")
    talk.silence(4 * SECOND)

    assert talk.machine.speech_so_far() is None


@given(st.lists(st.one_of(STRETCHES, FACTS), max_size=20))
@settings(deadline=None, max_examples=60)
def test_the_same_sound_and_facts_give_the_same_events(script: list[Stretch | str]) -> None:
    talks = [Talk(), Talk()]
    for talk in talks:
        for part in script:
            if isinstance(part, str):
                happen(talk, part)
            else:
                talk.hear(*part)

    first, second = ([(type(e), e.position, e.decided) for e in talk.events] for talk in talks)
    assert first == second
