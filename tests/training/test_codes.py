"""Codes of phrases: made once, kept in shards, and added to."""

import shutil
from pathlib import Path

import pytest
import torch

from training import codes
from training.codec import Codec
from training.codes import SpokenCodes, make
from training.config import CODEBOOK_SIZE, LIVE_CODEBOOKS
from training.espeak import Espeak
from training.sound import FRAME_SAMPLES, reply_sound
from training.state import Run

pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with an untrained codec, and shards of four phrases."""
    monkeypatch.setattr(codes, "SHARD", 4)
    torch.manual_seed(1)
    codec = Codec()
    noise = torch.randn(1, 300 * FRAME_SAMPLES)
    codec.quantizer.start(codec.encoder(noise).detach().flatten(0, 1))
    Run(tmp_path, "codec", 1.0).save(codec, None)
    return tmp_path


def test_as_many_phrases_are_spoken_as_were_asked_for(state: Path) -> None:
    make(state, 6, seed=1)
    spoken = SpokenCodes.load(state)
    assert len(spoken) == 6
    assert len(list(state.glob("codes-*.safetensors"))) == 2
    for frames in spoken.values():
        assert frames.shape[1] == LIVE_CODEBOOKS
        assert 0 <= int(frames.min()) <= int(frames.max()) < CODEBOOK_SIZE


def test_a_second_call_adds_only_what_is_missing(state: Path) -> None:
    make(state, 4, seed=1)
    before = dict(SpokenCodes.load(state))
    make(state, 7, seed=1)
    after = SpokenCodes.load(state)
    assert len(after) == 7
    assert all(torch.equal(after[phrase], frames) for phrase, frames in before.items())


def test_a_phrase_has_a_frame_for_each_1920_samples_of_it(state: Path) -> None:
    make(state, 4, seed=1)
    espeak = Espeak()
    for (text, voice), frames in SpokenCodes.load(state).items():
        # espeak-ng's own length varies by some samples, which may be a frame.
        assert abs(len(frames) - len(reply_sound(espeak, text, voice)) // FRAME_SAMPLES) <= 1


def test_making_ends_where_the_world_has_no_more_to_say(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "MAX_STALE", 5)
    monkeypatch.setattr(codes, "phrases", lambda *_: iter([("hello", "us_male")] * 100))
    make(state, 50, seed=1)
    assert len(SpokenCodes.load(state)) == 1
