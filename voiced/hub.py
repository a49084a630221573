"""Fetching a published model: resumed where it was interrupted, checked against the hub's digests, whole or not there.

huggingface_hub knows the hub's addresses, log-in, proxies and error answers. The transfer is our own, because it goes on
after an interruption where huggingface_hub (2.x) begins a file again, and because nothing is installed unchecked.

Files arrive in `.partial/NAME/REVISION` of the models folder, each as `….part` until its digest is right; when all are
there the folder is renamed to its place.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented as its parts, but not in __all__
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from voiced.errors import NetworkError, OutputError, UsageError, VoicedError
from voiced.manifest import BLOCK_BYTES, FileDigest, Manifest, digest_of
from voiced.weights import installed_folder, models_folder

# Waits before a transfer that was cut is taken up again; counted anew whenever bytes came in between.
RETRY_PAUSES_S = (1.0, 3.0, 9.0)
SPARE_BYTES = 64 * 2**20  # Left free on the disk.
NEEDED_NAMES = frozenset(
    (
        "LICENSE",
        "chat_template.jinja",
        "config.json",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    )
)

OnProgress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        name: relative to the repository, with '/'.
        size: bytes.
        sha256: of its content; None for a small file that git itself holds.
        git_id: git's name for its content, SHA-1 of a header and the content.
    """

    name: str
    size: int
    sha256: str | None
    git_id: str


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A repository at one revision, and the files of it that a model needs."""

    repository: str
    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def describe(repository: str) -> RemoteModel:
    """Ask the hub which files the newest revision of a repository has.

    Raises:
        UsageError: there is no such repository, or it holds no model.
        NetworkError: the hub cannot be reached.
    """
    try:
        info = HfApi(endpoint=constants.ENDPOINT).model_info(
            repository, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
    except (OSError, ValueError, httpx2.HTTPError) as error:
        raise _translate(error, repository) from error
    files = tuple(
        RemoteFile(
            name=sibling.rfilename,
            size=sibling.size or 0,
            sha256=sibling.lfs.sha256 if sibling.lfs else None,
            git_id=sibling.blob_id or "",
        )
        for sibling in info.siblings or ()
        if _is_needed(sibling.rfilename)
    )
    names = {file.name for file in files}
    lacking = [name for name in ("config.json", "tokenizer.json") if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        lacking.append("*.safetensors")
    if lacking or info.sha is None:
        raise UsageError(
            f"repository {repository} lacks {', '.join(lacking) or 'a revision'}: expected a published LFM2-Audio model"
        )
    return RemoteModel(repository, info.sha, files)


def _is_needed(name: str) -> bool:
    """Tell whether a model needs this file; no name that is needed leads out of the folder."""
    match name.split("/"):
        case [file]:
            return file in NEEDED_NAMES or file.endswith(".safetensors")
        case ["audio_detokenizer", file]:
            return file.endswith((".json", ".safetensors"))
    return False


def fetch(
    model: RemoteModel,
    *,
    on_progress: OnProgress = lambda _name, _num_bytes: None,
    retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
) -> Path:
    """Install a model and return its folder; what is here of it, installed or from a call that was cut, is used.

    Args:
        model: from `describe`.
        on_progress: called with a file's name and how many more bytes of it are here; fewer when it must begin anew.
        retry_pauses_s: seconds to wait before each new attempt after one that brought nothing.

    Raises:
        NetworkError: the transfer ended early, or a digest is wrong; what is right is kept for the next call.
        OutputError: the disk is full, or the folder cannot be written.
        UsageError: another process is fetching the same model.
    """
    name = installed_folder(model.repository).name
    partial = models_folder() / ".partial" / name
    folder = partial / model.revision
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(partial, model.repository):
            for stale in partial.iterdir():
                if stale.is_dir() and stale != folder:
                    shutil.rmtree(stale)
            _take_installed(model, folder)
            _check_space(model, folder)
            digests = {
                file.name: _fetch_file(model, file, folder, on_progress, retry_pauses_s)
                for file in sorted(model.files, key=lambda file: file.size)
            }
            Manifest(model.repository, model.revision, digests).write(folder)
            _put_in_place(folder, installed_folder(model.repository))
            shutil.rmtree(partial, ignore_errors=True)
    except (OfflineModeIsEnabled, HfHubHTTPError, httpx2.HTTPError) as error:
        raise _translate(error, model.repository) from error
    except OSError as error:
        raise OutputError(
            f"{models_folder()}: cannot write the model there ({error.strerror or error}); free some space or let "
            "XDG_DATA_HOME name another folder, then run the same command again: what was fetched is kept"
        ) from error
    return installed_folder(model.repository)


@contextmanager
def _only_one(partial: Path, repository: str) -> Iterator[None]:
    with open(partial / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process is fetching {repository}; wait for it or end it"
            ) from None
        yield


def _take_installed(model: RemoteModel, folder: Path) -> None:
    """Link into `folder` what is installed and as the hub has it; reads all of it, some seconds a gigabyte."""
    place = installed_folder(model.repository)
    for file in model.files:
        installed, path = place / file.name, folder / file.name
        if path.exists() or not _is_sound(installed, file):
            continue
        path.parent.mkdir(exist_ok=True)
        with suppress(OSError):  # A disk without links: it is fetched.
            os.link(installed, path)


def _is_sound(path: Path, file: RemoteFile) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        sha256, git_id = _digests(path, file.size)
    except OSError:
        return False
    return git_id == file.git_id if file.sha256 is None else sha256 == file.sha256


def _check_space(model: RemoteModel, folder: Path) -> None:
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free, needed = shutil.disk_usage(folder).free, model.size - here + SPARE_BYTES
    if free < needed:
        raise OutputError(
            f"{models_folder()}: {needed / 1e9:.1f} GB are needed there and {free / 1e9:.1f} GB are free; "
            "make room, or let XDG_DATA_HOME name a folder on another disk"
        )


def _put_in_place(folder: Path, place: Path) -> None:
    """Rename `folder` to `place`; an older revision there goes first to the side, then away."""
    old = folder.with_name("old")
    if place.exists():
        place.rename(old)
    folder.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _fetch_file(
    model: RemoteModel,
    file: RemoteFile,
    folder: Path,
    on_progress: OnProgress,
    retry_pauses_s: Sequence[float],
) -> FileDigest:
    """Return the digest of a file of the model, which then lies in `folder`."""
    path = folder / file.name
    if path.exists():  # It got its name when its digest had been right.
        on_progress(file.name, file.size)
        return FileDigest(file.size, file.sha256 or digest_of(path))
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    on_progress(file.name, part.stat().st_size if part.exists() else 0)
    with open(part, "ab") as output:
        _receive_all(model, file, output, on_progress, retry_pauses_s)
    sha256, git_id = _digests(part, file.size)
    if (sha256, git_id)[file.sha256 is None] != (file.sha256 or file.git_id):
        part.unlink()
        raise NetworkError(
            f"{file.name} of {model.repository}: its digest is {(sha256, git_id)[file.sha256 is None]}, the hub says "
            f"{file.sha256 or file.git_id}: it was damaged on the way and has been removed; run the same command again"
        )
    part.rename(path)
    return FileDigest(file.size, sha256)


def _digests(path: Path, size: int) -> tuple[str, str]:
    sha256, git_id = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with open(path, "rb") as content:
        while block := content.read(BLOCK_BYTES):
            sha256.update(block)
            git_id.update(block)
    return sha256.hexdigest(), git_id.hexdigest()


def _receive_all(
    model: RemoteModel,
    file: RemoteFile,
    output: BinaryIO,
    on_progress: OnProgress,
    retry_pauses_s: Sequence[float],
) -> None:
    """Append to `output` until it has the file's size; takes up a transfer that was cut where it was cut."""
    pauses_s, before = iter(retry_pauses_s), output.tell()
    while output.tell() != file.size:
        try:
            _receive(model, file, output, on_progress)
            cut: Exception | None = None
        except httpx2.TransportError as error:
            cut = error
        except HfHubHTTPError as error:
            if error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            cut = error
        if output.tell() > before:
            pauses_s = iter(retry_pauses_s)
        before = output.tell()
        if before == file.size:
            return
        pause_s = next(pauses_s, None)
        if pause_s is None:
            raise NetworkError(
                f"{file.name} of {model.repository}: the transfer ended after {before} of {file.size} bytes"
                f"{f' ({_describe(cut)})' if cut else ''}; run the same command again to go on from there"
            ) from cut
        time.sleep(pause_s)


