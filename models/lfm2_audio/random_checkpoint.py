"""Writes checkpoints in the published layout with random weights: a stand-in, and the subject of tests and benchmarks."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from models.detokenizer import WINDOW_SAMPLES, DetokenizerNetwork
from models.lfm2_audio.config import Lfm2AudioConfig
from models.lfm2_audio.loss import codebook_weights
from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import AUDIO_START, TURN_END, save_tokenizer, special_texts
from models.mimi import DIMS_FILE, WEIGHTS_FILE, MimiDims, random_weights
from models.mimi.dims import QuantizerDims, SeanetDims, TransformerDims

Preset = Literal["tiny", "full"]

MERGES = (
    ("t", "h"),
    ("th", "e"),
    ("i", "n"),
    ("e", "r"),
    ("Ġ", "t"),
    ("o", "n"),
    ("a", "n"),
    ("Ġ", "a"),
)
# Rows of these tokens are this much longer than the others, so that a random model takes every switch now and then.
SWITCH_GAIN = {AUDIO_START: 1.5, TURN_END: 1.2}
END_OF_AUDIO_GAIN = 1.2


def write_random_checkpoint(folder: Path, *, preset: Preset, seed: int) -> None:
    """Write a complete model folder with weights drawn from `seed`.

    Costs: "tiny" 11 MB in a second; "full", the published sizes, 3.3 GB in a minute or two and as much memory.

    Args:
        folder: made if need be; files of a checkpoint in it are replaced.
        preset: which sizes.
        seed: of all weights; the same seed gives the same bytes on the same release of torch.
    """
    (folder / "audio_detokenizer").mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", model_config(preset))
    _write_json(folder / "audio_detokenizer" / "config.json", detokenizer_config(preset))
    _write_tokenizer(folder)
    write_random_weights(folder, seed=seed)
    dims = TINY_MIMI if preset == "tiny" else MimiDims()
    if dims != MimiDims():
        (folder / DIMS_FILE).write_text(dims.to_json(), encoding="utf-8")
    save_file(random_weights(dims, seed), folder / WEIGHTS_FILE)


def write_random_weights(folder: Path, *, seed: int) -> None:
    """Write weights of the sizes that the two `config.json` of `folder` ask for, the model's and the detokenizer's.

    Raises:
        CheckpointError: a configuration is missing or cannot be.
    """
    generator = torch.Generator().manual_seed(seed)
    config = Lfm2AudioConfig.read(folder)
    save_file(
        dict(_model_weights(config, generator)), folder / "model.safetensors", {"format": "pt"}
    )
    detokenizer = folder / "audio_detokenizer"
    save_file(
        dict(_detokenizer_weights(DetokenizerNetwork.read(detokenizer), generator)),
        detokenizer / "model.safetensors",
        {"format": "pt"},
    )


def model_config(preset: Preset) -> dict[str, Any]:
    """Return the content of `config.json`. Source of the full sizes: the published repositories."""
    tiny = preset == "tiny"
    hidden = 64 if tiny else 2048
    return {
        "architectures": ["Lfm2AudioForConditionalGeneration"],
        "codebooks": 8,
        "tie_audio_embeddings": False,
        "semantic_codebook_factor": 100,
        "codebook_weight": "log",
        "interleaved_n_text": 6,
        "interleaved_n_audio": 12,
        "preprocessor": {
            "sample_rate": 16000,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 128,
            "n_fft": 512,
            "log": True,
            "frame_splicing": 1,
            "dither": 1e-05,
            "pad_to": 0,
            "pad_value": 0.0,
        },
        "encoder": {
            "feat_in": 128,
            "feat_out": -1,
            "n_layers": 2 if tiny else 17,
            "d_model": 64 if tiny else 512,
            "subsampling": "dw_striding",
            "subsampling_factor": 8,
            "subsampling_conv_channels": 32 if tiny else 256,
            "causal_downsampling": False,
            "reduction": None,
            "reduction_position": None,
            "reduction_factor": 1,
            "ff_expansion_factor": 4,
            "self_attention_model": "rel_pos",
            "n_heads": 4 if tiny else 8,
            "att_context_size": [-1, -1],
            "xscaling": False,
            "untie_biases": True,
            "pos_emb_max_len": 5000,
            "conv_kernel_size": 9,
            "conv_norm_type": "batch_norm",
            "conv_context_size": None,
            "dropout": 0.1,
            "dropout_pre_encoder": 0.1,
            "dropout_emb": 0.0,
            "dropout_att": 0.1,
        },
        "lfm": {
            "architectures": ["Lfm2ForCausalLM"],
            "model_type": "lfm2",
            "vocab_size": 512 if tiny else 65536,
            "hidden_size": hidden,
            "num_hidden_layers": 6 if tiny else 16,
            "num_attention_heads": 4 if tiny else 32,
            "num_key_value_heads": 2 if tiny else 8,
            "full_attn_idxs": [2, 4] if tiny else [2, 5, 8, 10, 12, 14],
            "block_dim": hidden,
            "block_ff_dim": 192 if tiny else 12288,
            "block_ffn_dim_multiplier": 1.0,
            "block_multiple_of": 32 if tiny else 256,
            "block_auto_adjust_ff_dim": True,
            "conv_L_cache": 3,
            "conv_bias": False,
            "conv_dim": hidden,
            "conv_dim_out": hidden,
            "norm_eps": 1e-05,
            "block_norm_eps": 1e-05,
            "max_position_embeddings": 32768,
            "rope_theta": 1000000.0,
            "bos_token_id": 1,
            "eos_token_id": 7,
            "pad_token_id": 0,
            "tie_embedding": True,
            "use_cache": True,
        },
        "depthformer": {"layers": 2, "dim": 64, "tie": True}
        if tiny
        else {"layers": 6, "dim": 1024, "tie": True},
    }


def detokenizer_config(preset: Preset) -> dict[str, Any]:
    """Return the content of `audio_detokenizer/config.json`."""
    tiny = preset == "tiny"
    hidden = 64 if tiny else 512
    layers = ["conv", "conv", "sliding_attention", "conv", "sliding_attention", "conv"]
    return {
        "architectures": ["Lfm2Model"],
        "model_type": "lfm2",
        "vocab_size": 64 if tiny else 65536,
        "hidden_size": hidden,
        "num_hidden_layers": 6 if tiny else 8,
        "num_attention_heads": 4 if tiny else 16,
        "num_key_value_heads": 2 if tiny else 8,
        "layer_types": layers if tiny else [*layers, "sliding_attention", "conv"],
        "sliding_window": 30,
        "intermediate_size": 160 if tiny else 3328,
        "block_dim": hidden,
        "block_ff_dim": 160 if tiny else 3328,
        "block_auto_adjust_ff_dim": not tiny,
        "conv_L_cache": 3,
        "conv_bias": False,
        "norm_eps": 1e-05,
        "max_position_embeddings": 128000,
        "rope_theta": 1000000.0,
        "output_size": WINDOW_SAMPLES + 2,
    }


TINY_MIMI = MimiDims(
    seanet=SeanetDims(dimension=32, n_filters=4),
    # As many codes a book as the model draws, so that a tiny Mimi can decode a tiny model's frames.
    quantizer=QuantizerDims(dimension=16, n_q=16, input_dimension=32, output_dimension=32),
    transformer=TransformerDims(
        d_model=32,
        num_heads=4,
        num_layers=2,
        context=20,
        dim_feedforward=64,
        input_dimension=32,
        output_dimensions=(32,),
    ),
)


def _model_weights(
    config: Lfm2AudioConfig, generator: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    for name, like in Network(config).state_dict().items():
        weight = draw_weight(name, like, generator)
        if name == "lfm.embed_tokens.weight":
            for token, gain in SWITCH_GAIN.items():
                weight[token] *= gain
        if name == "depth_embeddings.0.embedding.weight":
            weight[config.codebook_size] *= END_OF_AUDIO_GAIN
        yield name, weight
    # What the published files hold besides and inference does not read.
    num_rows = config.codebook_size + 1
    rows, hidden = config.codebooks * num_rows, config.lfm.hidden_size
    yield "audio_embedding.embedding_norm.weight", torch.ones(hidden, dtype=torch.bfloat16)
    yield "audio_embedding.to_logits.weight", torch.zeros(rows, hidden, dtype=torch.bfloat16)
    yield "audio_loss_weights", codebook_weights(config, torch.device("cpu"))
    yield "codebook_offsets", torch.arange(config.codebooks) * num_rows


def _detokenizer_weights(
    network: DetokenizerNetwork, generator: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    for name, like in network.state_dict().items():
        weight = draw_weight(name, like, generator)
        if name == "lin.bias":
            # The log magnitudes; 1.8 at every frequency gives noise at about a tenth of full scale.
            weight[: len(weight) // 2] = math.log(1.8)
        yield name, weight
    config = network.config
    yield (
        "lfm.embed_tokens.weight",
        torch.zeros(config.vocab_size, config.hidden_size, dtype=torch.bfloat16),
    )
    yield "istft.window", torch.hann_window(WINDOW_SAMPLES)


def draw_weight(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Return a weight of the shape of `like`, bfloat16 where floating: norms one, biases small, the rest by fan-in."""
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    kind = name.rsplit(".", 1)[-1]
    if kind == "running_var" or (kind == "weight" and like.ndim == 1):
        return torch.ones(like.shape, dtype=torch.bfloat16)
    if like.ndim == 1:
        return (0.02 * torch.randn(like.shape, generator=generator)).bfloat16()
    fan_in = like[0].numel() if "embed" not in name else like.shape[1]
    scale = 1 / math.sqrt(fan_in)
    # Drawn in bfloat16 itself: the full size then costs its own memory and no more.
    return torch.empty(like.shape, dtype=torch.bfloat16).normal_(0, scale, generator=generator)


def _write_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer: the special tokens at their published numbers, the bytes, a few merges."""
    texts = special_texts()
    texts += sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(merge) for merge in MERGES]
    tokenizer = Tokenizer(
        models.BPE(vocab={text: token for token, text in enumerate(texts)}, merges=list(MERGES))
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    save_tokenizer(tokenizer, folder)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
