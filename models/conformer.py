"""FastConformer: the encoder that LFM2-Audio hears with.

Names of parameters are those of NeMo's checkpoints. One utterance at a time, so nothing is padded and nothing masked.
Source: Rekesh et al. 2023, https://arxiv.org/abs/2305.05084; relative positions after Dai et al. 2019,
https://arxiv.org/abs/1901.02860, section 3.3.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITION_BASE = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformerConfig:
    """The FastConformer."""

    feat_in: int
    n_layers: int
    d_model: int
    n_heads: int
    subsampling_conv_channels: int
    subsampling_factor: int = 8
    ff_expansion_factor: int = 4
    conv_kernel_size: int = 9
    xscaling: bool = False
    feat_out: Literal[-1] = -1
    subsampling: Literal["dw_striding"] = "dw_striding"
    causal_downsampling: Literal[False] = False
    reduction: None = None
    reduction_position: None = None
    reduction_factor: Literal[1] = 1
    self_attention_model: Literal["rel_pos"] = "rel_pos"
    att_context_size: tuple[int, int] = (-1, -1)
    untie_biases: Literal[True] = True
    conv_norm_type: Literal["batch_norm"] = "batch_norm"
    conv_context_size: None = None
    pos_emb_max_len: int = 5000  # The table grows with the input, so this bounds nothing.
    dropout: float = 0.0  # Training only, as the next three.
    dropout_pre_encoder: float = 0.0
    dropout_emb: float = 0.0
    dropout_att: float = 0.0


class Conformer(nn.Module):
    """Encodes log-mel features, eight frames into one."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.d_model = config.d_model
        self.scale = math.sqrt(config.d_model) if config.xscaling else 1.0
        self.pre_encode = Subsampling(config)
        self.layers = nn.ModuleList(ConformerLayer(config) for _ in range(config.n_layers))

    def forward(self, mel: Tensor) -> Tensor:
        """Return the encoding, shape (1, ceil(T / subsampling_factor), d_model), of features (1, feat_in, T)."""
        x = self.pre_encode(mel) * self.scale
        positions = relative_positions(x.shape[1], self.d_model, x.device).to(x.dtype)
        for layer in self.layers:
            x = layer(x, positions)
        return x


class Subsampling(nn.Module):
    """Strided convolutions over time and frequency: one full, then depthwise and pointwise in pairs."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        channels = config.subsampling_conv_channels
        layers: list[nn.Module] = [nn.Conv2d(1, channels, 3, stride=2, padding=1), nn.ReLU()]
        num_features = (config.feat_in + 1) // 2
        for _ in range(int(math.log2(config.subsampling_factor)) - 1):
            layers += [
                nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels),
                nn.Conv2d(channels, channels, 1),
                nn.ReLU(),
            ]
            num_features = (num_features + 1) // 2
        self.conv = nn.Sequential(*layers)
        self.out = nn.Linear(channels * num_features, config.d_model)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv(mel.mT.unsqueeze(1))  # (1, channels, T', features')
        return self.out(x.transpose(1, 2).flatten(2))


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.norm_feed_forward1 = nn.LayerNorm(d_model)
        self.feed_forward1 = FeedForward(d_model, config.ff_expansion_factor)
        self.norm_self_att = nn.LayerNorm(d_model)
        self.self_attn = RelativeAttention(d_model, config.n_heads)
        self.norm_conv = nn.LayerNorm(d_model)
        self.conv = ConvolutionModule(d_model, config.conv_kernel_size)
        self.norm_feed_forward2 = nn.LayerNorm(d_model)
        self.feed_forward2 = FeedForward(d_model, config.ff_expansion_factor)
        self.norm_out = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        x = x + 0.5 * self.feed_forward1(self.norm_feed_forward1(x))
        x = x + self.self_attn(self.norm_self_att(x), positions)
        x = x + self.conv(self.norm_conv(x))
        x = x + 0.5 * self.feed_forward2(self.norm_feed_forward2(x))
        return self.norm_out(x)


class FeedForward(nn.Module):
    def __init__(self, d_model: int, expansion: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_model * expansion)
        self.linear2 = nn.Linear(d_model * expansion, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(functional.silu(self.linear1(x)))


class ConvolutionModule(nn.Module):
    def __init__(self, d_model: int, kernel_size: int) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(d_model, 2 * d_model, 1)
        self.depthwise_conv = nn.Conv1d(
            d_model, d_model, kernel_size, padding=kernel_size // 2, groups=d_model
        )
        self.batch_norm = nn.BatchNorm1d(d_model)
        self.pointwise_conv2 = nn.Conv1d(d_model, d_model, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.pointwise_conv1(x.mT), dim=1)
        x = functional.silu(self.batch_norm(self.depthwise_conv(x)))
        return self.pointwise_conv2(x).mT


class RelativeAttention(nn.Module):
    """Multi-head attention over the whole utterance with relative positions and biases of each layer's own."""

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, d_model // num_heads
        self.linear_q = nn.Linear(d_model, d_model)
        self.linear_k = nn.Linear(d_model, d_model)
        self.linear_v = nn.Linear(d_model, d_model)
        self.linear_out = nn.Linear(d_model, d_model)
        self.linear_pos = nn.Linear(d_model, d_model, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(num_heads, self.head_dim))
        self.pos_bias_v = nn.Parameter(torch.zeros(num_heads, self.head_dim))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        q = self._split(self.linear_q(x))  # (B, heads, T, head_dim)
        k, v = self._split(self.linear_k(x)), self._split(self.linear_v(x))
        p = self._split(self.linear_pos(positions))  # (1, heads, 2T - 1, head_dim)
        by_content = q + self.pos_bias_u.unsqueeze(1)
        by_position = align_relative((q + self.pos_bias_v.unsqueeze(1)) @ p.mT)  # (B, heads, T, T)
        attended = functional.scaled_dot_product_attention(
            by_content, k, v, attn_mask=by_position * self.head_dim**-0.5
        )
        return self.linear_out(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)


def relative_positions(length: int, d_model: int, device: torch.device) -> Tensor:
    """Return sinusoids of the distances length - 1 … -(length - 1), shape (1, 2 * length - 1, d_model), float32."""
    distances = torch.arange(length - 1, -length, -1, device=device, dtype=torch.float32)
    rates = torch.exp(
        torch.arange(0, d_model, 2, device=device, dtype=torch.float32)
        * -(math.log(POSITION_BASE) / d_model)
    )
    angles = distances[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).unsqueeze(0)


def align_relative(scores: Tensor) -> Tensor:
    """Return scores by key, shape (B, heads, T, T), from scores by distance, (B, heads, T, 2T - 1).

    Query i finds the distance to key j in column T - 1 - i + j, so each row is the one above it moved by one: a view.
    """
    batch, heads, length, num_distances = scores.shape
    scores = scores.contiguous()
    return scores.as_strided(
        (batch, heads, length, length),
        (heads * length * num_distances, length * num_distances, num_distances - 1, 1),
        scores.storage_offset() + length - 1,
    )
