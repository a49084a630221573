"""The depthformer: turns one backbone state into the codes of one audio frame, one codebook after the other.

Names of parameters are those of the published checkpoints.
Source: the package liquid-audio 1.3.0, model/transformer.py; golden `depth.*`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROPE_THETA = 1_000_000.0
NORM_EPS = 1e-5
FEED_FORWARD_MULTIPLE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthformerConfig:
    """The depthformer's sizes."""

    layers: int
    dim: int
    tie: bool  # The output projection of each codebook is its embedding.
    num_heads: int = 32  # The published code fixes these two.
    num_kv_heads: int = 8


class RmsNorm(nn.Module):
    """Root-mean-square norm, computed in float32 up to and with its weight."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (
            wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + NORM_EPS) * self.weight
        ).to(x.dtype)


class CodeEmbedding(nn.Module):
    """A codebook's embedding, and its norm and projection back to logits."""

    def __init__(self, num_codes: int, dim: int, *, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_codes, dim)
        self.embedding_norm = RmsNorm(dim)
        self.to_logits = None if tied else nn.Linear(dim, num_codes, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        return self.embedding(codes)

    def logits(self, x: Tensor) -> Tensor:
        weight = self.embedding.weight if self.to_logits is None else self.to_logits.weight
        return functional.linear(self.embedding_norm(x), weight)


KeyValues = tuple[Tensor, Tensor]


class Depthformer(nn.Module):
    """A causal transformer over the codebooks of a frame."""

    def __init__(self, config: DepthformerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head_dim = config.dim // config.num_heads

    def forward(
        self, x: Tensor, past: list[KeyValues] | None = None
    ) -> tuple[Tensor, list[KeyValues]]:
        """Return outputs and caches of x, shape (B, T, dim), which follows the positions in `past`."""
        start = past[0][0].shape[2] if past else 0
        turns = rotations(start, x.shape[1], self.head_dim, x.device)
        present: list[KeyValues] = []
        for index, layer in enumerate(self.layers):
            x, key_values = layer(x, turns, past[index] if past else None)
            present.append(key_values)
        return x, present


class Block(nn.Module):
    def __init__(self, config: DepthformerConfig) -> None:
        super().__init__()
        self.operator = Attention(config)
        self.feed_forward = GatedFeedForward(config.dim)
        self.operator_norm = RmsNorm(config.dim)
        self.ffn_norm = RmsNorm(config.dim)

    def forward(self, x: Tensor, turns: Tensor, past: KeyValues | None) -> tuple[Tensor, KeyValues]:
        attended, present = self.operator(self.operator_norm(x), turns, past)
        x = x + attended
        return x + self.feed_forward(self.ffn_norm(x)), present


class GatedFeedForward(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = int(2 * 4 * dim / 3)
        hidden = -(hidden // -FEED_FORWARD_MULTIPLE) * FEED_FORWARD_MULTIPLE
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class QueryKeyNorms(nn.Module):
    """The norms of queries and keys; a module of its own because the checkpoint's names have it."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.q_layernorm = RmsNorm(head_dim)
        self.k_layernorm = RmsNorm(head_dim)


class Attention(nn.Module):
    """Grouped-query attention with normed queries and keys, rotated in adjacent pairs."""

    def __init__(self, config: DepthformerConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.dim // config.num_heads
        width = (config.num_heads + 2 * config.num_kv_heads) * self.head_dim
        self.qkv_proj = nn.Linear(config.dim, width, bias=False)
        self.out_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.bounded_attention = QueryKeyNorms(self.head_dim)

    def forward(self, x: Tensor, turns: Tensor, past: KeyValues | None) -> tuple[Tensor, KeyValues]:
        heads = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k, v = heads.split((self.num_heads, self.num_kv_heads, self.num_kv_heads), dim=1)
        q = rotate(self.bounded_attention.q_layernorm(q), turns)
        k = rotate(self.bounded_attention.k_layernorm(k), turns)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        # With a past, positions come one at a time and see all of it.
        attended = functional.scaled_dot_product_attention(
            q, k, v, is_causal=past is None, enable_gqa=True
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2)), (k, v)


def rotations(start: int, length: int, head_dim: int, device: torch.device) -> Tensor:
    """Return unit complex numbers, shape (length, head_dim / 2), that rotate positions from `start` on."""
    rates = ROPE_THETA ** -(
        torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    )
    angles = (
        torch.arange(start, start + length, device=device, dtype=torch.float32)[:, None] * rates
    )
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Return x, shape (…, T, head_dim), with each adjacent pair of values rotated as one complex number."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)
