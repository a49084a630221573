"""Turning a section of a model's JSON configuration into a checked dataclass.

A key that is not known could change the arithmetic, so it is an error unless its value switches it off.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar

from models.errors import CheckpointError

# Written by tools into a config and without effect on what is computed.
BOOKKEEPING = frozenset(
    (
        "architectures",
        "auto_map",
        "dtype",
        "model_type",
        "torch_dtype",
        "transformers_version",
        "_name_or_path",
    )
)

T = TypeVar("T")


def parse_section(
    kind: type[T],
    values: Mapping[str, Any],
    where: str,
    sections: Mapping[str, Callable[[Mapping[str, Any], str], Any]] | None = None,
) -> T:
    """Return a `kind` from `values`, checking that keys are known, needed ones present, and types and choices right."""
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{where}: expected an object, found {type(values).__name__}")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # T is always a dataclass.
    refuse_unknown({name: value for name, value in values.items() if name not in known}, where)
    arguments: dict[str, Any] = {}
    for name, field in known.items():
        if name not in values:
            if field.default is MISSING:
                raise CheckpointError(f"{where}: lacks the key '{name}'")
        elif sections and name in sections:
            arguments[name] = sections[name](values[name], f"{where}: {name}")
        else:
            arguments[name] = check_value(values[name], field.type, f"{where}: {name}")
    return kind(**arguments)


def check_value(value: Any, kind: Any, where: str) -> Any:
    """Return `value` if it is of the kind that a dataclass field declares: a Literal, None, int, float, bool, list or dict.

    Whole numbers must be above 0 and floats finite; every size and factor of a model is.

    Raises:
        CheckpointError: it is not.
    """
    choices = (
        getattr(kind, "__args__", None) if getattr(kind, "__origin__", None) is Literal else None
    )
    if choices is not None:
        if value not in choices:
            raise CheckpointError(
                f"{where} is {value!r}: only {' or '.join(map(repr, choices))} is supported"
            )
    elif kind is None:
        if value is not None:
            raise CheckpointError(f"{where} is {value!r}: only null is supported")
    elif kind is int and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
        raise CheckpointError(f"{where} is {value!r}: expected a whole number above 0")
    elif kind is float and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise CheckpointError(f"{where} is {value!r}: expected a number")
    elif kind is float and not math.isfinite(value):
        raise CheckpointError(f"{where} is {value!r}: expected a finite number")
    elif kind is bool and not isinstance(value, bool):
        raise CheckpointError(f"{where} is {value!r}: expected true or false")
    elif kind in (list, dict) and not isinstance(value, kind):
        raise CheckpointError(
            f"{where} is {value!r}: expected {'a list' if kind is list else 'an object'}"
        )
    return value


def refuse_unknown(values: Mapping[str, Any], where: str) -> None:
    """Raise CheckpointError for a key that nobody here knows, unless its value switches it off (null or false)."""
    for name, value in values.items():
        if name not in BOOKKEEPING and value is not None and value is not False:
            raise CheckpointError(
                f"{where}: unknown key '{name}' = {value!r}, which may change what is computed; "
                "a newer model needs a newer voiced"
            )
