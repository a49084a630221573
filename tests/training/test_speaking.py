"""The backbone's training: its losses, what it changes, and that a run is taken up again."""

import json
import random
from pathlib import Path

import pytest
import torch

from models.lfm2_audio.loss import COUNT_GUARD, teacher_forced_losses
from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from training.config import CODEBOOK_SIZE, HIDDEN, LIVE_CODEBOOKS
from training.network import build_network
from training.sequences import Example, Writer, collate, hidden_states, targets
from training.setting import Setting
from training.speaking import load_hearing, part_right, speaking_parameters, train
from training.state import Run, save_tensors
from training.voices import REPLY_SPEAKERS
from training.world import NOT_UNDERSTOOD, World

WHERE = Setting(device=torch.device("cpu"), batch_size=2, workers=0, seed=1)


def codes(num_frames: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(CODEBOOK_SIZE, (num_frames, LIVE_CODEBOOKS), generator=generator)


def examples(tokenizer: TextTokenizer) -> list[Example]:
    """Return one of each kind, of different lengths."""
    writer = Writer(tokenizer)
    heard = torch.randn(7, HIDDEN, generator=torch.Generator().manual_seed(1))
    transcription = writer.begin("Perform ASR.")
    writer.add_user(transcription, heard)
    writer.add_transcript(transcription, "turn on the light")
    speech = writer.begin("Perform TTS. Use the US male voice.")
    writer.add_user(speech, "hello")
    writer.add_speech(speech, codes(9, 2))
    conversation = writer.begin("Respond with interleaved text and audio.")
    writer.add_user(conversation, 0.1 * heard)
    writer.add_reply(conversation, "the kitchen light is on", codes(20, 3), closed=True)
    return [transcription, speech, conversation]


def write_codes(folder: Path, world: World) -> None:
    """Write a shard with the codes of some hundred answers."""
    rng = random.Random(1)
    texts = {world.draw(rng).answer for _ in range(300)}
    frames, lines, start = [], [], 0
    for text in sorted({NOT_UNDERSTOOD, *texts}):
        for voice in REPLY_SPEAKERS:
            num = 3 * len(text.split())
            frames.append(codes(num, start))
            lines.append({"text": text, "voice": voice, "start": start, "frames": num})
            start += num
    save_tensors(folder / "codes-000.safetensors", {"codes": torch.cat(frames).to(torch.int16)})
    (folder / "codes-000.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")


@torch.no_grad()
def test_the_loss_of_a_batch_is_that_of_each_example_alone(
    untrained: tuple[Network, TextTokenizer],
) -> None:
    network, tokenizer = untrained

    def losses(batch: list[Example]) -> torch.Tensor:
        """Return the sums of text and audio losses, and of how many tokens and frames they are."""
        collated = collate(batch, HIDDEN)
        wanted = targets(collated, frame_part=1.0)
        states = hidden_states(network, collated, corruption=0.0)
        found = teacher_forced_losses(network, states, wanted)
        num_text, num_audio = len(wanted.text_tokens), len(wanted.frame_codes)
        weights = (
            network.config.text_loss_multiplier * num_text,
            network.config.audio_loss_multiplier * num_audio,
        )
        total = (weights[0] * found.text + weights[1] * found.audio) / sum(weights)
        torch.testing.assert_close(found.total, total, atol=1e-4, rtol=1e-4)
        sums = (found.text * (num_text + COUNT_GUARD), found.audio * (num_audio + COUNT_GUARD))
        return torch.stack([*sums, torch.tensor(num_text), torch.tensor(num_audio)])

    together = losses(examples(tokenizer))
    alone = [losses([example]) for example in examples(tokenizer)]
    torch.testing.assert_close(together, torch.stack(alone).sum(0), atol=1e-3, rtol=1e-4)
    assert together[2] > 10
    assert together[3] == 9 + 1 + 20 + 1


def test_the_part_of_likeliest_choices_that_are_right_is_counted() -> None:
    logits = torch.tensor([[0.0, 2.0], [3.0, 1.0], [0.0, 1.0]])
    assert part_right(logits, torch.tensor([1, 0, 0])) == pytest.approx(2 / 3)
    assert part_right(logits[:0], torch.tensor([])) == 0.0


def test_the_encoder_the_adapter_and_the_text_embedding_are_not_trained(
    untrained: tuple[Network, TextTokenizer],
) -> None:
    network, _ = untrained
    trained = set(speaking_parameters(network))
    names = {name.split(".")[0] for name, weight in network.named_parameters() if weight in trained}
    assert names == {
        "lfm",
        "audio_embedding",
        "depth_linear",
        "depthformer",
        "depth_embeddings",
    }
    assert network.lfm.embed_tokens.weight not in trained


def test_what_hearing_has_trained_is_taken_over_and_nothing_else(
    tmp_path: Path, untrained: tuple[Network, TextTokenizer], world: World
) -> None:
    Run(tmp_path, "hearing", 1.0).save(untrained[0], None)
    network, _ = build_network(world.words, torch.device("cpu"), seed=9)
    before = network.depth_linear.weight.clone()
    load_hearing(network, tmp_path)
    for part in ("conformer", "audio_adapter"):
        theirs = untrained[0].get_submodule(part).state_dict()
        for name, tensor in network.get_submodule(part).state_dict().items():
            assert torch.equal(tensor, theirs[name])
    assert torch.equal(network.depth_linear.weight, before)


def test_a_run_that_was_left_is_taken_up_and_leaves_the_encoder_as_it_was(
    tmp_path: Path, world: World
) -> None:
    write_codes(tmp_path, world)
    train(Run(tmp_path, "speaking", 0.002), WHERE, imagined=True)
    first = Run(tmp_path, "speaking", 1.0)
    network, _ = build_network(world.words, torch.device("cpu"), seed=9)
    assert first.resume(network, None)
    assert first.progress.step >= 1

    more = (first.progress.seconds + 0.1) / 60
    train(Run(tmp_path, "speaking", more), WHERE, imagined=True)
    second = Run(tmp_path, "speaking", 1.0)
    trained, _ = build_network(world.words, torch.device("cpu"), seed=9)
    assert second.resume(trained, None)
    assert second.progress.step > first.progress.step
    assert not torch.equal(trained.depth_linear.weight, network.depth_linear.weight)
    for one, other in zip(
        network.conformer.parameters(), trained.conformer.parameters(), strict=True
    ):
        assert torch.equal(one, other)
