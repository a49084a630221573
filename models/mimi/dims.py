"""The sizes of a Mimi codec.

The defaults are the published ones. Source: moshi's `models/loaders.py` as it ships in the package liquid-audio 1.3.0;
the file of weights carries no sizes of its own.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from models.config import parse_section
from models.errors import CheckpointError
from models.folder import read_json

# Beside the weights, only where their sizes are not the published ones.
DIMS_FILE = "mimi_dims.json"

SAMPLE_RATE_HZ = 24_000
FRAME_SAMPLES = 1920
NUM_CODEBOOKS = 8  # Of those in the file, the first 8 are what LFM2-Audio speaks.
STEPS_PER_FRAME = 2  # The transformers run at 25 steps a second, the codes at 12.5 frames.

MAX_COUNT = 256  # Of layers, codebooks and the like in a file that is believed.
MAX_SIZE = 65_536  # Of one dimension in a file that is believed.


@dataclass(frozen=True, slots=True, kw_only=True)
class SeanetDims:
    """The convolutions between sound and latents; the encoder mirrors the decoder."""

    channels: Literal[1] = 1
    dimension: int = 512
    causal: Literal[True] = True
    n_filters: int = 64
    n_residual_layers: int = 1
    activation: Literal["ELU"] = "ELU"
    compress: int = 2
    dilation_base: int = 2
    disable_norm_outer_blocks: Literal[0] = 0
    kernel_size: int = 7
    residual_kernel_size: int = 3
    last_kernel_size: int = 3
    norm: Literal["none"] = "none"
    pad_mode: Literal["constant"] = "constant"
    ratios: tuple[int, ...] = (8, 6, 5, 4)
    true_skip: Literal[True] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizerDims:
    """The codebooks: the first one semantic, the others its acoustic residue."""

    dimension: int = 256
    n_q: int = 32
    bins: int = 2048
    input_dimension: int = 512
    output_dimension: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerDims:
    """The two transformers, one in the encoder, one in the decoder."""

    d_model: int = 512
    num_heads: int = 8
    num_layers: int = 8
    causal: Literal[True] = True
    layer_scale: float = 0.01
    context: int = 250
    conv_layout: Literal[True] = True
    max_period: int = 10_000
    gating: Literal["none"] = "none"
    norm: Literal["layer_norm"] = "layer_norm"
    positional_embedding: Literal["rope"] = "rope"
    dim_feedforward: int = 2048
    input_dimension: int = 512
    output_dimensions: tuple[int, ...] = (512,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MimiDims:
    """All sizes of a Mimi codec, the published ones by default; names and values as moshi has them."""

    seanet: SeanetDims = SeanetDims()
    quantizer: QuantizerDims = QuantizerDims()
    transformer: TransformerDims = TransformerDims()

    @classmethod
    def from_json(cls, path: Path) -> "MimiDims":
        """Return the sizes in `path`; a key that it lacks has its published value.

        Raises:
            CheckpointError: the file is missing or not JSON, or asks for something that this codec does not compute.
        """
        dims = parse_section(cls, read_json(path), str(path), sections=_SECTIONS)
        _check(dims, str(path))
        return dims

    @classmethod
    def of_folder(cls, folder: Path) -> "MimiDims":
        """Return the sizes of the Mimi in `folder`: those of its DIMS_FILE, or the published ones without it."""
        path = folder / DIMS_FILE
        return cls.from_json(path) if path.exists() else cls()

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"


def _check(dims: MimiDims, where: str) -> None:
    # One after the other: what the second computes is bounded by what the first lets through.
    for complaint in chain(_too_large(dims), _unlike_mimi(dims)):
        raise CheckpointError(f"{where}: {complaint}")


def _too_large(dims: MimiDims) -> Iterator[str]:
    counts = {
        "seanet.n_residual_layers": dims.seanet.n_residual_layers,
        "the number of seanet.ratios": len(dims.seanet.ratios),
        "quantizer.n_q": dims.quantizer.n_q,
        "transformer.num_layers": dims.transformer.num_layers,
    }
    for name, count in counts.items():
        if count > MAX_COUNT:
            yield f"{name} is {count}: expected {MAX_COUNT} at most"
    for section in (dims.seanet, dims.quantizer, dims.transformer):
        for name, size in asdict(section).items():
            if type(size) is int and size > MAX_SIZE:
                yield f"{name} is {size}: expected {MAX_SIZE} at most"


def _unlike_mimi(dims: MimiDims) -> Iterator[str]:
    seanet, quantizer, transformer = dims.seanet, dims.quantizer, dims.transformer
    widths = {
        seanet.dimension,
        quantizer.input_dimension,
        quantizer.output_dimension,
        transformer.d_model,
        transformer.input_dimension,
        *transformer.output_dimensions,
    }
    if len(widths) != 1 or len(transformer.output_dimensions) != 1:
        yield (
            f"latents of {sorted(widths)} dimensions: expected one for seanet.dimension, transformer.d_model, "
            "and all of input_dimension, output_dimension and output_dimensions"
        )
    if math.prod(seanet.ratios) * STEPS_PER_FRAME != FRAME_SAMPLES:
        yield (
            f"seanet.ratios are {list(seanet.ratios)}: expected a product of "
            f"{FRAME_SAMPLES // STEPS_PER_FRAME}, for frames of {FRAME_SAMPLES} samples"
        )
    if seanet.n_filters % seanet.compress:
        yield f"seanet.n_filters is {seanet.n_filters}: expected a multiple of {seanet.compress}"
    if seanet.dilation_base ** (seanet.n_residual_layers - 1) > MAX_SIZE:
        yield f"seanet.dilation_base is {seanet.dilation_base}: too wide for the residual layers"
    if quantizer.n_q < NUM_CODEBOOKS:
        yield f"quantizer.n_q is {quantizer.n_q}: expected {NUM_CODEBOOKS} or more"
    if quantizer.bins & (quantizer.bins - 1):
        yield f"quantizer.bins is {quantizer.bins}: expected a power of 2"
    if quantizer.dimension == seanet.dimension:
        yield f"quantizer.dimension is {quantizer.dimension}: expected another than seanet's"
    if transformer.d_model % (2 * transformer.num_heads):
        yield (
            f"transformer.num_heads is {transformer.num_heads}: "
            f"expected twice its value to divide transformer.d_model, {transformer.d_model}"
        )
    if transformer.context < STEPS_PER_FRAME:
        yield f"transformer.context is {transformer.context}: expected {STEPS_PER_FRAME} or more"


def _tuple_of_whole_numbers(value: Any, where: str) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or not value
        or not all(type(item) is int and item > 0 for item in value)
    ):
        raise CheckpointError(f"{where} is {value!r}: expected a list of whole numbers above 0")
    return tuple(value)


def _seanet(values: Mapping[str, Any], where: str) -> SeanetDims:
    return parse_section(SeanetDims, values, where, sections={"ratios": _tuple_of_whole_numbers})


def _quantizer(values: Mapping[str, Any], where: str) -> QuantizerDims:
    return parse_section(QuantizerDims, values, where)


def _transformer(values: Mapping[str, Any], where: str) -> TransformerDims:
    return parse_section(
        TransformerDims, values, where, sections={"output_dimensions": _tuple_of_whole_numbers}
    )


_SECTIONS = {"seanet": _seanet, "quantizer": _quantizer, "transformer": _transformer}
