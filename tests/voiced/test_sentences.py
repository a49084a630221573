import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.sentences import MAX_CHARS, is_speakable, pieces, sentences


def _without_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("no capitals here. still two.", ["no capitals here.", "still two."]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
        ("One sentence without an end", ["One sentence without an end"]),
    ],
)
def test_sentences_end_at_closing_marks(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Smith met Dr. Jones and Mrs. Brown.",
        "Fruit, e.g. apples, i.e. Granny Smiths.",
        "The U.S. Army left.",
        "J. R. R. Tolkien wrote it.",
        "George W. Bush spoke at 5 p.m. on Monday.",
        "See Fig. 3 and No. 7 on pp. 12 to 14.",
        "Acme Inc. sold it to Bolt Ltd. last year.",
        "Pi is 3.14159 and it is 10.30 now.",
        "Version 2.0.1 costs $1,299.95 today.",
        "Read https://example.org/a.b?c=d!e or www.example.org today.",
        "Wait ... what is that … over there?",
        '"Why?" she asked.',
        "He shouted (loudly!) and left.",
        "1. First things first.",
    ],
)
def test_marks_inside_a_sentence_do_not_end_it(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We live in the U.S. The rest is far.", ["We live in the U.S.", "The rest is far."]),
        ("He said no. John left.", ["He said no.", "John left."]),
        ("Come at 5 p.m. We will eat.", ["Come at 5 p.m.", "We will eat."]),
        ("Apples, pears, etc. They are cheap.", ["Apples, pears, etc.", "They are cheap."]),
        ("He waited… Nothing came.", ["He waited…", "Nothing came."]),
        ("It costs 3. Take 4.", ["It costs 3.", "Take 4."]),
    ],
)
def test_an_abbreviation_or_number_may_still_end_a_sentence(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_closing_quotes_and_brackets_stay_with_their_sentence() -> None:
    text = 'She said: "Stop." Then she left. (Nobody knew why.) “Odd!” Yes.'
    assert sentences(text) == [
        'She said: "Stop."',
        "Then she left.",
        "(Nobody knew why.)",
        "“Odd!”",
        "Yes.",
    ]


def test_japanese_marks_need_no_space_and_quotations_go_on() -> None:
    assert sentences("こんにちは。元気ですか？はい！") == ["こんにちは。", "元気ですか？", "はい！"]
    assert sentences("彼は「行く。」と言った。私も。") == ["彼は「行く。」と言った。", "私も。"]


def test_a_line_break_is_a_space_and_an_empty_line_ends_a_paragraph() -> None:
    assert sentences("A title\n\nThis line\nis wrapped.\r\n\r\nEnd") == [
        "A title",
        "This line is wrapped.",
        "End",
    ]


def test_items_of_a_list_are_apart() -> None:
    assert sentences("To buy:\n- eggs\n- milk\n1. first\n2. then") == [
        "To buy:",
        "- eggs",
        "- milk",
        "1. first",
        "2. then",
    ]


def test_short_sentences_are_spoken_with_the_next_one() -> None:
    assert pieces("Yes. No. The rest of it is a longer sentence.") == [
        "Yes. No. The rest of it is a longer sentence."
    ]
    assert pieces("Yes.\n\nThe rest of it is a longer sentence.")[0] == "Yes."


def test_a_long_sentence_is_cut_at_clauses_first() -> None:
    text = "when the rain had stopped at last, the children went out to play; the dog, however, stayed in"
    assert pieces(text, max_chars=50) == [
        "when the rain had stopped at last,",
        "the children went out to play; the dog, however,",
        "stayed in",
    ]


def test_without_clauses_it_is_cut_between_words() -> None:
    result = pieces("word " * 100, max_chars=33)
    assert all(set(piece.split()) == {"word"} for piece in result)


def test_a_hundred_thousand_characters_without_a_space_are_cut_hard_and_fast() -> None:
    began = time.perf_counter()
    result = pieces("a" * 100_000)
    assert [len(piece) for piece in result] == [MAX_CHARS] * 500
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("unit", [".", "a.", '."', "a, ", "\n", "Mr. ", "(", "。」", "1.", "… "])
def test_a_hundred_thousand_characters_of_anything_take_no_more_than_two_seconds(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    began = time.perf_counter()
    result = pieces(text)
    assert time.perf_counter() - began < 2
    assert _without_space("".join(result)) == _without_space(text)


def test_a_hard_cut_keeps_an_accent_with_its_letter() -> None:
    assert pieces("e\u0301" * 5, max_chars=5) == ["e\u0301e\u0301", "e\u0301e\u0301", "e\u0301"]


@pytest.mark.parametrize("text", ["", "   \n\t ", "\u3000"])
def test_white_space_gives_no_piece(text: str) -> None:
    assert pieces(text) == []


_PROSE = st.text(
    st.sampled_from("aB1é語か .,;:!?…。、！？\"'”」)(\n\r\t\u00a0\u2028\u0301\u200d😀-—<|>/"),
    max_size=300,
)


@settings(max_examples=300, deadline=None)
@given(
    text=_PROSE | st.text(max_size=200), max_chars=st.integers(1, 60), min_chars=st.integers(0, 40)
)
def test_nothing_but_white_space_is_lost_and_no_piece_is_too_long(
    text: str, max_chars: int, min_chars: int
) -> None:
    result = pieces(text, max_chars=max_chars, min_chars=min_chars)
    assert _without_space("".join(result)) == _without_space(text)
    assert all(0 < len(piece) <= max_chars and piece == piece.strip() for piece in result)


@settings(max_examples=200, deadline=None)
@given(text=_PROSE)
def test_sentences_lose_nothing_but_white_space(text: str) -> None:
    assert _without_space("".join(sentences(text))) == _without_space(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("a", True), ("7", True), ("語", True), ("?! …", False), ("😀", False)]
)
def test_only_letters_and_digits_are_speakable(text: str, expected: bool) -> None:
    assert is_speakable(text) is expected
