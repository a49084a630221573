"""What is trained is what the product feeds and generates, position by position."""

from pathlib import Path

import pytest
import torch

from models.lfm2_audio import Lfm2Audio
from models.lfm2_audio.steps import END_OF_AUDIO
from models.lfm2_audio.tokenizer import AUDIO_START, TEXT_END, TURN_END
from training.config import CODEBOOK_SIZE, LIVE_CODEBOOKS
from training.sequences import Example, Writer, collate, corrupt, hidden_states, targets


@pytest.fixture(scope="module")
def model(untrained_folder: Path) -> Lfm2Audio:
    return Lfm2Audio.load(untrained_folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def writer(model: Lfm2Audio) -> Writer:
    return Writer(model.tokenizer)


def live_codes(num_frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(CODEBOOK_SIZE, (num_frames, LIVE_CODEBOOKS), generator=generator)


def question(writer: Writer, content: str | torch.Tensor = "hello") -> Example:
    example = writer.begin("Respond with interleaved text and audio.")
    writer.add_user(example, content)
    return example


def kinds(example: Example, start: int) -> str:
    """Return a letter for each position: t for a token, f for a frame."""
    return "".join("f" if token < 0 else "t" for token in example.tokens[start:])


def test_an_interleaved_reply_gives_six_tokens_then_twelve_frames_and_ends_with_sound(
    writer: Writer,
) -> None:
    example = question(writer)
    writer.begin_turn(start := question(writer), "assistant")
    writer.add_reply(
        example, "turn on the kitchen light on the light", live_codes(25), closed=False
    )
    # Eight words and <|text_end|>; 25 frames and the one that ends the sound; <|im_end|>.
    assert kinds(example, len(start)) == "t" * 6 + "f" * 12 + "t" * 3 + "f" * 14 + "t"
    assert example.tokens[-1] == TURN_END
    assert example.tokens[len(start) + 6 + 12 + 2] == TEXT_END


def test_read_aloud_begins_with_the_audio_token_and_ends_with_the_end_frame(writer: Writer) -> None:
    example = question(writer)
    writer.add_speech(example, live_codes(3))
    assert example.tokens[-6:] == [AUDIO_START, -1, -1, -1, -1, TURN_END]
    assert example.frames[-1][1].tolist() == [[CODEBOOK_SIZE] * LIVE_CODEBOOKS]


def test_a_batch_gives_the_states_that_the_product_computes(
    model: Lfm2Audio, writer: Writer
) -> None:
    samples = (0.1 * torch.randn(16000, generator=torch.Generator().manual_seed(5))).numpy()
    heard = model.encode_audio(samples)
    codes = live_codes(15)
    example = question(writer, heard)
    writer.add_reply(example, "turn on the kitchen light on", codes, closed=True)
    writer.add_user(example, "hello")
    shorter = question(writer)
    batch = collate([shorter, example], model.config.lfm.hidden_size)
    states = hidden_states(model.network, batch, corruption=0).unflatten(0, batch.shape)

    conversation = model.conversation()
    conversation.begin_turn("system")
    conversation.append_text("Respond with interleaved text and audio.")
    conversation.end_turn()
    conversation.begin_turn("user")
    conversation.append_audio(samples)
    conversation.end_turn()
    conversation.begin_turn("assistant")
    words = model.tokenizer.encode("turn on the kitchen light on")
    silent = torch.zeros(15, 8 - LIVE_CODEBOOKS, dtype=torch.long)
    frames = torch.cat((codes, silent), 1).T
    conversation.append_tokens(words)
    conversation.append_frames(frames[:, :12])
    conversation.append_tokens([TEXT_END])
    conversation.append_frames(frames[:, 12:])
    conversation.append_frames(torch.full((8, 1), END_OF_AUDIO))
    conversation.end_turn()
    conversation.begin_turn("user")
    conversation.append_text("hello")
    conversation.end_turn()
    assert conversation.num_positions == len(example)
    with torch.inference_mode():
        expected = conversation._feed()
    torch.testing.assert_close(states[1, len(example) - 1], expected, atol=2e-4, rtol=0)


def test_only_replies_are_predicted(model: Lfm2Audio, writer: Writer) -> None:
    example = question(writer)
    writer.add_reply(example, "hello", live_codes(4), closed=True)
    wanted = targets(collate([example], model.config.lfm.hidden_size), frame_part=1.0)
    assert wanted.text_tokens.tolist() == [*model.tokenizer.encode("hello"), TEXT_END, TURN_END]
    assert len(wanted.frame_positions) == 5


def test_corruption_replaces_its_part_of_the_codes_and_no_end_frame() -> None:
    torch.manual_seed(0)
    codes = torch.full((5000, LIVE_CODEBOOKS), 7)
    codes[-100:] = CODEBOOK_SIZE
    changed = corrupt(codes, 0.15) != codes
    assert 0.13 < changed[:-100].float().mean() < 0.17
    assert not changed[-100:].any()


def test_a_reply_whose_sound_ends_before_its_text_is_refused(writer: Writer) -> None:
    with pytest.raises(ValueError, match="expected its sound to outlast its text"):
        writer.add_reply(
            question(writer), "turn on the kitchen light on the", live_codes(2), closed=False
        )
