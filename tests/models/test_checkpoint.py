"""Model folders: what loads, in which spellings, and what each kind of damage is told."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoint import index_weights
from models.errors import CheckpointError, NonFiniteError
from models.lfm2_audio import Lfm2Audio, Mode
from models.lfm2_audio.config import Lfm2AudioConfig
from models.lfm2_audio.network import Network
from models.lfm2_audio.random_checkpoint import write_random_checkpoint
from models.mimi import MimiStreamDecoder
from tests.models.golden import CHECKPOINT, tensors

Json = dict[str, Any]
LARGER = {
    **dict.fromkeys(("hidden_size", "block_dim", "conv_dim", "conv_dim_out"), 1024),
    "block_ff_dim": 4096,
    "vocab_size": 65536,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the golden checkpoint whose files may be changed."""
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "checkpoint"))


def edit_json(path: Path, edit: Callable[[Json], object]) -> None:
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))


def edit_weights(path: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(path)
    edit(weights)
    save_file(weights, path)


def greedy(folder: Path, **load: Any) -> list[object]:
    conversation = Lfm2Audio.load(folder, **load).conversation()
    conversation.begin_turn("user")
    conversation.append_audio(tensors()["wave.question"].numpy())
    conversation.end_turn()
    conversation.begin_turn("assistant")
    return list(conversation.generate(Mode.INTERLEAVED, max_steps=20))


def refusal(folder: Path, error: type[Exception] = CheckpointError) -> str:
    with pytest.raises(error) as caught:
        Lfm2Audio.load(folder).decoder()
    return str(caught.value)


# Loading


def test_weights_keep_the_type_of_the_file_and_are_views_of_it(folder: Path) -> None:
    loaded = Lfm2Audio.load(folder)
    assert loaded.dtype == torch.bfloat16
    rows = loaded.network.lfm.embed_tokens.weight
    maps = Path("/proc/self/maps").read_text().splitlines()
    inside = [line for line in maps if str(folder / "model.safetensors") in line]
    spans = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in inside]
    assert any(start <= rows.data_ptr() < end for start, end in spans)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_any_type_can_be_computed_in(folder: Path, dtype: torch.dtype) -> None:
    loaded = Lfm2Audio.load(folder, dtype=dtype)
    floating = {part.dtype for part in loaded.network.parameters() if part.is_floating_point()}
    assert floating == {dtype}
    assert loaded.network.lfm.rotary_emb.inv_freq.dtype == torch.float32
    assert len(greedy(folder, dtype=dtype)) > 1


@pytest.mark.parametrize("stored", [torch.float16, torch.float32])
def test_files_of_other_types_load(folder: Path, stored: torch.dtype) -> None:
    def cast(weights: dict[str, Tensor]) -> None:
        for name, weight in weights.items():
            weights[name] = weight.to(stored) if weight.is_floating_point() else weight

    edit_weights(folder / "model.safetensors", cast)
    assert Lfm2Audio.load(folder).dtype == stored


def test_shards_load_as_one_file_does(folder: Path) -> None:
    expected = greedy(folder)
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, folder / file)
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    assert greedy(folder) == expected
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors: no such file" in refusal(folder)


def test_the_first_version_decodes_through_mimi(folder: Path) -> None:
    shutil.rmtree(folder / "audio_detokenizer")
    assert isinstance(Lfm2Audio.load(folder).decoder(), MimiStreamDecoder)


def test_the_newer_version_needs_no_mimi(folder: Path) -> None:
    (folder / "tokenizer-e351c8d8-checkpoint125.safetensors").unlink()
    assert len(Lfm2Audio.load(folder).decoder().push([0] * 8)) == 1440


def current_spelling(config: Json) -> None:
    lfm = config["lfm"]
    for name in list(lfm):
        if name.startswith("block_") and name not in (
            "block_ffn_dim_multiplier",
            "block_multiple_of",
            "block_auto_adjust_ff_dim",
        ):
            del lfm[name]
    for name in ("conv_dim", "conv_dim_out", "tie_embedding"):
        del lfm[name]
    lfm |= {
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": lfm.pop("rope_theta")},
    }


