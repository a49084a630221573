"""One piece of speech to text: what the model is asked, and when it is stopped."""

import math
from collections.abc import Generator
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from models.lfm2_audio import EndOfTurn, Mode, Sampling, TextToken
from voiced.speech_model import HEARING_RATE_HZ, SpeechModel

SYSTEM_PROMPT = "Perform ASR."  # Part of the published models: they were trained with it.

# Fast speech has 6 words or 10 syllables a second; scripts that the vocabulary spells out in bytes need up to 3 tokens for
# a character. The extra second serves very short pieces.
TOKENS_PER_S = 25
EXTRA_S = 1

# A model that has lost its way says the same again and again. So many tokens of pure repetition, and so many repetitions,
# are not speech: "no, no, no, no" is 8 tokens, a chorus of four lines comes back after dozens of tokens.
LOOP_TOKENS = 24
LOOP_REPEATS = 6
LONGEST_LOOP = 40  # Tokens before it begins again.


class Ending(Enum):
    """Why a transcription ended."""

    COMPLETE = "the model ended it"
    LIMIT = "it reached the number of tokens that speech of this length can have"
    LOOP = "the model repeated itself"
    SOUND = "the model began to speak instead of writing"


def transcribe_piece(
    model: SpeechModel, samples: NDArray[np.float32]
) -> Generator[str, None, Ending]:
    """Yield the text of a piece as it is decoded; the generator's return value is why it ended.

    Each piece is a conversation of its own, decoded greedily. Three things stop a model that does not end by itself: the
    step limit, `TOKENS_PER_S` for each second of sound; a loop, the same up to `LONGEST_LOOP` tokens coming `LOOP_REPEATS`
    times or more in a row and `LOOP_TOKENS` tokens in all (what was repeated until then has been yielded); and sound,
    which no transcription holds.

    Args:
        model: to ask.
        samples: mono sound at 16 kHz, float32, shape (n,), 20 ms to 30 s.

    Raises:
        RangeError: shorter than 20 ms.
        NonFiniteError: the model's arithmetic broke down.
    """
    conversation = model.conversation()
    conversation.begin_turn("system")
    conversation.append_text(SYSTEM_PROMPT)
    conversation.end_turn()
    conversation.begin_turn("user")
    conversation.append_audio(samples)
    conversation.end_turn()
    conversation.begin_turn("assistant")
    tokens: list[int] = []
    for step in conversation.generate(
        Mode.SEQUENTIAL, max_steps=max_tokens(len(samples)), sampling=Sampling()
    ):
        match step:
            case TextToken(token=token, text=text):
                if text:
                    yield text
                tokens.append(token)
                if is_loop(tokens):
                    return Ending.LOOP
            case EndOfTurn(reason=reason):
                return Ending.COMPLETE if reason == "end" else Ending.LIMIT
            case _:
                return Ending.SOUND
    return Ending.COMPLETE


def max_tokens(num_samples: int) -> int:
    """Return how many tokens the transcription of so much sound can have at most."""
    return math.ceil(TOKENS_PER_S * (num_samples / HEARING_RATE_HZ + EXTRA_S))


def is_loop(tokens: list[int]) -> bool:
    """Whether `tokens` end in a loop: the same few tokens again and again."""
    for length in range(1, LONGEST_LOOP + 1):
        repeats = max(LOOP_REPEATS, math.ceil(LOOP_TOKENS / length))
        tail = tokens[-length * repeats :]
        # Equal to itself shifted by one period: every period is like the one before.
        if len(tail) == length * repeats and tail[length:] == tail[:-length]:
            return True
    return False
