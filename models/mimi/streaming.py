"""Mimi frame by frame: what each layer must remember, and the encoder and decoder made of them.

transformers computes Mimi on whole sound only: its decoder has no state for its convolutions. Here each layer of its
MimiModel gets the state that makes pieces equal the whole: a convolution keeps the end of its input, a transposed
convolution the part of its output that the next piece adds to, attention a ring of keys and values.

We stream exactly as the published decoder streams, and that is not quite how it decodes a whole. Its ring holds
`context` steps (250), and a frame brings two at once: when the ring is full, the second overwrites the oldest step,
which the first one's window still reached. So the first step of a frame looks back `context - 1` steps and the second
`context`, where the whole gives both `context`. From the 126th frame on sound therefore differs from the whole's (measured
with random weights of the published sizes: by 2e-3, at an RMS of 0.12), and so may codes; it is what the published
model is heard with. Checked against moshi as it ships in liquid-audio 1.3.0 over 160 frames: 5e-7, all codes equal.
"""

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audio.errors import AudioError, FormatError
from models.errors import RangeError
from models.mimi.dims import FRAME_SAMPLES, NUM_CODEBOOKS


class _Layer(Protocol):
    """One layer of a stream: `push` maps (1, channels, steps) to the steps that follow those returned before."""

    def push(self, x: Tensor) -> Tensor: ...

    def reset(self) -> None: ...


class _Stateless:
    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def push(self, x: Tensor) -> Tensor:
        y: Tensor = self._module(x)
        return y

    def reset(self) -> None:
        pass


class _Convolution:
    """A causal convolution; pieces are a multiple of its stride long."""

    def __init__(self, conv: nn.Conv1d, *, pad_mode: str) -> None:
        self._conv = conv
        self._pad_mode = (
            pad_mode  # What stands before the first piece: zeros, or its first step repeated.
        )
        self._num_kept = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1 - conv.stride[0]
        self._tail: Tensor | None = (
            None  # The last `num_kept` steps of the input; None before the first piece.
        )

    def push(self, x: Tensor) -> Tensor:
        if self._num_kept == 0:
            return functional.conv1d(x, self._conv.weight, self._conv.bias, self._conv.stride)
        if self._tail is None:
            first = x[..., :1].expand(-1, -1, self._num_kept)
            self._tail = first if self._pad_mode == "replicate" else torch.zeros_like(first)
        x = torch.cat((self._tail, x), dim=-1)
        self._tail = x[..., -self._num_kept :].clone()
        return functional.conv1d(
            x, self._conv.weight, self._conv.bias, self._conv.stride, dilation=self._conv.dilation
        )

    def reset(self) -> None:
        self._tail = None


class _TransposedConvolution:
    """A transposed convolution whose kernel is longer than its stride, so that neighbouring pieces overlap."""

    def __init__(self, conv: nn.ConvTranspose1d) -> None:
        self._conv = conv
        self._num_kept = conv.kernel_size[0] - conv.stride[0]
        self._overlap: Tensor | None = (
            None  # What the last piece adds to the next, without bias; None before the first.
        )

    def push(self, x: Tensor) -> Tensor:
        conv = self._conv
        y = functional.conv_transpose1d(x, conv.weight, None, conv.stride, groups=conv.groups)
        if self._overlap is not None:
            y[..., : self._num_kept] += self._overlap
        self._overlap = y[..., -self._num_kept :].clone()
        y = y[..., : -self._num_kept]
        return y if conv.bias is None else y + conv.bias[:, None]

    def reset(self) -> None:
        self._overlap = None


class _Residual:
    def __init__(self, layers: list[_Layer]) -> None:
        self._layers = layers

    def push(self, x: Tensor) -> Tensor:
        return x + _push_through(self._layers, x)

    def reset(self) -> None:
        for layer in self._layers:
            layer.reset()