def legacy_spelling(config: Json) -> None:
    lfm = config["lfm"]
    types = lfm.pop("layer_types")
    lfm["full_attn_idxs"] = [index for index, kind in enumerate(types) if kind == "full_attention"]
    lfm["block_ff_dim"] = lfm.pop("intermediate_size")
    lfm["num_heads"] = lfm.pop("num_attention_heads")
    lfm["theta"] = lfm.pop("rope_theta")
    lfm |= {
        "block_use_swiglu": True,
        "block_use_xavier_init": True,
        "use_pos_enc": True,
        "block_mlp_init_scale": 1.0,
    }
    lfm |= {
        "torch_dtype": "bfloat16",
        "transformers_version": "4.54.0",
        "id2label": {"0": "LABEL_0"},
    }


@pytest.mark.parametrize("spell", [current_spelling, legacy_spelling])
def test_every_spelling_of_the_config_gives_the_same_reply(
    folder: Path, spell: Callable[[Json], None]
) -> None:
    expected = greedy(CHECKPOINT)
    edit_json(folder / "config.json", spell)
    assert greedy(folder) == expected


# Damage


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder_is_named(folder: Path) -> None:
    assert "expected the folder that holds config.json" in refusal(folder / "config.json")


@pytest.mark.parametrize(
    "file",
    [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "audio_detokenizer/model.safetensors",
        "audio_detokenizer/config.json",
    ],
)
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    message = refusal(folder)
    assert Path(file).name in message
    assert "voiced pull" in message or "voiced doctor" in message


def test_neither_detokenizer_nor_mimi_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "audio_detokenizer")
    (folder / "tokenizer-e351c8d8-checkpoint125.safetensors").unlink()
    assert "neither the folder audio_detokenizer nor tokenizer-e351c8d8" in refusal(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, 100_000, -1])
def test_truncated_weights_are_named_with_their_size(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    message = refusal(folder)
    assert "damaged or incomplete" in message
    assert "voiced pull" in message


@pytest.mark.parametrize("position", [0, 7, 8, 9, 200])
def test_a_flipped_bit_in_the_header_is_noticed(folder: Path, position: int) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)
    assert "model.safetensors" in refusal(folder)


def test_a_flipped_bit_that_makes_a_weight_infinite_is_noticed(folder: Path) -> None:
    def flip(weights: dict[str, Tensor]) -> None:
        weights["lfm.layers.0.feed_forward.w1.weight"].view(torch.int16)[0, 0] = 0x7F80

    edit_weights(folder / "model.safetensors", flip)
    message = refusal(folder, NonFiniteError)
    assert "weight lfm.layers.0.feed_forward.w1.weight" in message
    assert "1 of" in message


@pytest.mark.parametrize("file", ["model.safetensors", "audio_detokenizer/model.safetensors"])
def test_a_nan_weight_is_named(folder: Path, file: str) -> None:
    edit_weights(
        folder / file, lambda weights: weights["lfm.embedding_norm.weight"].fill_(torch.nan)
    )
    assert "weight lfm.embedding_norm.weight" in refusal(folder, NonFiniteError)


