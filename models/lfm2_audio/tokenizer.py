"""Text to tokens and back: the byte-level BPE tokenizer of a model folder, without code from that folder."""

import codecs
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders

from models.errors import CheckpointError
from models.folder import require_folder

# The published code finds these tokens by number (liquid-audio 1.3.0, model/lfm2_audio.py).
START_OF_TEXT, TURN_START, TURN_END, AUDIO_START, TEXT_END = 1, 6, 7, 128, 130
SPECIAL_TOKENS = {
    "<|startoftext|>": START_OF_TEXT,
    "<|im_start|>": TURN_START,
    "<|im_end|>": TURN_END,
    "<|audio_start|>": AUDIO_START,
    "<|text_end|>": TEXT_END,
}
OTHER_SPECIAL_TOKENS = {"<|pad|>": 0, "<|endoftext|>": 2, "<|audio_end|>": 129}
NUM_SPECIAL_TOKENS = 131  # Ids 0 to 130 are special in the published tokenizer.


class TextTokenizer:
    """The tokenizer of an LFM2-Audio model."""

    def __init__(self, folder: Path, num_embeddings: int) -> None:
        """Read `folder/tokenizer.json`.

        Args:
            folder: the model's.
            num_embeddings: rows of the text embedding; no token may lie beyond.

        Raises:
            CheckpointError: the file is missing, damaged, not byte-level, too large for the model, or without one of the
                tokens that begin, switch and end turns.
        """
        path = folder / "tokenizer.json"
        require_folder(folder)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; fetch the model again with 'voiced pull'")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # The library raises bare Exception.
            raise CheckpointError(
                f"{path}: not a tokenizer ({error}); fetch the model again"
            ) from error
        for text, token in SPECIAL_TOKENS.items():
            found = self._tokenizer.token_to_id(text)
            if found != token:
                raise CheckpointError(
                    f"{path}: token {text} has number {found}, expected {token}: not the tokenizer of an LFM2-Audio model"
                )
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        largest = max(vocabulary.values())
        if largest >= num_embeddings:
            raise CheckpointError(
                f"{path}: has token {largest}, but config.json only {num_embeddings} embeddings"
            )
        if "ByteLevel" not in json.dumps(json.loads(self._tokenizer.to_str()).get("decoder")):
            raise CheckpointError(
                f"{path}: expected a byte-level decoder; this tokenizer is of another model"
            )
        special = {
            token
            for token, added in self._tokenizer.get_added_tokens_decoder().items()
            if added.special
        }
        byte_of = _byte_alphabet()
        self._bytes = {
            token: bytes(byte_of[character] for character in text)
            for text, token in vocabulary.items()
            if token not in special and all(character in byte_of for character in text)
        }

    def encode_template(self, text: str) -> list[int]:
        """Return the tokens of a piece of the chat template; special tokens are taken as such."""
        self._tokenizer.encode_special_tokens = False
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, text: str) -> list[int]:
        """Return the tokens of somebody's words; what looks like a special token is text like any other."""
        self._tokenizer.encode_special_tokens = True
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def find_unknown_words(self, text: str, *, unspoken: Collection[str] = ()) -> list[str]:
        """Return what a model whose vocabulary is made of whole words does not know of `text`.

        Args:
            text: of somebody.
            unspoken: words that are tokens of their own and that it does not know all the same.

        Returns:
            The words, as normalized, that take more than one token or are `unspoken`; each once, in order.
        """
        self._tokenizer.encode_special_tokens = True
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        words: dict[int | None, list[bytes]] = {}
        for word, token in zip(encoding.word_ids, encoding.ids, strict=True):
            words.setdefault(word, []).append(self.bytes_of(token))
        spelled = {
            b"".join(parts).decode(errors="replace").strip(): len(parts) for parts in words.values()
        }
        return [word for word, length in spelled.items() if length > 1 or word in unspoken]

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes that `token` stands for; none for a special or unassigned one."""
        return self._bytes.get(token, b"")


class TextStream:
    """Turns the tokens of a reply into text as they come; a character whose bytes are not yet complete waits for them.

    Spaces before the first word belong to the tokens and not to the text: they are left out.
    """

    def __init__(self, tokenizer: TextTokenizer, tokens: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._has_begun = False  # Whether something other than a space was given out.
        for token in tokens:
            self.push(token)

    def push(self, token: int) -> str:
        """Return the text that `token` completes, often all it stands for, sometimes nothing."""
        text = self._decoder.decode(self._tokenizer.bytes_of(token))
        if not self._has_begun:
            text = text.lstrip(" ")
            self._has_begun = bool(text)
        return text


def special_texts() -> list[str]:
    """Return the special tokens by number, which are the first of every vocabulary; many have no use."""
    texts = [f"<|reserved_{token}|>" for token in range(NUM_SPECIAL_TOKENS)]
    for text, token in (SPECIAL_TOKENS | OTHER_SPECIAL_TOKENS).items():
        texts[token] = text
    return texts


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` in the published layout.

    Args:
        tokenizer: whose vocabulary begins with `special_texts`; is given their marks and the byte-level decoder.
        folder: the model's.
    """
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in special_texts()]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(names, indent=2) + "\n", encoding="utf-8"
    )


def _byte_alphabet() -> dict[str, int]:
    """Return which byte each character of a byte-level vocabulary stands for.

    Printable bytes stand for themselves, the others for the characters from U+0100 on, in order.
    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", the released encoder.
    """
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + rank): byte for rank, byte in enumerate(others)
    }
