"""What `voiced pull` wrote down about a model it fetched, so that `voiced doctor` can tell whether it is still that."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from voiced.errors import CheckpointError

MANIFEST_FILE = "voiced-manifest.json"
BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file: its size and SHA-256, in hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which revision of which repository a folder holds; `files` by name, relative to the folder, with '/'."""

    repository: str
    revision: str
    files: dict[str, FileDigest]

    def write(self, folder: Path) -> None:
        """Write it into the model folder."""
        (folder / MANIFEST_FILE).write_text(
            json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8"
        )


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a model folder; None if it has none, as one that was not made by `voiced pull`.

    Raises:
        CheckpointError: there is one, and it is damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        files = {
            str(name): FileDigest(int(file["size"]), str(file["sha256"]))
            for name, file in values["files"].items()
        }
        return Manifest(str(values["repository"]), str(values["revision"]), files)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: damaged ({type(error).__name__}: {error}); fetch the model again with 'voiced pull'"
        ) from error


def find_damage(folder: Path, manifest: Manifest) -> list[str]:
    """Return what differs from the manifest, one sentence a file; reads every byte, about a second a gigabyte."""
    damage = []
    for name, file in manifest.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != file.size:
                damage.append(f"{name} has {size} bytes, {file.size} were fetched")
            elif digest_of(path) != file.sha256:
                damage.append(f"{name} has changed since it was fetched (its SHA-256 differs)")
        except FileNotFoundError:
            damage.append(f"{name} is gone")
        except OSError as error:
            damage.append(f"{name} cannot be read ({error.strerror})")
    return damage


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
