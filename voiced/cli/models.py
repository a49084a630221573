"""`voiced models`: which models there are, and which are installed where."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from voiced.published import DEFAULT, MINI, PUBLISHED, STAND_IN


@dataclass(frozen=True, slots=True)
class _Row:
    """One model; `folder` and `size_bytes` are None while it is not installed."""

    alias: str | None
    name: str
    says: str
    state: str
    folder: str | None
    size_bytes: int | None


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "models",
        help="list models: what can be fetched, what is installed",
        description="List the published models, what is installed of them, where, and how large it is.",
        epilog="Every command takes a name of this list, or a folder, with --model.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line and model")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list; return 0."""
    rows = _rows()
    if args.json:
        for row in rows:
            print(json.dumps(asdict(row) | {"default": row.alias == DEFAULT.alias}))
        return 0
    width = max(len(row.alias or row.name) for row in rows)
    for row in rows:
        size = "" if row.size_bytes is None else f"{row.size_bytes / 1e9:.2f} GB"
        print(f"{row.alias or row.name:{width}}  {row.state:13}  {size:>8}  {row.name}: {row.says}")
        if row.folder is not None:
            print(f"{'':{width}}  {row.folder}")
    if not any(row.folder for row in rows if row.alias not in (MINI, STAND_IN)):
        print(
            f"voiced: no full model is installed; fetch the default with 'voiced pull {DEFAULT.alias}'",
            file=sys.stderr,
        )
    return 0


def _rows() -> list[_Row]:
    from voiced.demonstration import MINI_FOLDER
    from voiced.weights import find_fetched_by_name, find_installed, stand_in_folder

    rows = [
        _row(model.alias, model.repository, model.says, find_installed(model.repository))
        for model in PUBLISHED
    ]
    others = find_fetched_by_name()
    rows += [_row(None, name, "fetched by name", folder) for name, folder in others.items()]
    if MINI_FOLDER.is_dir():
        rows.append(_row(MINI, MINI, "the demonstration model, of a small world", MINI_FOLDER))
    stand_in = stand_in_folder() if stand_in_folder().is_dir() else None
    rows.append(_row(STAND_IN, STAND_IN, "a stand-in that answers noise", stand_in))
    return rows


def _row(alias: str | None, name: str, says: str, folder: Path | None) -> _Row:
    from voiced.weights import folder_bytes, missing_files

    if folder is None:
        state = "made when used" if alias == STAND_IN else "not installed"
        return _Row(alias, name, says, state, None, None)
    state = "incomplete" if missing_files(folder) else "installed"
    return _Row(alias, name, says, state, str(folder), folder_bytes(folder))
