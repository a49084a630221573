"""What is exported is a model folder that the product loads, finds to be a demonstration, and lets speak."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.lfm2_audio import AudioFrame, Lfm2Audio, Mode, TextToken
from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from training.codec import Codec
from training.config import CODEBOOK_SIZE, LIVE_CODEBOOKS
from training.export import export, rounded
from training.state import FIXED, Run
from training.world import World
from voiced.cli.main import main
from voiced.demonstration import Demonstration, read_demonstration
from voiced.errors import UsageError
from voiced.segments import Limits
from voiced.speech_model import AudioSampling

MAX_BYTES = 24_000_000  # Of the whole folder, which comes with the package.


@pytest.fixture(scope="module")
def exported(
    untrained: tuple[Network, TextTokenizer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """A folder exported from a state in which nothing has learnt anything, and its size in bytes."""
    state = tmp_path_factory.mktemp("state")
    for name in ("hearing", "speaking"):
        Run(state, name, 1.0).save(untrained[0], None)
    torch.manual_seed(1)
    Run(state, "codec", 1.0).save(Codec(), None)
    folder = tmp_path_factory.mktemp("models") / "mini"
    return folder, export(state, folder)


@pytest.fixture(scope="module")
def demonstration(exported: tuple[Path, int]) -> Demonstration:
    found = read_demonstration(exported[0])
    assert found
    return found


def test_it_is_small_enough_to_come_with_the_package(exported: tuple[Path, int]) -> None:
    folder, num_bytes = exported
    assert num_bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert num_bytes <= MAX_BYTES


def test_it_hears_and_answers_with_text_and_sound(exported: tuple[Path, int]) -> None:
    model = Lfm2Audio.load(exported[0], dtype=torch.float32)
    conversation = model.conversation()
    conversation.begin_turn("user")
    conversation.append_audio(0.1 * np.random.default_rng(1).standard_normal(8000, np.float32))
    conversation.end_turn()
    conversation.begin_turn("assistant")
    steps = list(itertools.islice(conversation.generate(Mode.INTERLEAVED, max_steps=18), 18))
    frames = [step for step in steps if isinstance(step, AudioFrame) and step.is_sound]
    assert any(isinstance(step, TextToken) for step in steps)
    assert frames
    for step in frames:
        assert all(0 <= code < CODEBOOK_SIZE for code in step.codes)
        assert set(step.codes[LIVE_CODEBOOKS:]) == {0}
    decoder = model.decoder()
    sound = np.concatenate([*(decoder.push(step.codes) for step in frames), decoder.flush()])
    assert len(sound) == 1920 * len(frames)
    assert np.isfinite(sound).all()


def test_its_weights_are_bfloat16_and_those_that_were_trained(
    exported: tuple[Path, int], untrained: tuple[Network, TextTokenizer]
) -> None:
    network = Lfm2Audio.load(exported[0]).network
    theirs = untrained[0].state_dict()
    for name in ("depth_linear.weight", "conformer.pre_encode.out.weight"):
        weight = network.get_parameter(name)
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, rounded(theirs[name]))
    assert not network.audio_embedding.embedding.weight[
        LIVE_CODEBOOKS * (CODEBOOK_SIZE + 1) :
    ].any()


def test_its_text_embedding_follows_from_the_words_and_not_from_the_state(
    exported: tuple[Path, int], untrained: tuple[Network, TextTokenizer]
) -> None:
    weight = Lfm2Audio.load(exported[0]).network.get_parameter(FIXED)
    assert torch.equal(weight, rounded(untrained[0].get_parameter(FIXED)))


def test_it_is_a_demonstration_model_with_ways_of_its_own(demonstration: Demonstration) -> None:
    assert demonstration.name == "voiced-mini"
    assert demonstration.voices == ("us_male", "uk_female")
    assert demonstration.reply == demonstration.speech == AudioSampling(temperature=0, top_k=1)
    assert demonstration.limits == Limits.of_sentences(6)


def test_it_knows_the_words_of_its_world_and_not_those_of_its_prompts(
    exported: tuple[Path, int], demonstration: Demonstration, world: World
) -> None:
    tokenizer = Lfm2Audio.load(exported[0]).tokenizer
    demonstration.check_words(tokenizer, " ".join(world.words))
    for word in ("interleaved", "TTS", "zyzzyva"):
        with pytest.raises(UsageError, match=f"does not know '{word.lower()}'"):
            demonstration.check_words(tokenizer, f"turn on the {word}")
    assert not set(demonstration.prompt_words) & set(world.words)


def test_the_commands_announce_it(
    exported: tuple[Path, int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["tts", "turn on the uk", "-o", str(tmp_path / "a.wav"), "--model", str(exported[0])]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "voiced-mini answers, the demonstration model" in told
    assert "voiced-mini does not know 'uk'" in told


def test_exporting_again_replaces_what_was_there(
    exported: tuple[Path, int], untrained: tuple[Network, TextTokenizer], tmp_path: Path
) -> None:
    folder, num_bytes = exported
    (folder / "config.json").write_text("{}")
    for name in ("hearing", "speaking"):
        Run(tmp_path, name, 1.0).save(untrained[0], None)
    Run(tmp_path, "codec", 1.0).save(Codec(), None)
    assert export(tmp_path, folder) == num_bytes
    assert json.loads((folder / "config.json").read_text())["codebook_size"] == CODEBOOK_SIZE


def test_without_a_trained_part_nothing_is_exported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="speaking"):
        export(tmp_path, tmp_path / "mini")
    assert not (tmp_path / "mini").exists()
