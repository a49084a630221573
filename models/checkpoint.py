"""Reading a model folder: JSON and safetensors, memory-mapped, checked before anything computes with it.

No code is ever loaded from a model folder, and nothing is unpickled.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import CheckpointError, NonFiniteError
from models.folder import read_json, require_folder

# Bytes converted to another dtype before the file is mapped anew: pages of a file that were read stay in the
# process's resident set until then, so this bounds what conversion adds to the peak.
REMAP_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class WeightFile:
    """Where one tensor lies, and what its header says of it."""

    path: Path
    shape: tuple[int, ...]
    dtype: str  # As safetensors spells it: "BF16", "F16", "F32", …


def index_weights(folder: Path, stem: str = "model") -> dict[str, WeightFile]:
    """Return where each tensor of `STEM.safetensors`, or of the shards its index lists, lies.

    Reads the headers only. The names of shards are taken as plain file names: an index cannot point out of the folder.

    Raises:
        CheckpointError: no weights, a shard missing, a damaged header, a tensor that its shard lacks.
    """
    require_folder(folder)
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.exists():
        return read_header(single)
    if not index.exists():
        raise CheckpointError(
            f"{folder}: neither {single.name} nor {index.name}; expected one of them, fetch the model with 'voiced pull'"
        )
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{index}: expected an object 'weight_map' from tensor names to files"
        )
    found: dict[str, WeightFile] = {}
    for file_name in sorted(set(map(str, weight_map.values()))):
        if Path(file_name).name != file_name:
            raise CheckpointError(
                f"{index}: {file_name!r} is not a plain file name; shards must lie in the folder itself"
            )
        found |= read_header(folder / file_name)
    lost = sorted(set(weight_map) - set(found))
    if lost:
        raise CheckpointError(
            f"{index}: lists {_some(lost)}, which no shard holds; fetch the model again"
        )
    return found


def read_header(path: Path) -> dict[str, WeightFile]:
    """Return the tensors of a safetensors file, reading its header only.

    Raises:
        CheckpointError: the file is missing, truncated, or its header is damaged.
    """
    with _open(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)
        return {
            name: WeightFile(path, tuple(part.get_shape()), part.get_dtype())
            for name, part in slices.items()
        }


DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def stored_dtype(weights: Mapping[str, WeightFile], name: str) -> torch.dtype:
    """Return the type of the tensor `name`, which stands for the whole checkpoint.

    Raises:
        CheckpointError: there is no such tensor, or its type is none that models are computed in.
    """
    if name not in weights:
        raise CheckpointError(f"the weights lack the tensor {name}: expected an LFM2-Audio model")
    dtype = DTYPES.get(weights[name].dtype)
    if dtype is None:
        raise CheckpointError(
            f"{weights[name].path}: tensor {name} is of type {weights[name].dtype}: expected {', '.join(DTYPES)}"
        )
    return dtype


def _open(path: Path, device: str = "cpu") -> Any:
    try:
        return safe_open(path, framework="pt", device=device)
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file; fetch the model again with 'voiced pull'"
        ) from None
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise CheckpointError(
            f"{path}: damaged or incomplete, {size} bytes ({error}); "
            "expected a whole safetensors file, fetch the model again with 'voiced pull'"
        ) from error


def load_weights(
    module: nn.Module,
    weights: Mapping[str, WeightFile],
    *,
    device: torch.device,
    dtype: torch.dtype,
    ignored: Callable[[str], bool] = lambda _: False,
    prefix: str = "",
) -> None:
    """Give every parameter and persistent buffer of `module`, built on the meta device, its tensor.

    On a CPU and without a change of type the tensors are views of the mapped file, so nothing is read twice.
    Floating-point tensors become `dtype`; integers stay as they are.

    Args:
        module: built on the meta device; its own names must be those of the checkpoint behind `prefix`.
        weights: from `index_weights`.
        device: where the tensors go.
        dtype: of all floating-point tensors.
        ignored: tells which names of the checkpoint are known and not needed.
        prefix: only names that begin with it are looked at, with it taken off.

    Raises:
        CheckpointError: a tensor is missing, unknown, or of another shape than the module's.
        NonFiniteError: a weight is NaN or infinite.
    """
    expected = {prefix + name: tensor for name, tensor in module.state_dict(keep_vars=True).items()}
    present = {
        name: place
        for name, place in weights.items()
        if name.startswith(prefix) and not ignored(name)
    }
    _check_names(expected, present)
    for name, tensor in expected.items():
        if present[name].shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{present[name].path}: tensor {name} has shape {present[name].shape}, "
                f"config.json asks for {tuple(tensor.shape)}; config and weights are not of one model"
            )
        if tensor.is_floating_point() and present[name].dtype not in DTYPES:
            raise CheckpointError(
                f"{present[name].path}: tensor {name} is of type {present[name].dtype}: expected {', '.join(DTYPES)}"
            )
    state: dict[str, Tensor] = {}
    for name, tensor in read_tensors(
        {name: present[name] for name in expected}, device=device, dtype=dtype
    ):
        check_finite(tensor, f"weight {name} in {present[name].path}")
        state[name.removeprefix(prefix)] = tensor
    module.load_state_dict(state, assign=True)
    module.requires_grad_(False)


def _check_names(expected: Mapping[str, object], present: Mapping[str, WeightFile]) -> None:
    files = ", ".join(sorted({place.path.name for place in present.values()})) or "the weights"
    missing, unknown = (
        sorted(expected.keys() - present.keys()),
        sorted(present.keys() - expected.keys()),
    )
    if missing:
        raise CheckpointError(
            f"{files}: lacks {len(missing)} of {len(expected)} tensors that config.json asks for: {_some(missing)}"
        )
    if unknown:
        raise CheckpointError(
            f"{files}: holds {len(unknown)} tensors that this model has no place for: {_some(unknown)}; "
            "a newer model needs a newer voiced"
        )


def read_tensors(
    places: Mapping[str, WeightFile], *, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor on `device`, floating-point ones as `dtype`, mapping each file anew after every REMAP_BYTES."""
    by_file: dict[Path, list[str]] = {}
    for name, place in places.items():
        by_file.setdefault(place.path, []).append(name)
    for path, names in by_file.items():
        # The largest first: what of it lies in memory twice is gone before the rest is there.
        remaining = sorted(names, key=lambda name: math.prod(places[name].shape))
        while remaining:
            file, copied = _open(path, str(device)), 0
            while remaining and copied < REMAP_BYTES:
                name = remaining.pop()
                stored = file.get_tensor(name)
                tensor = stored.to(dtype) if stored.is_floating_point() else stored
                if tensor is not stored:
                    copied += stored.numel() * stored.element_size()
                yield name, tensor


def check_finite(tensor: Tensor, name: str) -> None:
    """Raise NonFiniteError naming `name` if a value of `tensor` is NaN or infinite."""
    if not tensor.is_floating_point() or not tensor.numel():
        return
    # One pass without a temporary, and NaN comes through it; isfinite() takes nine times as long and keeps memory.
    least, most = tensor.detach().aminmax()
    if not bool(torch.isfinite(least) & torch.isfinite(most)):
        num_bad = int((~torch.isfinite(tensor)).sum())
        raise NonFiniteError(
            f"{name}: {num_bad} of {tensor.numel()} values are NaN or infinite; expected finite numbers"
        )


def _some(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
