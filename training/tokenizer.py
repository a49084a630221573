"""The tokenizer of voiced-mini: every word of its world is one token, other words are spelled in bytes."""

from collections.abc import Collection, Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from models.lfm2_audio.tokenizer import save_tokenizer, special_texts

# Words of the chat template and of the prompts that say what is to be done.
TEMPLATE_WORDS = (
    "system",
    "user",
    "assistant",
    *"perform asr tts use the us uk male female voice".split(),
    *"respond with interleaved text and audio".split(),
)
VOCABULARY_MULTIPLE = 8

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def write_tokenizer(folder: Path, words: Iterable[str]) -> int:
    """Write `tokenizer.json` and `tokenizer_config.json`; return how many rows the text embedding needs.

    Numbers of tokens: 0 to 130 special, then the bytes, then the words in alphabetical order; at the end rows without a
    token, up to a multiple of 8.

    Args:
        folder: the model's; must exist.
        words: of the world: lower case, no space in them. Those of the template and the numbers to 100 are added.
    """
    vocabulary = [*special_texts(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    spoken = {word for number in range(101) for word in number_words(number).split()}
    every_word = sorted({*words, *TEMPLATE_WORDS, *spoken})
    wrong = [word for word in every_word if word != word.lower() or len(word.split()) != 1]
    if wrong:
        raise ValueError(f"words {wrong[:5]}: expected lower case, without spaces")
    vocabulary += [to_byte_level(f" {word}") for word in every_word]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={text: token for token, text in enumerate(vocabulary)},
            merges=[],
            ignore_merges=True,  # A word in the vocabulary is taken whole, without the merges that would lead to it.
        )
    )
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # Not ByteLevel's own cut, which takes "what's" apart.
            pre_tokenizers.Split(Regex(r" ?\S+|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    save_tokenizer(tokenizer, folder)
    return -(len(vocabulary) // -VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def prompt_words(words: Collection[str]) -> list[str]:
    """Return the words of template and prompts that are not `words` of the world: known tokens that nobody says."""
    return sorted(set(TEMPLATE_WORDS) - set(words))


def number_words(number: int) -> str:
    """Return a number of 0 to 100 in words: "twenty one"."""
    if number < 20:
        return ONES[number]
    if number == 100:
        return "one hundred"
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")


def to_byte_level(text: str) -> str:
    """Return `text` as a byte-level vocabulary writes it: a character for each byte of its UTF-8."""
    [(spelled, _)] = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    ).pre_tokenize_str(text)
    return spelled


def _normalizer() -> normalizers.Normalizer:
    r"""Return what makes text as people type it into that of the world: "It's 21, OK?" into " it's twenty one ok".

    Anchors are \A and \z: in this kind of expression ^ and $ match at every line.
    """
    replace = normalizers.Replace
    numbers = [
        # Not within a longer number, nor one with a fraction.
        replace(Regex(rf"(?<!\d)(?<!\d[.,]){number}(?!\d|[.,]\d)"), f" {number_words(number)} ")
        for number in range(101)
    ]
    return normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            replace(Regex("[‘’ʼ`´]"), "'"),
            replace(Regex(r"(?<=\p{L})[-‐‑–](?=\p{L})|(?<=\s)[-–—]+(?=\s)|—"), " "),
            *numbers,
            replace(Regex(r"[!?;:…\"“”„«»()]|(?<!\d)[.,]|[.,](?!\d)"), " "),
            # One space before every word, also the first; a line break only at the end, where the template has it.
            normalizers.Prepend(" "),
            replace(Regex(r"\s+(?=\S)"), " "),
            replace(Regex(r"\s*\n\s*\z"), "\n"),
            replace(Regex(r"[^\S\n]+\z"), ""),
        ]
    )
