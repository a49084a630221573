"""The LFM2 backbone: transformers' Lfm2Model, its configuration in every spelling, and caches that can be rolled back."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Lfm2Config, Lfm2Model, PretrainedConfig

from models.config import check_value, refuse_unknown
from models.errors import CheckpointError

# transformers advises a CUDA kernel for the short convolution at each first use; users can do nothing with it.
logging.getLogger("transformers.integrations.hub_kernels").addFilter(
    lambda record: "falling back to its reference" not in record.getMessage()
)

# The spellings of older LFM2 configurations, and what they are called now.
LEGACY_NAMES = {
    "block_dim": "hidden_size",
    "conv_dim": "hidden_size",
    "conv_dim_out": "hidden_size",
    "block_ff_dim": "intermediate_size",
    "block_norm_eps": "norm_eps",
    "num_heads": "num_attention_heads",
    "theta": "rope_theta",
    "tie_embedding": "tie_word_embeddings",
}
BACKBONE_KEYS: dict[str, type] = {
    "vocab_size": int,
    "hidden_size": int,
    "intermediate_size": int,
    "num_hidden_layers": int,
    "num_attention_heads": int,
    "num_key_value_heads": int,
    "max_position_embeddings": int,
    "norm_eps": float,
    "rope_theta": float,
    "rope_parameters": dict,
    "tie_word_embeddings": bool,
    "layer_types": list,
    "full_attn_idxs": list,
    "conv_L_cache": int,
    "conv_bias": bool,
    "block_multiple_of": int,
    "block_ffn_dim_multiplier": float,
    "block_auto_adjust_ff_dim": bool,
    "sliding_window": int,
    "output_size": int,
}
# Initialisation, generation defaults and switches that have one value in every LFM2.
BACKBONE_IGNORED = frozenset(
    (
        "block_mlp_init_scale",
        "block_out_init_scale",
        "block_use_xavier_init",
        "conv_use_xavier_init",
        "initializer_range",
        "use_cache",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
    )
)
BACKBONE_FIXED = {"block_use_swiglu": True, "use_pos_enc": True}
BACKBONE_REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


def backbone_config(
    section: Mapping[str, Any], where: str, *, windowed: bool = False
) -> Lfm2Config:
    """Return the transformers configuration of an LFM2 backbone, whatever spelling `section` uses.

    A spelling given twice must agree. `sliding_attention` layers become `full_attention` ones, whose window the caller
    imposes through its mask; `sliding_window` stays readable on the result.

    Args:
        section: of the JSON configuration.
        where: what messages call it.
        windowed: whether the caller imposes a window; without it `sliding_attention` is refused.

    Raises:
        CheckpointError: a key is missing, contradicts another, has a value that cannot be, or is not known.
    """
    values = _current_names(section, where)
    for name, only in BACKBONE_FIXED.items():
        if values.pop(name, only) != only:
            raise CheckpointError(f"{where}: '{name}' must be {only!r}")
    ignorable = BACKBONE_IGNORED | PretrainedConfig().to_dict().keys()
    others = {name: value for name, value in values.items() if name not in BACKBONE_KEYS}
    refuse_unknown({name: value for name, value in others.items() if name not in ignorable}, where)
    # A null is as good as nothing, but for the multiplier, where it has a meaning of its own.
    values = {
        name: check_value(value, kind, f"{where}: '{name}'")
        for name, kind in BACKBONE_KEYS.items()
        if (value := values.get(name)) is not None
    }
    if "block_ffn_dim_multiplier" in section and section["block_ffn_dim_multiplier"] is None:
        values["block_ffn_dim_multiplier"] = None
    lacking = [name for name in BACKBONE_REQUIRED if name not in values]
    if lacking:
        raise CheckpointError(f"{where}: lacks the keys {', '.join(lacking)}")
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    if hidden % (2 * heads) or heads % values["num_key_value_heads"]:
        raise CheckpointError(
            f"{where}: hidden_size {hidden}, {heads} heads and {values['num_key_value_heads']} key-value heads: "
            "expected each to be a multiple of the next, and heads of an even size"
        )
    if values.get("conv_L_cache", 3) < 2 or values.get("sliding_window", 30) < 2:
        raise CheckpointError(f"{where}: conv_L_cache and sliding_window must be 2 or more")
    theta = _rope_theta(values, where)
    values["layer_types"] = _layer_types(values, where, windowed=windowed)
    window = values.pop("sliding_window", None)
    for name in ("full_attn_idxs", "output_size"):
        values.pop(name, None)
    config = Lfm2Config(**values, rope_parameters={"rope_type": "default", "rope_theta": theta})
    config.sliding_window = window
    return config


def _current_names(section: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(section, Mapping):
        raise CheckpointError(f"{where}: expected an object, found {type(section).__name__}")
    values: dict[str, Any] = {}
    for given, value in section.items():
        name = LEGACY_NAMES.get(given, given)
        if name in values and values[name] != value:
            raise CheckpointError(
                f"{where}: '{given}' is {value!r}, another spelling of it says {values[name]!r}"
            )
        values[name] = value
    return values


def _rope_theta(values: dict[str, Any], where: str) -> float:
    """Take the rotary base out of `values`, from either of its places."""
    given = values.pop("rope_parameters", {})
    rope, flat = dict(given), values.pop("rope_theta", None)
    nested = rope.pop("rope_theta", None)
    if rope.pop("rope_type", "default") != "default" or rope:
        raise CheckpointError(
            f"{where}: rope_parameters asks for {given!r}: only the default kind is supported"
        )
    if flat is not None and nested is not None and flat != nested:
        raise CheckpointError(f"{where}: rope_theta is {flat!r}, rope_parameters says {nested!r}")
    theta = nested if flat is None else flat
    if theta is None:
        return float(Lfm2Config.default_theta)
    theta = float(check_value(theta, float, f"{where}: rope_theta"))
    if theta <= 0:
        raise CheckpointError(f"{where}: rope_theta is {theta}: expected a number above 0")
    return theta


def _layer_types(values: Mapping[str, Any], where: str, *, windowed: bool) -> list[str]:
    num_layers = values["num_hidden_layers"]
    types, indices = values.get("layer_types"), values.get("full_attn_idxs")
    by_index = None
    if types is None or indices is not None:
        attention = range(num_layers) if indices is None else indices
        by_index = [
            "full_attention" if index in attention else "conv" for index in range(num_layers)
        ]
    types = by_index if types is None else types
    if types is None or len(types) != num_layers:
        raise CheckpointError(f"{where}: {len(types or ())} layer_types for {num_layers} layers")
    wrong = [kind for kind in types if kind not in ("conv", "full_attention", "sliding_attention")]
    if wrong:
        raise CheckpointError(
            f"{where}: layer type {wrong[0]!r}: expected conv, full_attention or sliding_attention"
        )
    if "sliding_attention" in types and not windowed:
        raise CheckpointError(
            f"{where}: layer type 'sliding_attention': this part of the model attends to everything; "
            "a newer model needs a newer voiced"
        )
    types = ["conv" if kind == "conv" else "full_attention" for kind in types]
    if by_index is not None and by_index != types:
        raise CheckpointError(
            f"{where}: layer_types and full_attn_idxs {indices} name different layers"
        )
    return types


def build_backbone(config: Lfm2Config) -> Lfm2Model:
    """Return the backbone on the meta device, but for its rotary frequencies, which are computed and float32.

    The frequencies must stay float32 when the weights are bfloat16: rounding them moves hidden states by 5e-3.
    """
    with torch.device("meta"):
        model = Lfm2Model(config).eval()
    model.set_attn_implementation("sdpa")
    model.rotary_emb = type(model.rotary_emb)(config)
    return model


class BackboneCache:
    """What an Lfm2Model keeps of past positions: keys and values, and the inputs of its short convolutions.

    Convolution inputs are kept for every position since `keep_from`, so that the cache can be cut back to any of them;
    the published cache holds only the last ones. Speaks the part of transformers' Cache that Lfm2Model calls.
    """

    INITIAL_CAPACITY = 256  # Positions; doubled when full.

    def __init__(self, config: Lfm2Config, *, window: int | None = None) -> None:
        """Start empty.

        Args:
            config: of the backbone.
            window: positions that attention sees, itself included, at least 2; older ones are dropped. None keeps all,
                and only then can be cut back.
        """
        self._kernel_size = int(config.conv_L_cache)
        self._window = window
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._conv: dict[int, Tensor] = {}  # (1, hidden, kernel - 1 + positions since keep_from)
        self._first_kept = 0  # Convolution inputs of this and later positions are held.
        # What a cache with a window will hold once the call is complete: an interrupted one then leaves no trace. Without
        # a window the new lies behind the old, and `num_positions` alone says what counts.
        self._staged: list[tuple[dict[int, Tensor], int, Tensor]] = []
        self.num_positions = 0

    def begin(self) -> None:
        """Forget what a call that was interrupted left behind."""
        self._staged.clear()

    def commit(self, num_new: int) -> None:
        """Count `num_new` positions as held; called when all layers have theirs."""
        for held, layer, tensor in self._staged:
            held[layer] = tensor
        self._staged.clear()
        self.num_positions += num_new

    def truncate(self, num_positions: int) -> None:
        """Forget all positions from `num_positions` on, exactly as if they had never been fed.

        Raises:
            ValueError: the position lies before `keep_from` or after the end, or the cache has a window.
        """
        if self._window is not None or not self._first_kept <= num_positions <= self.num_positions:
            raise ValueError(
                f"cannot cut to {num_positions} positions: held are {self._first_kept} to {self.num_positions}"
            )
        self.num_positions = num_positions

    def keep_from(self, num_positions: int) -> None:
        """Drop what only a cut to before `num_positions` would need."""
        drop = num_positions - self._first_kept
        held = self._kernel_size - 1 + self.num_positions - self._first_kept
        for layer, inputs in self._conv.items():
            self._conv[layer] = inputs[:, :, drop:held].clone()
        self._first_kept = num_positions

    # What Lfm2Model calls.

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 (the caller's form)
        return self.num_positions

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> None:  # noqa: ARG002 (the caller's form)
        return None

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Append keys and values, shape (1, kv heads, T, head_dim), and return all that are held."""
        if self._window is not None:
            if layer_idx in self._keys:
                keys = torch.cat((self._keys[layer_idx], keys), 2)
                values = torch.cat((self._values[layer_idx], values), 2)
            self._staged.append((self._keys, layer_idx, keys[:, :, 1 - self._window :]))
            self._staged.append((self._values, layer_idx, values[:, :, 1 - self._window :]))
            return keys, values
        end = self.num_positions + keys.shape[2]
        for held, new in ((self._keys, keys), (self._values, values)):
            held[layer_idx] = _with_room(held.get(layer_idx), new, 2, end, self.INITIAL_CAPACITY)
            held[layer_idx][:, :, self.num_positions : end] = new
        return self._keys[layer_idx][:, :, :end], self._values[layer_idx][:, :, :end]

    def update_conv_state(self, inputs: Tensor, layer_idx: int, *, conv_kernel_size: int) -> Tensor:
        """Append convolution inputs, shape (1, hidden, T), and return them behind the kernel_size - 1 before them."""
        before = conv_kernel_size - 1
        past = self.num_positions - self._first_kept
        end = before + past + inputs.shape[2]
        if self._window is not None:
            held = self._conv.get(layer_idx)
            joined = torch.cat(
                (inputs.new_zeros(*inputs.shape[:2], before) if held is None else held, inputs), 2
            )
            self._staged.append((self._conv, layer_idx, joined[:, :, -before:]))
            return joined
        held = _with_room(self._conv.get(layer_idx), inputs, 2, end, self.INITIAL_CAPACITY)
        held[:, :, before + past : end] = inputs
        self._conv[layer_idx] = held
        return held[:, :, past:end]


