"""Damaged model folders: whatever is flipped, cut or put in, loading succeeds or says what is wrong."""

import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio.errors import VoicedError
from models.lfm2_audio import Lfm2Audio
from tests.models.golden import CHECKPOINT

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

FILES = [
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "audio_detokenizer/config.json",
    "mimi_dims.json",
]
# Weights are flipped in their header only: a flipped weight is a number like any other, which digests find.
FLIPPED_BYTES = 12_000


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    file=st.sampled_from(FILES),
    edits=st.lists(
        st.tuples(st.integers(0, FLIPPED_BYTES), st.integers(0, 255)), min_size=1, max_size=4
    ),
    cut=st.none() | st.integers(0, FLIPPED_BYTES),
)
def test_a_damaged_file_loads_or_is_named(
    tmp_path: Path, file: str, edits: list[tuple[int, int]], cut: int | None
) -> None:
    folder = tmp_path / "checkpoint"
    if not folder.exists():
        shutil.copytree(CHECKPOINT, folder)
    path = folder / file
    content = bytearray((CHECKPOINT / file).read_bytes())
    for position, value in edits:
        content[position % len(content)] = value
    path.write_bytes(content[:cut])
    # Any other error fails the test.
    with contextlib.suppress(VoicedError):
        Lfm2Audio.load(folder).decoder()
    shutil.copyfile(CHECKPOINT / file, path)
