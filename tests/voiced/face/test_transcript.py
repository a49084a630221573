"""What is read of a talk, in which order, whatever comes late."""

from protocols.events import (
    Event,
    HowEnded,
    Noticed,
    StateChanged,
    TextAdded,
    Transcribed,
    TurnEnded,
    TurnTimed,
)
from voiced.face.transcript import Line, Transcript


def user(turn: int, start_s: float = 1.0, text: str = "") -> TurnEnded:
    return TurnEnded(turn=turn, role="user", text=text, start_s=start_s, end_s=start_s + 1.5)


def words(turn: int, text: str, *, is_final: bool = True, num_agreed: int = 0) -> Transcribed:
    return Transcribed(turn=turn, text=text, is_final=is_final, num_agreed=num_agreed)


def grows(turn: int, text: str) -> TextAdded:
    return TextAdded(turn=turn, role="assistant", text=text, start_s=3.0)


def reply(turn: int, text: str, ended: HowEnded = "end") -> TurnEnded:
    return TurnEnded(turn=turn, role="assistant", text=text, start_s=3.0, end_s=4.0, ended=ended)


def told(transcript: Transcript, *events: Event) -> list[str]:
    return [shown(line) for event in events for line in transcript.take(event)]


def shown(line: Line) -> str:
    return f"{line.speaker}: {line.text}" + (f" [{line.remark}]" if line.remark else "")


def still_open(transcript: Transcript) -> list[str]:
    return [shown(line) for line in transcript.open_lines()]


def test_an_exchange_is_told_in_order_once() -> None:
    transcript = Transcript(shows_timings=False)
    assert told(transcript, user(1), words(1, "hello there")) == []
    assert still_open(transcript) == ["you: hello there"]
    assert told(transcript, grows(1, "Good "), grows(1, "day")) == ["you: hello there"]
    assert still_open(transcript) == ["voiced: Good day"]
    assert told(transcript, reply(1, "Good day")) == ["voiced: Good day"]
    assert still_open(transcript) == []


def test_words_known_while_the_reply_sounds_stand_before_it() -> None:
    transcript = Transcript(shows_timings=False)
    assert told(transcript, user(1), grows(1, "Yes")) == []
    assert still_open(transcript) == ["you: (1.5 s of speech)", "voiced: Yes"]
    assert told(transcript, words(1, "are you there"), reply(1, "Yes")) == [
        "you: are you there",
        "voiced: Yes",
    ]


def test_words_known_after_the_reply_are_told_then() -> None:
    transcript = Transcript(shows_timings=False)
    assert told(transcript, user(1), reply(1, "Yes"), words(1, "are you there")) == [
        "you: (1.5 s of speech)",
        "voiced: Yes",
        "you: are you there [said before]",
    ]


def test_while_somebody_speaks_the_words_so_far_are_shown() -> None:
    transcript = Transcript(shows_timings=False)
    transcript.take(words(1, "turn on the lie", is_final=False, num_agreed=11))
    (line,) = transcript.open_lines()
    assert (line.text, line.num_sure) == ("turn on the lie", 11)


def test_the_words_so_far_stay_until_the_final_ones_are_known() -> None:
    transcript = Transcript(shows_timings=False)
    told(transcript, words(1, "turn on the lie", is_final=False), user(1))
    (line,) = transcript.open_lines()
    assert (line.text, line.num_sure) == ("turn on the lie", 0)


def test_a_reply_that_was_cut_off_shows_what_was_heard() -> None:
    transcript = Transcript(shows_timings=False)
    told(transcript, user(1, text="hi"), grows(1, "Once upon a time"))
    assert told(transcript, reply(1, "Once", "interrupted")) == ["voiced: Once [cut off here]"]


def test_a_reply_without_words_says_so() -> None:
    transcript = Transcript(shows_timings=False)
    assert told(transcript, reply(1, "", "failed")) == ["voiced: (no text) [ended by an error]"]


def test_what_is_said_again_with_what_follows_is_shown_once() -> None:
    transcript = Transcript(shows_timings=False)
    told(transcript, user(1, start_s=1.0), words(1, "turn on"), user(2, start_s=1.0))
    assert told(transcript, words(2, "turn on the light"), grows(2, "Done")) == [
        "you: turn on the light"
    ]


def test_an_exchange_whose_reply_never_came_stands_when_the_next_one_comes() -> None:
    transcript = Transcript(shows_timings=False)
    told(transcript, user(1, start_s=1.0), words(1, "hello"))
    assert told(transcript, user(2, start_s=9.0)) == ["you: hello"]


def test_notices_are_told_at_once() -> None:
    transcript = Transcript(shows_timings=False)
    assert told(transcript, user(1), Noticed(text="the microphone is gone")) == [
        "note: the microphone is gone"
    ]


def test_the_ledger_is_shown_where_it_is_asked_for() -> None:
    event = TurnTimed(turn=1, decided_s=1.0)
    assert told(Transcript(shows_timings=False), event) == []
    transcript = Transcript(shows_timings=True)
    assert len(transcript.take(event)) == 2  # With a header,
    assert len(transcript.take(event)) == 1  # which stands once.


def test_states_are_no_lines() -> None:
    assert told(Transcript(shows_timings=True), StateChanged(state="hearing")) == []


def test_what_a_model_writes_cannot_steer_the_terminal() -> None:
    transcript = Transcript(shows_timings=False)
    told(transcript, user(1, text="a\x1b[2Jb"), grows(1, "\x1b]0;x\x07\n"))
    assert told(transcript, reply(1, "c\x1b[2J\u2028d")) == ["voiced: c [2J d"]


def test_at_the_end_everything_that_is_open_stands() -> None:
    transcript = Transcript(shows_timings=False)
    told(transcript, user(1), grows(1, "Well"), words(2, "wait", is_final=False))
    lines = transcript.finish()
    assert [shown(line) for line in lines] == [
        "you: (1.5 s of speech)",
        "voiced: Well",
        "you: wait",
    ]
    assert all(line.num_sure == len(line.text) for line in lines)
    assert transcript.finish() == []
