"""Reading a model folder's JSON, without what computes."""

import json
from pathlib import Path
from typing import Any

from models.errors import CheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`.

    Raises:
        CheckpointError: the file is missing, is not JSON, or holds something other than an object.
    """
    require_folder(path.parent)
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path}: expected a regular file")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file; expected a complete model folder, see 'voiced doctor --model FOLDER'"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not readable as JSON ({error}); fetch the model again with 'voiced pull'"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def require_folder(folder: Path) -> None:
    """Raise CheckpointError unless `folder` is a readable directory."""
    try:
        exists, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:  # A folder above it may not be entered, or the name is too long.
        raise CheckpointError(
            f"model folder {folder} cannot be reached ({error.strerror})"
        ) from error
    if not exists:
        raise CheckpointError(
            f"model folder {folder} does not exist; 'voiced models' lists what is installed"
        )
    if not is_folder:
        raise CheckpointError(
            f"{folder} is a file: expected the folder that holds config.json and model.safetensors"
        )
