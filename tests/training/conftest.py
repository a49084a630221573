"""An untrained model of voiced-mini's sizes, in memory and as a folder, for tests of what surrounds training."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.detokenizer import DetokenizerNetwork
from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from training.config import DETOKENIZER_CONFIG, model_config
from training.network import build_network, clear_dead_codebooks, materialize
from training.state import write_json
from training.tokenizer import write_tokenizer
from training.world import World

WORDS = ("hello", "kitchen", "light", "on", "the", "turn")


@pytest.fixture(scope="session")
def world() -> World:
    return World.load()


@pytest.fixture(scope="session")
def untrained(world: World) -> tuple[Network, TextTokenizer]:
    """A network of the whole world's words, in evaluation mode and not to be changed, and its tokenizer."""
    network, tokenizer = build_network(world.words, torch.device("cpu"), seed=1)
    return network.eval(), tokenizer


@pytest.fixture(scope="session")
def untrained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model folder whose text embedding and layers are first weights, in float32."""
    folder = tmp_path_factory.mktemp("untrained")
    network, _ = build_network(WORDS, torch.device("cpu"), seed=1)
    clear_dead_codebooks(network)
    write_json(folder / "config.json", model_config(write_tokenizer(folder, WORDS)))
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()},
        folder / "model.safetensors",
    )
    codec = folder / "audio_detokenizer"
    codec.mkdir()
    write_json(codec / "config.json", DETOKENIZER_CONFIG)
    detokenizer = DetokenizerNetwork.read(codec)
    materialize(detokenizer, torch.device("cpu"), seed=2)
    save_file(
        {name: tensor.contiguous() for name, tensor in detokenizer.state_dict().items()},
        codec / "model.safetensors",
    )
    return folder
