"""Mimi's file of weights in moshi's layout: its names and shapes, its reading, and random ones of the same form."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint import check_finite, read_header, read_tensors, stored_dtype
from models.errors import CheckpointError
from models.mimi.dims import NUM_CODEBOOKS, STEPS_PER_FRAME, MimiDims

WEIGHTS_FILE = "tokenizer-e351c8d8-checkpoint125.safetensors"

NUM_SEMANTIC = 1  # The first codebook has a residual quantiser of its own.

# Endings under which files of other ages hold the same tensors, and the ones used here.
_SPELLINGS = {
    "self_attn.in_proj_weight": "self_attn.in_projs.0.weight",
    "self_attn.in_proj.weight": "self_attn.in_projs.0.weight",
    "self_attn.out_proj.weight": "self_attn.out_projs.0.weight",
    "_codebook.inited": "_codebook._initialized",
    "_codebook.cluster_size": "_codebook.cluster_usage",
    "_codebook.embed_avg": "_codebook.embedding_sum",
    "_codebook.embed_sum": "_codebook.embedding_sum",
}

Shape = tuple[int, ...]


def layout(dims: MimiDims) -> dict[str, Shape]:
    """Return name and shape of every tensor in a file of these sizes, in moshi's newest spelling."""
    return dict(
        (
            *_encoder(dims),
            *_decoder(dims),
            *_transformer(dims, "encoder_transformer"),
            *_transformer(dims, "decoder_transformer"),
            *_resampling(dims),
            *_quantizer(dims, "rvq_first", NUM_SEMANTIC),
            *_quantizer(dims, "rvq_rest", dims.quantizer.n_q - NUM_SEMANTIC),
        )
    )


