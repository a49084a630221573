"""`voiced pull`: fetch a published model."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.errors import CheckpointError, UsageError
from voiced.published import DEFAULT, MINI, PUBLISHED, STAND_IN, find_published

if TYPE_CHECKING:
    from voiced.hub import RemoteModel

LIQUID_LICENCE = (
    "The weights of {} are Liquid AI's, not part of voiced, and under the LFM Open License v1.0. It limits commercial "
    "use to those with less than 10 million US dollars of revenue a year, among other terms; its text is the file "
    "LICENSE of the repository and comes with the weights."
)
OTHER_LICENCE = "The weights of {} are their authors', not part of voiced, and under the licence that their page names."


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "pull",
        help="fetch a published model",
        description="Fetch a published model: into voiced's own folder, going on where an interrupted call stopped, "
        "each file checked against the digest that the hub states. Of a model that is installed, what has changed is "
        "fetched again.",
        epilog="HF_ENDPOINT names another hub, HF_TOKEN holds a token for one that is not public, "
        "HF_HUB_OFFLINE=1 forbids the network.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        default=DEFAULT.alias,
        help=f"{', '.join(model.alias for model in PUBLISHED)}, or OWNER/NAME on the hub (default: {DEFAULT.alias})",
    )
    parser.add_argument(
        "-y", "--yes", action="store_true", help="agree to the licence without being asked"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch the model; return 0."""
    repository = _repository(args.model)
    from voiced.hub import describe
    from voiced.weights import installed_folder, is_installed_folder

    folder = installed_folder(repository)
    is_installed = is_installed_folder(folder)
    if not is_installed:
        _ask_to_agree(repository, agreed=args.yes)
    model = describe(repository)
    damage = _find_damage(folder, model) if is_installed else None
    if damage == []:
        print(f"{repository} is installed already, whole and in its newest revision: {folder}")
        return 0
    if damage:
        print(
            f"voiced: {repository} in {folder} is damaged: {'; '.join(damage)}; what differs is fetched again",
            file=sys.stderr,
        )
    try:
        _fetch_with_progress(model)
    except KeyboardInterrupt:
        print(
            f"voiced: what was fetched is kept; run 'voiced pull {args.model}' again to go on",
            file=sys.stderr,
        )
        raise
    print(f"{repository} is installed: {folder}")
    return 0


def _find_damage(folder: Path, model: "RemoteModel") -> list[str] | None:
    """Return what is damaged in an installed model, one text a file; None if it is not of the newest revision."""
    from voiced.manifest import MANIFEST_FILE, find_damage, read_manifest
    from voiced.weights import missing_files

    try:
        manifest = read_manifest(folder)
    except CheckpointError:
        return [f"{MANIFEST_FILE} cannot be read"]
    if manifest is None or manifest.revision != model.revision:
        return None
    damage = find_damage(folder, manifest)
    unknown = [name for name in missing_files(folder) if name not in manifest.files]
    return damage + [f"{name} is missing" for name in unknown]


def _repository(name: str) -> str:
    from voiced.weights import is_repository_name

    published = find_published(name)
    if published is not None:
        return published.repository
    if name == MINI:
        raise UsageError(f"'{MINI}' comes with voiced: there is nothing to fetch")
    if name == STAND_IN:
        raise UsageError(
            f"'{STAND_IN}' is made on this machine when it is needed: there is nothing to fetch"
        )
    if not is_repository_name(name):
        raise UsageError(
            f"no model '{name}' to fetch: expected {', '.join(model.alias for model in PUBLISHED)}, "
            "or OWNER/NAME on the hub"
        )
    return name


def _ask_to_agree(repository: str, *, agreed: bool) -> None:
    licence = LIQUID_LICENCE if repository.lower().startswith("liquidai/") else OTHER_LICENCE
    print(licence.format(repository), file=sys.stderr)
    if agreed:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here to agree to the licence: give --yes to agree")
    print("Fetch them under these terms? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("the licence was not agreed to: nothing was fetched")


def _fetch_with_progress(model: "RemoteModel") -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from voiced.hub import fetch

    print(
        f"{model.repository}: {len(model.files)} files, {model.size / 1e9:.2f} GB", file=sys.stderr
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # On a terminal one bar for all files; in a log the line above is enough.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=model.size)
        fetch(
            model,
            on_progress=lambda name, num_bytes: progress.update(
                task, description=name, advance=num_bytes
            ),
        )
