"""Training conversations of every kind: whole, in the product's form, and drawn from a seed."""

import itertools
import random
from collections import Counter

import pytest
import torch
from torch import Tensor

from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import AUDIO_START, START_OF_TEXT, TURN_END, TextTokenizer
from training.codes import Phrase, SpokenCodes
from training.config import CODEBOOK_SIZE, HIDDEN, LIVE_CODEBOOKS
from training.conversations import (
    ASR_PROMPT,
    BLANK,
    CHAT_PROMPT,
    TTS_PROMPTS,
    Conversations,
    ImaginedHearing,
)
from training.network import word_rows
from training.sequences import Example
from training.voices import REPLY_VOICE
from training.world import NOT_UNDERSTOOD, World
from voiced.transcription import SYSTEM_PROMPT
from voiced.voices import VOICES

FRAMES_PER_WORD = 3
NUM_FRAMES = FRAMES_PER_WORD * len(NOT_UNDERSTOOD.split())


@pytest.fixture(scope="module")
def codes(world: World) -> SpokenCodes:
    """Codes of some hundred answers, by both voices."""
    rng = random.Random(1)
    texts = {world.draw_dialogue(rng, 2)[turn].answer for _ in range(400) for turn in (0, 1)}
    phrases: dict[Phrase, Tensor] = {
        (text, voice): torch.full((FRAMES_PER_WORD * len(text.split()), LIVE_CODEBOOKS), 7)
        for text in {NOT_UNDERSTOOD, *texts}
        for voice in TTS_PROMPTS
    }
    return SpokenCodes(phrases)


@pytest.fixture(scope="module")
def conversations(
    world: World, untrained: tuple[Network, TextTokenizer], codes: SpokenCodes
) -> Conversations:
    network, tokenizer = untrained
    return Conversations(world, tokenizer, codes, network, imagined=True, batch_size=3, seed=2)


@pytest.fixture(scope="module")
def hearing(world: World, untrained: tuple[Network, TextTokenizer]) -> ImaginedHearing:
    network, tokenizer = untrained
    return ImaginedHearing(
        network.lfm.embed_tokens.weight.detach(), word_rows(world.words, tokenizer)
    )


def roles(tokenizer: TextTokenizer, example: Example) -> str:
    """Return the first letters of the turns' roles."""
    openings = {
        tuple(tokenizer.encode_template(f"<|im_start|>{role}\n")): role[0]
        for role in ("system", "user", "assistant")
    }
    threes = zip(example.tokens, example.tokens[1:], example.tokens[2:], strict=False)
    return "".join(openings[three] for three in threes if three in openings)


def prompt_of(tokenizer: TextTokenizer, example: Example) -> str:
    for prompt in (ASR_PROMPT, CHAT_PROMPT, *TTS_PROMPTS.values()):
        tokens = tokenizer.encode(prompt)
        if example.tokens[4 : 4 + len(tokens)] == tokens:
            return prompt
    raise AssertionError(example.tokens[:20])


def assert_well_formed(example: Example) -> None:
    assert len(example.tokens) == len(example.supervised)
    assert example.tokens[0] == START_OF_TEXT
    assert example.tokens[-1] == TURN_END
    assert example.supervised[-1]
    in_sound = [
        *(start + row for start, embeddings in example.heard for row in range(len(embeddings))),
        *(position for position, _ in example.frames),
    ]
    assert sorted(in_sound) == [row for row, token in enumerate(example.tokens) if token < 0]
    assert all(embeddings.shape[1] == HIDDEN for _, embeddings in example.heard)
    assert all(frame.shape == (1, LIVE_CODEBOOKS) for _, frame in example.frames)
    assert all(example.supervised[position] for position, _ in example.frames)
    for start, embeddings in example.heard:
        assert not any(example.supervised[start : start + len(embeddings)])


def num_end_frames(example: Example) -> int:
    return sum(int(frame[0, 0]) == CODEBOOK_SIZE for _, frame in example.frames)


def test_the_prompts_are_the_products() -> None:
    assert ASR_PROMPT == SYSTEM_PROMPT
    assert {voice: VOICES[voice] for voice in TTS_PROMPTS} == TTS_PROMPTS


def test_read_aloud_is_text_and_its_frames(
    conversations: Conversations, untrained: tuple[Network, TextTokenizer]
) -> None:
    tokenizer = untrained[1]
    example = conversations.speech(NOT_UNDERSTOOD, "uk_female")
    assert_well_formed(example)
    assert prompt_of(tokenizer, example) == TTS_PROMPTS["uk_female"]
    assert roles(tokenizer, example) == "sua"
    assert not example.heard
    assert len(example.frames) == NUM_FRAMES + 1
    assert num_end_frames(example) == 1
    assert sum(example.supervised) == NUM_FRAMES + 3  # AUDIO_START, the end frame, TURN_END.
    assert AUDIO_START in example.tokens