def _with_room(held: Tensor | None, like: Tensor, dim: int, size: int, initial: int) -> Tensor:
    """Return `held`, or a larger zero-filled copy of it, with at least `size` entries in `dim`."""
    if held is not None and held.shape[dim] >= size:
        return held
    shape = list(like.shape)
    shape[dim] = max(size, initial if held is None else 2 * held.shape[dim])
    larger = like.new_zeros(shape)
    if held is not None:
        larger.narrow(dim, 0, held.shape[dim]).copy_(held)
    return larger


def forward(
    model: Lfm2Model, embeddings: Tensor, cache: BackboneCache, *, window: int | None = None
) -> Tensor:
    """Feed embeddings at the next positions and return their last hidden states, both of shape (T, hidden).

    Args:
        model: the backbone.
        embeddings: in the model's dtype and on its device.
        cache: extended by T positions.
        window: each position sees itself and the `window - 1` before it; None: all before it.
    """
    past, num_new = cache.num_positions, embeddings.shape[0]
    positions = torch.arange(past, past + num_new, device=embeddings.device)
    mask = None
    if window is not None or (past and num_new > 1):
        num_held = past if window is None else min(past, window - 1)
        distance = positions[:, None] - torch.arange(
            past - num_held, past + num_new, device=embeddings.device
        )
        mask = (distance >= 0) & (distance < (window or past + num_new))
        mask = mask[None, None]
    cache.begin()
    output = model(
        inputs_embeds=embeddings[None],
        attention_mask={"full_attention": mask, "conv": None},
        position_ids=positions[None],
        past_key_values=cache,
    )
    cache.commit(num_new)
    return output.last_hidden_state[0]
