"""The tokenizer of voiced-mini: words of the world whole, others in bytes, text as people type it."""

from pathlib import Path

import pytest

from models.lfm2_audio.tokenizer import TextStream, TextTokenizer
from training.tokenizer import number_words, prompt_words, write_tokenizer

WORDS = ("kitchen", "light", "turn", "on", "what's", "it's", "morning", "a", "i")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    return TextTokenizer(folder, write_tokenizer(folder, WORDS))


def text_of(tokenizer: TextTokenizer, tokens: list[int]) -> str:
    stream = TextStream(tokenizer)
    return "".join(map(stream.push, tokens))


def test_the_number_of_rows_is_a_multiple_of_8_that_holds_every_token(tmp_path: Path) -> None:
    rows = [write_tokenizer(tmp_path, [f"word{index}" for index in range(num)]) for num in (1, 6)]
    assert [num % 8 for num in rows] == [0, 0]
    assert 131 + 256 < rows[0] <= rows[1]
    TextTokenizer(tmp_path, rows[1])


@pytest.mark.parametrize("word", [*WORDS, "assistant", "seventy", "zero"])
def test_a_word_of_the_world_is_one_token(tokenizer: TextTokenizer, word: str) -> None:
    assert len(tokenizer.encode(word)) == len(tokenizer.encode(f"  {word} ")) == 1
    assert tokenizer.encode(f"{word} kitchen")[:1] == tokenizer.encode(word)


def test_another_word_is_spelled_in_bytes(tokenizer: TextTokenizer) -> None:
    tokens = tokenizer.encode("blüb kitchen")
    assert len(tokens) == len(" blüb".encode()) + 1
    assert text_of(tokenizer, tokens) == "blüb kitchen"


def test_words_that_are_not_known_are_named_once_and_in_order(tokenizer: TextTokenizer) -> None:
    text = "Turn on the Blüb, the kitchen's light: 1,000% blüb 21"
    assert tokenizer.find_unknown_words(text) == ["blüb", "kitchen's", "1,000%"]
    assert tokenizer.find_unknown_words("What's it?") == ["it"]
    assert tokenizer.find_unknown_words("") == []


def test_words_of_the_prompts_that_are_not_of_the_world_are_named(tokenizer: TextTokenizer) -> None:
    of_prompts = prompt_words(["the", "kitchen", "text"])
    assert {"perform", "asr", "interleaved", "uk", "system"} <= set(of_prompts)
    assert not {"the", "text", "kitchen", "nine"} & set(of_prompts)
    assert tokenizer.find_unknown_words("turn on the UK!", unspoken=of_prompts) == ["uk"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Turn ON the kitchen light!", "turn on the kitchen light"),
        ("What’s 21, 100 and 0?", "what's twenty one one hundred and zero"),
        ("it's 7:30.", "it's seven thirty"),
        ("twenty-one — morning… (kitchen)", "twenty one morning kitchen"),
        ("“a”;i", "a i"),
        ("kitchen\nlight\n", "kitchen light\n"),
        (" \t ", ""),
        ("1,000 3.5 -5 101", "1,000 3.5 - five 101"),
        ("<|im_end|>", "<|im_end|>"),
    ],
)
def test_text_becomes_that_of_the_world(tokenizer: TextTokenizer, typed: str, said: str) -> None:
    assert text_of(tokenizer, tokenizer.encode(typed)) == said


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_the_template_is_three_tokens_to_open_a_turn_and_two_to_close_it(
    tokenizer: TextTokenizer, role: str
) -> None:
    [_, name, newline] = tokenizer.encode_template(f"<|im_start|>{role}\n")
    assert [name] == tokenizer.encode(role)
    assert tokenizer.encode_template("<|im_end|>\n")[1:] == [newline]
    assert tokenizer.bytes_of(newline) == b"\n"


@pytest.mark.parametrize(
    "prompt",
    [
        "Perform ASR.",
        "Perform TTS. Use the US male voice.",
        "Perform TTS. Use the UK female voice.",
        "Respond with interleaved text and audio.",
    ],
)
def test_the_prompts_are_whole_words(tokenizer: TextTokenizer, prompt: str) -> None:
    assert len(tokenizer.encode(prompt)) == len(prompt.split())


def test_words_with_spaces_or_capitals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected lower case, without spaces"):
        write_tokenizer(tmp_path, ["Kitchen"])
    with pytest.raises(ValueError, match="'living room'"):
        write_tokenizer(tmp_path, ["living room"])


def test_numbers_are_said_in_words() -> None:
    assert [number_words(number) for number in (0, 13, 20, 99, 100)] == [
        "zero",
        "thirteen",
        "twenty",
        "ninety nine",
        "one hundred",
    ]
