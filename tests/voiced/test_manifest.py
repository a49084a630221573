"""What was fetched is written down, and a change is found."""

import hashlib
from pathlib import Path

import pytest

from voiced.errors import CheckpointError
from voiced.manifest import MANIFEST_FILE, FileDigest, Manifest, find_damage, read_manifest

CONTENT = b"weights" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "audio_detokenizer").mkdir()
    for name in ("model.safetensors", "audio_detokenizer/config.json"):
        (tmp_path / name).write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    digest = FileDigest(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    names = ("model.safetensors", "audio_detokenizer/config.json")
    made = Manifest("someone/else", "0" * 40, dict.fromkeys(names, digest))
    made.write(folder)
    return made


def test_it_is_read_as_it_was_written(folder: Path, manifest: Manifest) -> None:
    assert read_manifest(folder) == manifest
    assert find_damage(folder, manifest) == []


def test_a_folder_without_one_has_none(folder: Path) -> None:
    assert read_manifest(folder) is None


def test_a_flipped_bit_is_found(folder: Path, manifest: Manifest) -> None:
    (folder / "model.safetensors").write_bytes(b"W" + CONTENT[1:])
    assert find_damage(folder, manifest) == [
        "model.safetensors has changed since it was fetched (its SHA-256 differs)"
    ]


def test_a_file_cut_short_and_a_lost_one_are_found(folder: Path, manifest: Manifest) -> None:
    (folder / "model.safetensors").write_bytes(CONTENT[:10])
    (folder / "audio_detokenizer" / "config.json").unlink()
    assert find_damage(folder, manifest) == [
        "model.safetensors has 10 bytes, 700 were fetched",
        "audio_detokenizer/config.json is gone",
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"files": {"a": 1}}', '{"files": {"a": {"size": 1}}}']
)
def test_a_damaged_manifest_is_an_error(folder: Path, text: str) -> None:
    (folder / MANIFEST_FILE).write_text(text)
    with pytest.raises(CheckpointError, match=rf"{MANIFEST_FILE}: damaged .*'voiced pull'"):
        read_manifest(folder)
