"""Text that a reply gives out, token by token."""

from models.lfm2_audio.tokenizer import TextStream
from tests.models.golden import model


def test_spaces_before_the_first_word_are_left_out_and_no_others() -> None:
    tokenizer = model().tokenizer
    tokens = tokenizer.encode("  a  b the")
    stream = TextStream(tokenizer)
    assert [stream.push(token) for token in tokens] == ["", "", "a", " ", " ", "b", " the"]
    assert TextStream(tokenizer, tokens[:2]).push(tokens[3]) == ""
    assert TextStream(tokenizer, tokens[:3]).push(tokens[3]) == " "


def test_a_first_character_whose_bytes_come_after_spaces_is_whole() -> None:
    tokenizer = model().tokenizer
    stream = TextStream(tokenizer)
    assert "".join(map(stream.push, tokenizer.encode(" \u00e9 x"))) == "\u00e9 x"
