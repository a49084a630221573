import pytest

from voiced.commands import Command, EnterText, Interrupt, Press, Quit, Release, ToggleMute
from voiced.face.entry import MOST_CHARACTERS, Entry
from voiced.face.keys import KeyReader, Pasted


def type_into(entry: Entry, text: str) -> list[Command]:
    """Return the commands of keys that follow each other quickly."""
    reader = KeyReader()
    keys = reader.push(text.encode()) + reader.settle()
    return [command for key in keys for command in entry.take(key)]


@pytest.fixture
def entry() -> Entry:
    return Entry(push_to_talk=False)


@pytest.mark.parametrize(("letter", "command"), [("m", ToggleMute()), ("q", Quit())])
def test_a_letter_alone_is_a_command(entry: Entry, letter: str, command: Command) -> None:
    assert type_into(entry, letter) == []
    assert entry.is_undecided
    assert entry.settle() == [command]
    assert not entry.is_undecided
    assert entry.settle() == []


@pytest.mark.parametrize("text", ["my name is Ann", "quit smoking", "mm", "q?", "hello"])
def test_who_just_types_gives_no_command(entry: Entry, text: str) -> None:
    assert type_into(entry, text) == []
    assert entry.settle() == []
    assert entry.text == text
    assert type_into(entry, "\r") == [EnterText(text)]
    assert entry.text == ""


def test_a_letter_and_enter_is_the_command_at_once(entry: Entry) -> None:
    assert type_into(entry, "q\r") == [Quit()]


def test_letters_within_a_line_are_text(entry: Entry) -> None:
    assert type_into(entry, "a m") == []
    assert entry.settle() == []
    assert entry.text == "a m"


@pytest.mark.parametrize("key", [" ", "\x1b"])
def test_space_and_escape_interrupt(entry: Entry, key: str) -> None:
    assert type_into(entry, key) == [Interrupt()]


def test_escape_takes_the_line_away_first(entry: Entry) -> None:
    assert type_into(entry, "hello\x1b") == []
    assert entry.text == ""
    assert type_into(entry, "\x1b") == [Interrupt()]


def test_escape_takes_a_letter_away_that_was_not_settled(entry: Entry) -> None:
    assert type_into(entry, "q\x1b") == []
    assert entry.settle() == []


def test_with_push_to_talk_the_space_bar_begins_and_ends_talking() -> None:
    entry = Entry(push_to_talk=True)
    assert type_into(entry, " ") == [Press()]
    assert entry.is_talking
    assert type_into(entry, " ") == [Release()]
    assert not entry.is_talking
    assert type_into(entry, "\x1b") == [Interrupt()]


def test_an_empty_line_is_nothing_to_say(entry: Entry) -> None:
    assert type_into(entry, "\r") == []
    assert type_into(entry, "a\x7f\r") == []


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("abc\x7f", "ab"),
        ("e\u0301\x7f", ""),
        ("\u0301\x7f", ""),
        ("語学\x7f", "語"),
        ("one two\x17", "one "),
        ("one\x17", ""),
        ("one two\x15", ""),
        ("m\x7f", ""),
        ("\x7f", ""),
    ],
)
def test_a_line_can_be_corrected(entry: Entry, keys: str, text: str) -> None:
    type_into(entry, keys)
    assert entry.settle() == []
    assert entry.text == text


def test_pasted_text_is_no_command(entry: Entry) -> None:
    assert entry.take(Pasted("q")) == []
    assert entry.settle() == []
    assert entry.text == "q"


def test_ctrl_c_quits_and_ctrl_d_on_an_empty_line(entry: Entry) -> None:
    assert type_into(entry, "\x03") == [Quit()]
    assert type_into(entry, "a\x04") == []
    assert type_into(entry, "\x15\x04") == [Quit()]


def test_a_line_does_not_grow_for_ever(entry: Entry) -> None:
    entry.take(Pasted("a" * (MOST_CHARACTERS + 1)))
    type_into(entry, "b")
    assert entry.text == "a" * MOST_CHARACTERS
