"""The Mimi codec: loading it, and encoding and decoding sound as a whole."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoint import check_finite
from models.mimi.dims import FRAME_SAMPLES, NUM_CODEBOOKS, SAMPLE_RATE_HZ, MimiDims
from models.mimi.streaming import MimiStreamDecoder, MimiStreamEncoder, check_codes, check_samples
from models.mimi.weights import WEIGHTS_FILE, read_weights, to_transformers


class Mimi:
    """A loaded codec: transformers' MimiModel in float32 with the weights of moshi's file.

    Float32 always: the nearest of 2048 codes is decided by differences that bfloat16 does not hold. The weights are
    never written to; any number of streams may share one codec.
    """

    sample_rate_hz = SAMPLE_RATE_HZ
    frame_samples = FRAME_SAMPLES
    num_codebooks = NUM_CODEBOOKS

    def __init__(self, model: Any, dims: MimiDims) -> None:
        self.dims = dims
        self._model = model
        self._device: torch.device = model.device

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> "Mimi":
        """Return the codec in `folder`; the file of weights is mapped, not copied, where it lies on a CPU.

        The sizes are those of `mimi_dims.json` beside the weights, or the published ones without it.

        Raises:
            CheckpointError: a file is missing, truncated or of another model; the message names the tensor.
            NonFiniteError: a weight is NaN or infinite; the message names the tensor.
        """
        dims = MimiDims.of_folder(folder)
        weights = read_weights(folder / WEIGHTS_FILE, dims)
        model = _on_meta_device(dims)
        model.load_state_dict(to_transformers(weights, dims), assign=True)
        _make_buffers(model, dims)
        model.requires_grad_(False).eval().to(device)
        with torch.inference_mode():
            _make_code_tables(model)
        return cls(model, dims)

    @torch.inference_mode()
    def encode(self, samples: Tensor) -> Tensor:
        """Return the codes of a whole sound.

        Zeros are added at its end to fill the last frame, as the published implementation does: n samples give
        ceil(n / 1920) frames, none give none. Memory grows with the square of the length; from minutes on, stream.

        Args:
            samples: float32 at 24 kHz, shape (n,), nominally in [-1, 1].

        Returns:
            int64, shape (8, frames), on the codec's device.

        Raises:
            FormatError: not one dimension of float32.
            AudioError: a sample is NaN or infinite.
        """
        check_samples(samples)
        num_frames = math.ceil(len(samples) / FRAME_SAMPLES)
        if num_frames == 0:
            return torch.empty((NUM_CODEBOOKS, 0), dtype=torch.int64, device=self._device)
        padded = functional.pad(
            samples.to(self._device), (0, num_frames * FRAME_SAMPLES - len(samples))
        )
        codes: Tensor = self._model.encode(
            padded[None, None], num_quantizers=NUM_CODEBOOKS
        ).audio_codes
        return codes[0]

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the sound of a whole sequence of codes, as the published implementation decodes a whole.

        Memory grows with the square of the length; from minutes on, stream. A stream's sound differs a little from
        this after 10 s: see `models.mimi.streaming`.

        Args:
            codes: int64, shape (8, frames), each in 0 … 2047.

        Returns:
            float32 at 24 kHz, shape (frames * 1920,), about [-1, 1], on the codec's device.

        Raises:
            RangeError: another shape or type, or a code outside its codebook.
        """
        check_codes(codes, self.dims.quantizer.bins)
        if codes.shape[1] == 0:
            return torch.empty(0, device=self._device)
        samples: Tensor = self._model.decode(codes.to(self._device)[None]).audio_values
        return samples[0, 0]

    def encoder(self) -> MimiStreamEncoder:
        """Return a fresh streaming encoder."""
        return MimiStreamEncoder(self._model, context=self.dims.transformer.context)

    def decoder(self) -> MimiStreamDecoder:
        """Return a fresh streaming decoder."""
        return MimiStreamDecoder(
            self._model, context=self.dims.transformer.context, bins=self.dims.quantizer.bins
        )


def _on_meta_device(dims: MimiDims) -> Any:
    """Return a MimiModel of these sizes without storage, so that no time goes into random numbers to be replaced."""
    from transformers import (
        MimiConfig,
        MimiModel,
    )  # Takes seconds, which only those who load a model should pay.

    seanet, quantizer, transformer = dims.seanet, dims.quantizer, dims.transformer
    config = MimiConfig(
        sampling_rate=SAMPLE_RATE_HZ,
        audio_channels=seanet.channels,
        hidden_size=seanet.dimension,
        num_filters=seanet.n_filters,
        num_residual_layers=seanet.n_residual_layers,
        upsampling_ratios=list(seanet.ratios),
        kernel_size=seanet.kernel_size,
        last_kernel_size=seanet.last_kernel_size,
        residual_kernel_size=seanet.residual_kernel_size,
        dilation_growth_rate=seanet.dilation_base,
        compress=seanet.compress,
        codebook_size=quantizer.bins,
        codebook_dim=quantizer.dimension,
        vector_quantization_hidden_dimension=quantizer.dimension,
        num_quantizers=NUM_CODEBOOKS,
        upsample_groups=seanet.dimension,
        num_hidden_layers=transformer.num_layers,
        intermediate_size=transformer.dim_feedforward,
        num_attention_heads=transformer.num_heads,
        num_key_value_heads=transformer.num_heads,
        rope_parameters={"rope_type": "default", "rope_theta": float(transformer.max_period)},
        sliding_window=transformer.context,
        norm_eps=1e-5,
        attn_implementation="sdpa",  # type: ignore[call-arg]  # Taken by every configuration's base; masks here are its.
    )
    with torch.device("meta"):
        return MimiModel(config)


def _make_buffers(model: nn.Module, dims: MimiDims) -> None:
    """Compute the buffers that no file holds, which the meta device left without values."""
    for module in model.modules():
        if hasattr(module, "padding_total"):
            conv = module.conv
            assert isinstance(conv, nn.Conv1d)
            span = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1
            for name, value in (
                ("stride", conv.stride[0]),
                ("kernel_size", span),
                ("padding_total", span - conv.stride[0]),
            ):
                module.register_buffer(name, torch.tensor(value), persistent=False)
        elif hasattr(module, "original_inv_freq"):
            for name in ("inv_freq", "original_inv_freq"):
                module.register_buffer(name, _rotary_frequencies(dims), persistent=False)
    empty = [
        name
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if tensor.is_meta
    ]
    assert not empty, (
        f"buffers without values: {empty}; this transformers is newer than what was tried"
    )


def _rotary_frequencies(dims: MimiDims) -> Tensor:
    """Return moshi's frequencies with its rounding, which grows with the position into other angles."""
    head_dim = dims.transformer.d_model // dims.transformer.num_heads
    steps = torch.arange(head_dim // 2, dtype=torch.float32)
    return torch.exp(steps * (-math.log(dims.transformer.max_period) * 2 / head_dim))


def _make_code_tables(model: Any) -> None:
    """Divide the codebooks' sums by their counts now, which transformers would do when a code is first looked up."""
    quantizer = model.quantizer
    for side in (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    ):
        for layer in side.layers:
            check_finite(
                layer.codebook.embed, "a codebook of Mimi, its sums divided by their counts"
            )
