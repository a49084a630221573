import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.face.keys import MOST_PASTED, Key, KeyReader, Pasted, Special, Typed


def read(*parts: bytes) -> list[Key]:
    reader = KeyReader()
    return [key for part in parts for key in reader.push(part)] + reader.settle()


def typed(text: str) -> list[Key]:
    return [Typed(character) for character in text]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"hi m", typed("hi m")),
        ("語é😀".encode(), typed("語é😀")),
        (b"\r", [Special.ENTER]),
        (b"\n", [Special.ENTER]),
        (b"\x7f\x08", [Special.BACKSPACE, Special.BACKSPACE]),
        (b"\x15\x17\x03\x04", [Special.ERASE_LINE, Special.ERASE_WORD, Special.STOP, Special.END]),
        (b"\x1b", [Special.ESCAPE]),
        (b"\x1b\x1b", [Special.ESCAPE, Special.ESCAPE]),
        (b"a\x1b[Ab", typed("ab")),  # An arrow.
        (b"a\x1b[1;5Cb", typed("ab")),  # An arrow with Ctrl.
        (b"a\x1bOPb", typed("ab")),  # F1.
        (b"a\x1bxb", typed("ab")),  # Alt-x.
        (b"\x00\x01\t\x9c", []),
        (b"\x1b[200~q m\nx\x1b[201~y", [Pasted("q m x"), Typed("y")]),
        (b"\x1b[200~\x1b[201~", []),
        (b"\x1b[200~a\x1b[31mb\x1b[201~", [Pasted("a [31mb")]),
        (b"\x1b[" + b"1" * 100 + b"a", typed("1" * 69 + "a")),  # No key sends so much.
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[Key]) -> None:
    if b"\x9c" in data:
        keys = typed("\ufffd")
    assert read(data) == keys


@given(st.binary(max_size=60), st.integers(0, 60))
def test_where_bytes_are_cut_makes_no_difference(data: bytes, place: int) -> None:
    assert read(data[:place], data[place:]) == read(data)


def test_an_escape_is_undecided_until_something_follows_or_nothing_does() -> None:
    reader = KeyReader()
    assert reader.push(b"\x1b") == []
    assert reader.is_undecided
    assert reader.push(b"[A") == []
    assert not reader.is_undecided
    assert reader.settle() == []


def test_a_long_paste_is_cut() -> None:
    (key,) = read(b"\x1b[200~" + b"a" * (MOST_PASTED + 500) + b"\x1b[201~")
    assert isinstance(key, Pasted)
    assert key.text == "a" * MOST_PASTED
