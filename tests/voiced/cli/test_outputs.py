"""A path for sound is refused before anything is computed, in one sentence."""

from pathlib import Path

import pytest

from tests.permissions import without_root
from voiced.cli.outputs import check_sound_path
from voiced.errors import OutputError


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / f"{'s' * 300}.wav", tmp_path / ("s" * 300) / "sound.wav"):
        with pytest.raises(OutputError, match="more than the disk takes; give a shorter one"):
            check_sound_path(path, [])


def test_a_folder_that_may_not_be_entered_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        for path in (closed / "sound.wav", closed / "folder" / "sound.wav"):
            with without_root(), pytest.raises(OutputError, match="no permission; write to"):
                check_sound_path(path, [])
    finally:
        closed.chmod(0o700)


def test_a_path_that_can_be_written_is_accepted(tmp_path: Path) -> None:
    check_sound_path(tmp_path / "sound.wav", [])
    assert list(tmp_path.iterdir()) == []