@pytest.mark.parametrize("text", ["turn on the light", ""])
def test_a_transcription_is_sound_and_its_words(
    text: str, conversations: Conversations, untrained: tuple[Network, TextTokenizer]
) -> None:
    tokenizer = untrained[1]
    example = conversations.transcription(text, torch.zeros(9, HIDDEN))
    assert_well_formed(example)
    assert prompt_of(tokenizer, example) == ASR_PROMPT
    assert roles(tokenizer, example) == "sua"
    assert [len(embeddings) for _, embeddings in example.heard] == [9]
    assert not example.frames
    told = [t for t, wanted in zip(example.tokens, example.supervised, strict=True) if wanted]
    assert told == [*(tokenizer.encode(text) if text else []), TURN_END]


def test_a_conversation_has_a_spoken_answer_to_each_question(
    conversations: Conversations, untrained: tuple[Network, TextTokenizer]
) -> None:
    tokenizer = untrained[1]
    turns = [("turn on the light", NOT_UNDERSTOOD), ("hello", NOT_UNDERSTOOD)]
    heard = conversations.conversation(turns, lambda _: torch.zeros(4, HIDDEN))
    typed = conversations.conversation(turns, lambda text: text)
    for example in (heard, typed):
        assert_well_formed(example)
        assert prompt_of(tokenizer, example) == CHAT_PROMPT
        assert roles(tokenizer, example) == "suaua"
        assert len(example.frames) == 2 * (NUM_FRAMES + 1)
        assert num_end_frames(example) == 2
    assert [len(embeddings) for _, embeddings in heard.heard] == [4, 4]
    assert not typed.heard


def test_all_kinds_are_drawn_and_each_is_well_formed(
    conversations: Conversations,
    hearing: ImaginedHearing,
    untrained: tuple[Network, TextTokenizer],
) -> None:
    rng = random.Random(3)
    examples = [conversations._draw(hearing, rng) for _ in range(300)]
    for example in examples:
        assert_well_formed(example)
    kinds = Counter(prompt_of(untrained[1], example) for example in examples)
    assert min(kinds.values()) > 15
    assert len(kinds) == 2 + len(TTS_PROMPTS)
    num_turns = Counter(roles(untrained[1], example).count("u") for example in examples)
    assert set(num_turns) == {1, 2, 3}


def test_the_same_seed_gives_the_same_batches_and_another_gives_others(
    world: World, untrained: tuple[Network, TextTokenizer], codes: SpokenCodes
) -> None:
    network, tokenizer = untrained
    batches = [
        next(
            iter(
                Conversations(
                    world, tokenizer, codes, network, imagined=True, batch_size=3, seed=seed
                )
            )
        )
        for seed in (4, 4, 5)
    ]
    assert batches[0].shape == batches[1].shape
    assert torch.equal(batches[0].text_tokens, batches[1].text_tokens)
    assert torch.equal(batches[0].heard, batches[1].heard)
    assert batches[0].text_tokens.tolist() != batches[2].text_tokens.tolist()


def test_imagined_hearing_holds_each_words_embedding_in_order_and_blanks_between(
    world: World, untrained: tuple[Network, TextTokenizer], hearing: ImaginedHearing
) -> None:
    network, tokenizer = untrained
    rows = {BLANK: ""} | {row: word for word, row in word_rows(world.words, tokenizer).items()}
    embeddings = network.lfm.embed_tokens.weight.detach()[list(rows)]
    directions = torch.nn.functional.normalize(embeddings, dim=1)
    for texts in (["turn on the kitchen light", "hello"], ["hello"], []):
        for seed in range(5):
            heard = hearing(texts, random.Random(seed))
            nearest = (heard @ directions.T).argmax(1).tolist()
            words = [list(rows.values())[choice] for choice, _ in itertools.groupby(nearest)]
            assert " ".join(filter(None, words)) == " ".join(texts)
            assert words[0] == words[-1] == ""


def test_replies_are_of_the_voice_of_conversation(
    world: World, untrained: tuple[Network, TextTokenizer]
) -> None:
    network, tokenizer = untrained
    spoken = SpokenCodes(
        {
            ("hello", voice): torch.full((2, LIVE_CODEBOOKS), rank)
            for rank, voice in enumerate(TTS_PROMPTS)
        }
    )
    conversations = Conversations(
        world, tokenizer, spoken, network, imagined=True, batch_size=1, seed=1
    )
    example = conversations.conversation([("hello", "hello")], lambda text: text)
    assert int(example.frames[0][1][0, 0]) == list(TTS_PROMPTS).index(REPLY_VOICE)