def test_wrong_shapes_are_named(folder: Path) -> None:
    edit_weights(
        folder / "model.safetensors",
        lambda weights: weights.update({"depth_linear.bias": torch.zeros(3)}),
    )
    assert "tensor depth_linear.bias has shape (3,), config.json asks for (512,)" in refusal(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    edit_weights(folder / "model.safetensors", lambda weights: weights.pop("depth_linear.bias"))
    assert "lacks 1 of" in (message := refusal(folder))
    assert "depth_linear.bias" in message


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    edit_weights(
        folder / "model.safetensors",
        lambda weights: weights.update({"vision.weight": torch.zeros(3)}),
    )
    assert "no place for: vision.weight" in refusal(folder)


def test_weights_in_an_integer_type_are_refused(folder: Path) -> None:
    edit_weights(
        folder / "model.safetensors",
        lambda weights: weights.update(
            {"lfm.embed_tokens.weight": torch.zeros(512, 64, dtype=torch.int8)}
        ),
    )
    assert "type I8: expected BF16, F16, F32" in refusal(folder)


def test_one_weight_of_another_kind_is_named(folder: Path) -> None:
    for dtype, name in ((torch.int64, "I64"), (torch.bool, "BOOL"), (torch.complex64, "C64")):
        edit_weights(
            folder / "model.safetensors",
            lambda weights, dtype=dtype: weights.update(  # type: ignore[misc]
                {"depth_linear.bias": torch.zeros(512, dtype=dtype)}
            ),
        )
        assert f"tensor depth_linear.bias is of type {name}" in refusal(folder)


def test_a_detokenizer_without_a_window_that_can_be_is_named(folder: Path) -> None:
    edit_json(
        folder / "audio_detokenizer" / "config.json",
        lambda config: config.update(sliding_window="x"),
    )
    assert "'sliding_window' is 'x'" in refusal(folder)


def test_a_config_nested_without_end_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)
    assert "not readable as JSON" in refusal(folder)


def test_loading_costs_no_more_memory_than_the_weights(tmp_path: Path) -> None:
    # Sizes at which the interpreter's own growth is small beside the weights: 260 MB.
    write_random_checkpoint(tmp_path, preset="tiny", seed=1)
    edit_json(tmp_path / "config.json", lambda config: config["lfm"].update(LARGER))
    network = Network(Lfm2AudioConfig.read(tmp_path))
    weights = {
        name: torch.zeros(
            part.shape, dtype=torch.bfloat16 if part.is_floating_point() else part.dtype
        )
        for name, part in network.state_dict().items()
    }
    save_file(weights, tmp_path / "model.safetensors")
    size = (tmp_path / "model.safetensors").stat().st_size
    assert size > 200e6
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.load_probe", "voiced", str(tmp_path), "cpu"],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    probe = json.loads(output)
    assert (probe["peak"] - probe["before"]) / size <= 1.15


def test_a_shard_outside_the_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"x": "../model.safetensors"}}'
    )
    assert "not a plain file name" in refusal(folder)


def test_a_config_of_another_model_is_named(folder: Path) -> None:
    (folder / "config.json").write_text(
        '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8}'
    )
    assert "a model of type 'llama'" in (message := refusal(folder))
    assert "expected LFM2-Audio" in message


EDITS: list[tuple[Callable[[Json], object], str]] = [
    (lambda c: c.update(rope_scaling=2), "unknown key 'rope_scaling' = 2"),
    (lambda c: c["encoder"].update(use_bias_v2=True), "unknown key 'use_bias_v2'"),
    (lambda c: c["lfm"].update(attention_temperature=2.0), "unknown key 'attention_temperature'"),
    (
        lambda c: c["lfm"].update(rope_parameters={"rope_type": "yarn", "factor": 4}),
        "only the default kind",
    ),
    (lambda c: c["depthformer"].update(experts=4), "unknown key 'experts'"),
    (
        lambda c: c["preprocessor"].update(normalize="all_features"),
        "only 'per_feature' is supported",
    ),
    (lambda c: c["encoder"].update(self_attention_model="abs_pos"), "only 'rel_pos' is supported"),
    (lambda c: c["encoder"].update(reduction="striding"), "only null is supported"),
    (
        lambda c: c["encoder"].update(att_context_size=[70, 1]),
        "expected \\[-1, -1\\], full context",
    ),
    (lambda c: c["encoder"].update(n_layers=-3), "expected a whole number above 0"),
    (lambda c: c["encoder"].update(n_layers="3"), "expected a whole number above 0"),
    (lambda c: c["encoder"].pop("d_model"), "lacks the key 'd_model'"),
    (lambda c: c.update(codebooks=99), "codebooks is 99"),
    (lambda c: c.update(encoder=[]), "expected an object, found list"),
    (lambda c: c["lfm"].pop("vocab_size"), "lacks the keys vocab_size"),
    (lambda c: c["lfm"].update(block_dim=63), "another spelling of it says 64"),
    (lambda c: c["lfm"].update(rope_parameters={"rope_theta": 5.0}), "rope_parameters says 5.0"),
    (lambda c: c["lfm"].update(full_attn_idxs=[0]), "name different layers"),
    (lambda c: c["lfm"].update(layer_types=["sliding_attention"] * 6), "attends to everything"),
    (lambda c: c["lfm"].update(layer_types=5), "expected a list"),
    (lambda c: c["lfm"].update(layer_types=[[]] * 6), "layer type \\[\\]"),
    (lambda c: c["lfm"].update(rope_parameters=5), "expected an object"),
    (lambda c: c["lfm"].update(rope_theta="x"), "'rope_theta' is 'x': expected a number"),
    (lambda c: c["lfm"].update(num_attention_heads=0), "expected a whole number above 0"),
    (lambda c: c["lfm"].update(num_attention_heads=5), "expected each to be a multiple"),
    (lambda c: c["lfm"].update(max_position_embeddings="a"), "expected a whole number"),
    (lambda c: c["lfm"].update(conv_L_cache=1), "must be 2 or more"),
    (lambda c: c["preprocessor"].update(sample_rate=8000), "only 16000 is supported"),
    (lambda c: c["preprocessor"].update(n_fft=64), "expected each to be shorter"),
    (lambda c: c["preprocessor"].update(window_size=-1), "expected each to be shorter"),
    (lambda c: c["encoder"].update(att_context_size=5), "full context"),
    (lambda c: (c.pop("lfm"), c.update(architectures=5)), "a model of type '5'"),
    (lambda c: c["lfm"].update(layer_types=["conv"]), "1 layer_types for 6 layers"),
    (lambda c: c["lfm"].update(layer_types=["mamba"] * 6), "layer type 'mamba'"),
    (lambda c: c["lfm"].update(block_use_swiglu=False), "'block_use_swiglu' must be True"),
]