class _Ring:
    """The newest `capacity` keys and values of one attention layer; the oldest are overwritten.

    Stands where transformers' layers expect a cache: `update` is its one method that they call.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pair: Tensor | None = (
            None  # (2, 1, heads, capacity, head dimension), made when the first step comes.
        )
        self._num_seen = 0

    def update(self, keys: Tensor, values: Tensor, layer_index: int) -> tuple[Tensor, Tensor]:  # noqa: ARG002 (one ring a layer)
        num_new = keys.shape[2]
        if self._pair is None:
            _, num_heads, _, head_dim = keys.shape
            self._pair = keys.new_zeros(2, 1, num_heads, self._capacity, head_dim)
        slots = (
            torch.arange(self._num_seen, self._num_seen + num_new, device=keys.device)
            % self._capacity
        )
        self._pair.index_copy_(3, slots, torch.stack((keys, values)))
        self._num_seen += num_new
        filled = self._pair[:, :, :, : min(self._num_seen, self._capacity)]
        return filled[0], filled[1]

    def reset(self) -> None:
        self._num_seen = 0


class _Transformer:
    """One of Mimi's two transformers; pieces are at most `context` steps long."""

    def __init__(self, transformer: Any, *, context: int) -> None:
        self._transformer = transformer
        self._context = context
        self._rings = [_Ring(context) for _ in transformer.layers]
        self._num_seen = 0  # Steps since the start of the stream.

    def push(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        num_new = x.shape[1]
        positions = torch.arange(self._num_seen, self._num_seen + num_new, device=x.device)
        rotations = self._transformer.rotary_emb(x, positions[None])
        self._num_seen += num_new
        mask = self._mask(positions)
        for layer, ring in zip(self._transformer.layers, self._rings, strict=True):
            x = layer(x, attention_mask=mask, past_key_values=ring, position_embeddings=rotations)
        return x.transpose(1, 2)

    def _mask(self, positions: Tensor) -> Tensor:
        """Return (1, 1, new steps, filled slots), true where a step may look: everywhere but at its successors."""
        num_filled = min(self._num_seen, self._context)
        newest_in_slot = torch.full((num_filled,), -1, device=positions.device)
        newest_in_slot[positions % self._context] = positions
        return (newest_in_slot[None] <= positions[:, None])[None, None]

    def reset(self) -> None:
        self._num_seen = 0
        for ring in self._rings:
            ring.reset()


def _layers_of(modules: Iterable[nn.Module]) -> list[_Layer]:
    return [_layer_of(module) for module in modules]


def _layer_of(module: Any) -> _Layer:
    if isinstance(module, nn.ELU):
        return _Stateless(module)
    if hasattr(module, "block"):
        return _Residual(_layers_of(module.block))
    if isinstance(module.conv, nn.ConvTranspose1d):
        return _TransposedConvolution(module.conv)
    return _Convolution(module.conv, pad_mode=module.pad_mode)


def _push_through(layers: Iterable[_Layer], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer.push(x)
    return x


class MimiStreamEncoder:
    """Turns sound into codes frame by frame, each frame with the sound before it in mind; made by `Mimi.encoder`.

    The sound before the first frame counts as silence. Codes equal those of the whole up to the 125th frame;
    afterwards the window of attention is the published stream's, as the text of this module says.
    """

    def __init__(self, model: Any, *, context: int) -> None:
        self._quantizer = model.quantizer
        self._device: torch.device = model.device
        self._layers: list[_Layer] = [
            *_layers_of(model.encoder.encoder_seanet.layers),
            _Transformer(model.encoder.encoder_transformer, context=context),
            _layer_of(model.encoder.downsample),
        ]

    @torch.inference_mode()
    def push(self, samples: Tensor) -> Tensor:
        """Return the codes of the next 80 ms.

        Args:
            samples: float32 at 24 kHz, shape (1920,), nominally in [-1, 1].

        Returns:
            int64, shape (8,), on the codec's device.

        Raises:
            RangeError: another number of samples.
            FormatError: not one dimension of float32.
            AudioError: a sample is NaN or infinite. After any of the three the encoder is as before and can go on.
        """
        check_samples(samples)
        if samples.shape[0] != FRAME_SAMPLES:
            raise RangeError(
                f"{samples.shape[0]} samples: expected a frame of {FRAME_SAMPLES}; "
                "collect them before push, or encode the whole at once"
            )
        latents = _push_through(self._layers, samples.to(self._device)[None, None])
        codes: Tensor = self._quantizer.encode(latents, NUM_CODEBOOKS)  # (8, 1, 1)
        return codes[:, 0, 0]

    def reset(self) -> None:
        """Forget all sound: the next frame begins a new stream."""
        for layer in self._layers:
            layer.reset()


class MimiStreamDecoder:
    """Turns codes into sound frame by frame, as the published decoder streams; made by `Mimi.decoder`.

    A `FrameDecoder`. It holds nothing back: each frame gives its 1920 samples at once. What it equals, and what not, is
    said in the text of this module. State: about 8 MB at the published sizes.
    """

    def __init__(self, model: Any, *, context: int, bins: int) -> None:
        self._quantizer = model.quantizer
        self._device: torch.device = model.device
        self._bins = bins
        self._layers: list[_Layer] = [
            _layer_of(model.decoder.upsample),
            _Transformer(model.decoder.decoder_transformer, context=context),
            *_layers_of(model.decoder.decoder_seanet.layers),
        ]

    @torch.inference_mode()
    def push(self, codes: Sequence[int]) -> NDArray[np.float32]:
        """Return the 1920 samples of the frame with these 8 codes; see `FrameDecoder.push`."""
        frame = [index(code) for code in codes]
        _check_frame(frame, self._bins)
        latents = self._quantizer.decode(torch.tensor(frame, device=self._device)[None, :, None])
        samples: NDArray[np.float32] = _push_through(self._layers, latents)[0, 0].cpu().numpy()
        return samples

    def flush(self) -> NDArray[np.float32]:
        """Return no samples, since none are held back; afterwards the decoder is as new."""
        self.reset()
        return np.zeros(0, dtype=np.float32)

    def reset(self) -> None:
        """Forget all frames: the next one begins a new stream."""
        for layer in self._layers:
            layer.reset()


def check_samples(samples: Tensor) -> None:
    """Raise FormatError unless `samples` is one dimension of float32, AudioError unless all of it is finite."""
    if samples.ndim != 1 or samples.dtype != torch.float32:
        raise FormatError(
            f"samples of shape {tuple(samples.shape)} and type {samples.dtype}: "
            "expected one dimension of float32 at 24000 Hz"
        )
    if not bool(torch.isfinite(samples).all()):
        num_bad = int((~torch.isfinite(samples)).sum())
        raise AudioError(
            f"{num_bad} of {len(samples)} samples are NaN or infinite; expected finite numbers"
        )


def _check_frame(codes: list[int], bins: int) -> None:
    if len(codes) != NUM_CODEBOOKS:
        raise RangeError(f"a frame of {len(codes)} codes: expected {NUM_CODEBOOKS}, one a codebook")
    for codebook, code in enumerate(codes):
        if not 0 <= code < bins:
            raise RangeError(
                f"code {code} of codebook {codebook}: expected 0 to {bins - 1}; "
                "the frame that ends the audio is not decoded"
            )


def check_codes(codes: Tensor, bins: int) -> None:
    """Raise RangeError unless `codes` is (8, frames) of whole numbers in 0 … `bins` - 1."""
    if codes.ndim != 2 or codes.shape[0] != NUM_CODEBOOKS or codes.dtype != torch.int64:
        raise RangeError(
            f"codes of shape {tuple(codes.shape)} and type {codes.dtype}: expected int64, {NUM_CODEBOOKS} codes a frame"
        )
    outside = (codes < 0) | (codes >= bins)
    if bool(outside.any()):
        codebook, frame = (int(place) for place in outside.nonzero()[0])
        raise RangeError(
            f"code {int(codes[codebook, frame])} of codebook {codebook} in frame {frame}: expected 0 to {bins - 1}; "
            "the frame that ends the audio is not decoded"
        )