def _receive(
    model: RemoteModel, file: RemoteFile, output: BinaryIO, on_progress: OnProgress
) -> None:
    """Make one request for what is missing of the file and append what comes, at most to the file's size."""
    url = hf_hub_url(
        model.repository, file.name, revision=model.revision, endpoint=constants.ENDPOINT
    )
    headers: dict[str, Any] = build_hf_headers() | {"Accept-Encoding": "identity"}
    start = output.tell()
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream(
        "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    ) as response:
        range_is_wrong = response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if not range_is_wrong:
            hf_raise_for_status(response)
        if start and response.status_code != HTTPStatus.PARTIAL_CONTENT:
            # No part of it is to be had, or what is here is longer than the file: from the beginning.
            output.truncate(0)
            output.seek(0)
            on_progress(file.name, -start)
        if range_is_wrong:
            return
        # As it arrives, not in larger blocks: what a cut transfer had brought would be lost with the last one.
        for block in response.iter_raw():
            wanted = block[: file.size - output.tell()]
            output.write(wanted)
            on_progress(file.name, len(wanted))
            if len(wanted) < len(block):
                return


def _translate(error: Exception, repository: str) -> VoicedError:
    """Return our error for one of huggingface_hub or of the transport below it."""
    if isinstance(error, OfflineModeIsEnabled):
        return NetworkError(
            f"HF_HUB_OFFLINE forbids the network: unset it to fetch {repository}, or copy the model's folder to this "
            "machine and give it with --model"
        )
    if isinstance(error, GatedRepoError):
        return UsageError(
            f"repository {repository} is open only to those its authors admit: ask them on its page, "
            "then let HF_TOKEN hold your token"
        )
    if isinstance(error, RepositoryNotFoundError):
        return UsageError(
            f"there is no repository {repository} on the hub, or it is not open to you; 'voiced models' lists the "
            "published ones, and HF_TOKEN may hold a token"
        )
    if isinstance(error, HFValidationError):
        return UsageError(f"'{repository}' is no name of a repository: expected OWNER/NAME")
    if isinstance(error, HfHubHTTPError):
        return NetworkError(
            f"the hub at {constants.ENDPOINT} answered {error.response.status_code} for {repository}; "
            "run the same command again later"
        )
    return NetworkError(
        f"the hub at {constants.ENDPOINT} cannot be reached for {repository} ({_describe(error)}); check network and "
        "proxy, then run the same command again: what was fetched is kept"
    )


def _describe(error: Exception) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"answer {error.response.status_code}"
    return f"{type(error).__name__}: {error}".rstrip(": ")