@pytest.mark.parametrize(("edit", "message"), EDITS)
def test_a_config_that_asks_for_other_arithmetic_is_refused(
    folder: Path, edit: Callable[[Json], object], message: str
) -> None:
    edit_json(folder / "config.json", edit)
    with pytest.raises(CheckpointError, match=message):
        Lfm2Audio.load(folder)


def test_an_unknown_key_that_is_switched_off_is_harmless(folder: Path) -> None:
    edit_json(
        folder / "config.json",
        lambda config: config["encoder"].update(new_feature=None, other=False),
    )
    assert greedy(folder) == greedy(CHECKPOINT)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_config_that_is_no_json_object_is_named(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert "config.json" in refusal(folder)


def test_a_tokenizer_without_the_audio_tokens_is_named(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("<|audio_start|>", "<|other|>"))
    assert "token <|audio_start|> has number None, expected 128" in refusal(folder)


def test_a_tokenizer_larger_than_the_model_is_named(folder: Path) -> None:
    def grow(values: Json) -> None:
        values["model"]["vocab"]["zz"] = 600

    edit_json(folder / "tokenizer.json", grow)
    assert "has token 600, but config.json only 512 embeddings" in refusal(folder)


def test_a_damaged_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    assert "tokenizer.json: not a tokenizer" in refusal(folder)


def test_pickled_weights_are_not_looked_at(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "neither model.safetensors nor model.safetensors.index.json" in refusal(folder)


# Random checkpoints


def test_a_random_checkpoint_has_the_tensors_of_the_published_layout(tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path, preset="tiny", seed=1)
    ours, golden = index_weights(tmp_path), index_weights(CHECKPOINT)
    deeper = {
        name for name in golden if name.startswith("conformer.layers.2.")
    }  # Golden has one layer more.
    assert ours.keys() == golden.keys() - deeper
    detokenizer = index_weights(CHECKPOINT / "audio_detokenizer")
    assert index_weights(tmp_path / "audio_detokenizer").keys() == detokenizer.keys()
    assert len(greedy(tmp_path)) > 1


def test_a_random_checkpoint_is_the_same_for_the_same_seed_only(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random_checkpoint(tmp_path / name, preset="tiny", seed=seed)
    first, again, other = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["depth_linear.weight"], other["depth_linear.weight"])