def _convolution(name: str, num_in: int, num_out: int, kernel: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.conv.conv.weight", (num_out, num_in, kernel)
    yield f"{name}.conv.conv.bias", (num_out,)


def _residual_blocks(dims: MimiDims, first: str, width: int) -> Iterator[tuple[str, Shape]]:
    side, index = first.rsplit(".", 1)
    hidden = width // dims.seanet.compress
    for offset in range(dims.seanet.n_residual_layers):
        block = f"{side}.{int(index) + offset}.block"
        yield from _convolution(f"{block}.1", width, hidden, dims.seanet.residual_kernel_size)
        yield from _convolution(f"{block}.3", hidden, width, 1)


def _encoder(dims: MimiDims) -> Iterator[tuple[str, Shape]]:
    seanet, width, index = dims.seanet, dims.seanet.n_filters, 1
    yield from _convolution("encoder.model.0", seanet.channels, width, seanet.kernel_size)
    for ratio in reversed(seanet.ratios):
        yield from _residual_blocks(dims, f"encoder.model.{index}", width)
        index += seanet.n_residual_layers + 1  # An activation without weights stands between.
        yield from _convolution(f"encoder.model.{index}", width, 2 * width, 2 * ratio)
        width, index = 2 * width, index + 1
    yield from _convolution(
        f"encoder.model.{index + 1}", width, seanet.dimension, seanet.last_kernel_size
    )


def _decoder(dims: MimiDims) -> Iterator[tuple[str, Shape]]:
    seanet, index = dims.seanet, 2
    width = seanet.n_filters * 2 ** len(seanet.ratios)
    yield from _convolution("decoder.model.0", seanet.dimension, width, seanet.kernel_size)
    for ratio in seanet.ratios:
        yield f"decoder.model.{index}.convtr.convtr.weight", (width, width // 2, 2 * ratio)
        yield f"decoder.model.{index}.convtr.convtr.bias", (width // 2,)
        width //= 2
        yield from _residual_blocks(dims, f"decoder.model.{index + 1}", width)
        index += seanet.n_residual_layers + 2
    yield from _convolution(
        f"decoder.model.{index}", width, seanet.channels, seanet.last_kernel_size
    )


def _transformer(dims: MimiDims, side: str) -> Iterator[tuple[str, Shape]]:
    width, hidden = dims.transformer.d_model, dims.transformer.dim_feedforward
    for index in range(dims.transformer.num_layers):
        layer = f"{side}.transformer.layers.{index}"
        yield f"{layer}.self_attn.in_projs.0.weight", (3 * width, width)
        yield f"{layer}.self_attn.out_projs.0.weight", (width, width)
        yield f"{layer}.linear1.weight", (hidden, width)
        yield f"{layer}.linear2.weight", (width, hidden)
        for number in (1, 2):
            yield f"{layer}.norm{number}.weight", (width,)
            yield f"{layer}.norm{number}.bias", (width,)
            yield f"{layer}.layer_scale_{number}.scale", (width,)


def _resampling(dims: MimiDims) -> Iterator[tuple[str, Shape]]:
    width = dims.seanet.dimension
    yield "downsample.conv.conv.conv.weight", (width, width, 2 * STEPS_PER_FRAME)
    yield "upsample.convtr.convtr.convtr.weight", (width, 1, 2 * STEPS_PER_FRAME)


def _quantizer(dims: MimiDims, name: str, num_codebooks: int) -> Iterator[tuple[str, Shape]]:
    sizes = dims.quantizer
    yield f"quantizer.{name}.input_proj.weight", (sizes.dimension, sizes.input_dimension, 1)
    yield f"quantizer.{name}.output_proj.weight", (sizes.output_dimension, sizes.dimension, 1)
    for index in range(num_codebooks):
        codebook = f"quantizer.{name}.vq.layers.{index}._codebook"
        yield f"{codebook}._initialized", (1,)
        yield f"{codebook}.cluster_usage", (sizes.bins,)
        yield f"{codebook}.embedding_sum", (sizes.bins, sizes.dimension)


def read_weights(path: Path, dims: MimiDims) -> dict[str, Tensor]:
    """Return the weights in `path`, float32 on the CPU, in the names of `layout`; codebooks that are not used stay out.

    Tensors that are float32 in the file are views of the mapped file. All names and shapes are checked before any
    tensor is read.

    Raises:
        CheckpointError: the file is missing or truncated; a tensor is missing, unknown, twice there under two
            spellings, of another shape than `dims` asks for, or not of bfloat16, float16 or float32.
        NonFiniteError: a weight is NaN or infinite.
    """
    expected, header = layout(dims), read_header(path)
    file_names = _spelled_alike(header, path)
    if missing := [name for name in expected if name not in file_names]:
        raise CheckpointError(
            f"{path}: lacks {len(missing)} of {len(expected)} tensors of Mimi, first {missing[0]}; "
            "fetch the model again with 'voiced pull'"
        )
    if unknown := [name for name in file_names if name not in expected]:
        raise CheckpointError(
            f"{path}: holds {len(unknown)} tensors that Mimi has no place for, first {file_names[unknown[0]]}"
        )
    for name, shape in expected.items():
        stored_dtype(header, file_names[name])
        stored = header[file_names[name]].shape
        if stored != shape:
            raise CheckpointError(
                f"{path}: tensor {file_names[name]} has shape {stored}: expected {shape}"
            )
    names = {file_names[name]: name for name in expected if not _is_unused(name)}
    places = {file_name: header[file_name] for file_name in names}
    weights: dict[str, Tensor] = {}
    for file_name, tensor in read_tensors(places, device=torch.device("cpu"), dtype=torch.float32):
        check_finite(tensor, f"weight {file_name} in {path}")
        weights[names[file_name]] = tensor
    return weights


def _spelled_alike(file_names: Iterable[str], path: Path) -> dict[str, str]:
    """Return the name in the file by the name of `layout`; a name that is unknown stands for itself."""
    found: dict[str, str] = {}
    for file_name in file_names:
        name = file_name
        for old, new in _SPELLINGS.items():
            if file_name.endswith(f".{old}"):
                name = file_name.removesuffix(old) + new
        if name in found:
            raise CheckpointError(
                f"{path}: holds one tensor twice, as {found[name]} and as {file_name}"
            )
        found[name] = file_name
    return found


def _is_unused(name: str) -> bool:
    prefix = "quantizer.rvq_rest.vq.layers."
    return (
        name.startswith(prefix)
        and int(name.removeprefix(prefix).split(".")[0]) >= NUM_CODEBOOKS - NUM_SEMANTIC
    )


def to_transformers(weights: dict[str, Tensor], dims: MimiDims) -> dict[str, Tensor]:
    """Return the same weights as a state of transformers' MimiModel (5.x)."""
    state: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        target = _transformers_name(name)
        if not target.endswith("in_projs.0.weight"):
            state[target] = tensor
            continue
        query, key, value = tensor.chunk(3)
        attention = target.removesuffix("in_projs.0.weight")
        state[f"{attention}q_proj.weight"] = _half_split(query, dims.transformer.num_heads)
        state[f"{attention}k_proj.weight"] = _half_split(key, dims.transformer.num_heads)
        state[f"{attention}v_proj.weight"] = value
    return state


def _half_split(weight: Tensor, num_heads: int) -> Tensor:
    """Reorder the rows of each head: moshi rotates neighbours, transformers rotates one half against the other."""
    num_rows, width = weight.shape
    pairs = weight.view(num_heads, num_rows // num_heads // 2, 2, width)
    return pairs.transpose(1, 2).reshape(num_rows, width)


_BEGINNINGS = {
    "encoder.model.": "encoder.encoder_seanet.layers.",
    "decoder.model.": "decoder.decoder_seanet.layers.",
    "encoder_transformer.transformer.": "encoder.encoder_transformer.",
    "decoder_transformer.transformer.": "decoder.decoder_transformer.",
    "downsample.": "encoder.downsample.",
    "upsample.": "decoder.upsample.",
    "quantizer.rvq_first.": "quantizer.semantic_residual_vector_quantizer.",
    "quantizer.rvq_rest.": "quantizer.acoustic_residual_vector_quantizer.",
}
_PARTS = {
    ".conv.conv.conv.": ".conv.",
    ".conv.conv.": ".conv.",
    ".convtr.convtr.convtr.": ".conv.",
    ".convtr.convtr.": ".conv.",
    ".out_projs.0.": ".o_proj.",
    ".linear1.": ".mlp.fc1.",
    ".linear2.": ".mlp.fc2.",
    ".norm1.": ".input_layernorm.",
    ".norm2.": ".post_attention_layernorm.",
    ".layer_scale_1.": ".self_attn_layer_scale.",
    ".layer_scale_2.": ".mlp_layer_scale.",
    ".vq.": ".",
    "._codebook.": ".codebook.",
    "._initialized": ".initialized",
    ".embedding_sum": ".embed_sum",
}


def _transformers_name(name: str) -> str:
    for old, new in _BEGINNINGS.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    for old, new in _PARTS.items():
        name = name.replace(old, new)
    return name


def random_weights(dims: MimiDims, seed: int) -> dict[str, Tensor]:
    """Return random weights of these sizes in the names of `layout`, the same for the same seed.

    Scaled so that sound and latents keep their size through every layer: decoded codes are noise with an RMS
    of about 0.1, and encoded sound uses all codebooks.
    """
    generator = torch.Generator().manual_seed(seed)
    last = [name for name in layout(dims) if name.startswith("decoder.model.")][-2]
    weights: dict[str, Tensor] = {}
    for name, shape in layout(dims).items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("._initialized"):
            weights[name] = torch.ones(shape)
        elif name.endswith(".cluster_usage"):
            weights[name] = 1.0 + noise.abs()
        elif name.endswith(".embedding_sum"):
            usage = weights[name.replace("embedding_sum", "cluster_usage")]
            weights[name] = CODE_SIZE * noise * usage[:, None]
        elif name.endswith(".scale"):
            weights[name] = LAYER_SCALE * (1.0 + 0.1 * noise)
        elif name.endswith((".norm1.weight", ".norm2.weight")):
            weights[name] = 1.0 + 0.1 * noise
        elif name.endswith(".bias"):
            weights[name] = 0.02 * noise
        else:
            gain = OUTPUT_GAIN if name == last else _gain(name)
            weights[name] = gain / math.sqrt(_fan_in(name, shape)) * noise
    return weights


CODE_SIZE = 0.35  # Eight codes add up to latents of size 1.
LAYER_SCALE = 0.2  # Trained ones begin at 0.01; at this size attention shows in the sound.
ELU_GAIN = 1.25  # What an ELU takes from noise of size 1.
BRANCH_GAIN = 0.5  # Of residual branches, so that their sum does not grow.
OUTPUT_GAIN = 0.12  # Brings the last convolution's sound to an RMS of about 0.1.


def _gain(name: str) -> float:
    if ".block." in name:
        return ELU_GAIN if ".block.1." in name else BRANCH_GAIN
    return ELU_GAIN if name.startswith(("encoder.model.", "decoder.model.")) else 1.0


def _fan_in(name: str, shape: Shape) -> int:
    if ".convtr." not in name:
        return math.prod(shape[1:])
    return (
        2 if name.startswith("upsample.") else 2 * shape[0]
    )  # A step gets two taps of each of its inputs.
