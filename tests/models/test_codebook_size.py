"""A model with smaller codebooks than the published ones: it loads, speaks and is decoded like any other."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.detokenizer import FRAME_SAMPLES, Detokenizer
from models.errors import CheckpointError, RangeError
from models.lfm2_audio import AudioFrame, EndOfTurn, Lfm2Audio, Mode, Sampling
from models.lfm2_audio.loss import Targets, codebook_weights, teacher_forced_losses
from models.lfm2_audio.random_checkpoint import write_random_checkpoint, write_random_weights
from models.lfm2_audio.steps import END_OF_AUDIO

SIZE = 16
SAMPLED = Sampling(text_temperature=1.0, audio_temperature=1.0, seed=2)


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with 16 codes a codebook, of which the first four codebooks are drawn."""
    folder = tmp_path_factory.mktemp("small")
    write_random_checkpoint(folder, preset="tiny", seed=5)
    edit(folder / "config.json", codebook_size=SIZE, live_codebooks=4)
    edit(folder / "audio_detokenizer" / "config.json", codebook_size=SIZE)
    write_random_weights(folder, seed=5)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Lfm2Audio:
    return Lfm2Audio.load(folder, dtype=torch.float32)


def frames_of(model: Lfm2Audio, num_steps: int) -> list[AudioFrame]:
    conversation = model.conversation()
    conversation.begin_turn("assistant")
    steps = conversation.generate(Mode.INTERLEAVED, max_steps=num_steps, sampling=SAMPLED)
    return [step for step in steps if isinstance(step, AudioFrame)]


def test_tables_have_a_row_for_each_code_and_one_for_the_end(model: Lfm2Audio) -> None:
    assert model.network.audio_embedding.embedding.num_embeddings == 8 * (SIZE + 1)
    assert {book.embedding.num_embeddings for book in model.network.codebooks} == {SIZE + 1}


def test_frames_hold_codes_below_the_size_or_the_public_sign_of_the_end(model: Lfm2Audio) -> None:
    frames = frames_of(model, 400)
    codes = {code for frame in frames for code in frame.codes}
    assert codes == {*range(SIZE), END_OF_AUDIO}
    assert {frame.ends_audio for frame in frames} == {False, True}
    assert all(set(frame.codes) == {END_OF_AUDIO} for frame in frames if frame.ends_audio)


def test_codebooks_that_are_not_live_hold_code_0(model: Lfm2Audio) -> None:
    sounding = [frame.codes for frame in frames_of(model, 200) if not frame.ends_audio]
    assert {codes[4:] for codes in sounding} == {(0, 0, 0, 0)}
    assert len({codes[:4] for codes in sounding}) > 20


def test_a_reply_appended_as_it_was_given_out_is_the_reply(model: Lfm2Audio) -> None:
    straight, again = model.conversation(), model.conversation()
    for conversation in (straight, again):
        conversation.begin_turn("assistant")
    for step in straight.generate(Mode.INTERLEAVED, max_steps=120, sampling=SAMPLED):
        if isinstance(step, AudioFrame):
            again.append_frames(torch.tensor(step.codes)[:, None])
        elif not isinstance(step, EndOfTurn):
            again.append_tokens([step.token])
    replies = []
    for conversation in (straight, again):
        conversation.end_turn()
        conversation.begin_turn("assistant")
        replies.append(list(conversation.generate(Mode.INTERLEAVED, max_steps=30)))
    assert replies[0] == replies[1]


@pytest.mark.parametrize("code", [SIZE, SIZE + 1, END_OF_AUDIO - 1, END_OF_AUDIO + 1, -1])
def test_a_code_that_no_frame_can_hold_is_refused(model: Lfm2Audio, code: int) -> None:
    codes = torch.zeros((8, 1), dtype=torch.long)
    codes[2] = code
    with pytest.raises(RangeError, match=r"audio codes? .*expected 0 to"):
        model.conversation().append_frames(codes)


def test_sound_of_frames_that_stream_equals_that_of_the_whole(model: Lfm2Audio) -> None:
    codes = [frame.codes for frame in frames_of(model, 120) if frame.is_sound]
    stream = model.decoder()
    streamed = np.concatenate([*map(stream.push, codes), stream.flush()])
    detokenizer = Detokenizer.load(model.folder / "audio_detokenizer")
    whole = detokenizer.decode(torch.tensor(codes).T).numpy()
    np.testing.assert_allclose(streamed, whole, atol=1e-5, rtol=0)
    assert len(whole) == len(codes) * FRAME_SAMPLES
    assert float(np.abs(whole).max()) > 0.01


def test_the_decoder_refuses_codes_from_its_size_on(model: Lfm2Audio) -> None:
    with pytest.raises(RangeError, match="expected 8 codes of 0 to 15"):
        model.decoder().push([0] * 7 + [SIZE])
    detokenizer = Detokenizer.load(model.folder / "audio_detokenizer")
    with pytest.raises(RangeError, match="audio codes from 16 to 16: expected 0 to 15"):
        detokenizer.decode(torch.full((8, 2), SIZE))


def test_losses_of_the_first_codebooks_are_those_of_all_without_the_rest(model: Lfm2Audio) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(6, 64, generator=generator)
    codes = torch.randint(0, SIZE, (4, 8), generator=generator)

    def losses(num_books: int) -> tuple[torch.Tensor, torch.Tensor]:
        result = teacher_forced_losses(
            model.network,
            hidden,
            Targets(
                text_positions=torch.tensor([1]),
                text_tokens=torch.tensor([300]),
                frame_positions=torch.arange(2, 6),
                frame_codes=codes[:, :num_books],
            ),
        )
        return result.audio, result.audio_logits

    _, of_all = losses(8)
    audio, of_four = losses(4)
    assert of_four.shape == (4, 4, SIZE + 1)
    torch.testing.assert_close(of_four, of_all[:, :4], atol=1e-5, rtol=0)
    weights = codebook_weights(model.config, torch.device("cpu"))[:4]
    by_code = functional.cross_entropy(
        of_four.flatten(0, 1), codes[:, :4].flatten(), reduction="none"
    )
    expected = (by_code.view(4, 4) @ weights / weights.sum()).mean()
    torch.testing.assert_close(audio, expected, atol=1e-4, rtol=0)


Edit = Callable[[dict[str, Any]], object]
MODEL, DETOKENIZER = "config.json", "audio_detokenizer/config.json"
WRONG: list[tuple[str, Edit, str]] = [
    (MODEL, lambda c: c.update(codebook_size=1), "codebook_size is 1: expected 2 to 2048"),
    (MODEL, lambda c: c.update(codebook_size=2049), "codebook_size is 2049: expected 2 to 2048"),
    (MODEL, lambda c: c.update(codebook_size="16"), "codebook_size is '16': expected a whole"),
    (MODEL, lambda c: c.update(codebook_size=True), "expected a whole number above 0"),
    (MODEL, lambda c: c.update(codebook_size=None), "codebook_size is None: expected a whole"),
    (MODEL, lambda c: c.update(codebook_size=17), r"has shape \(136, 64\), config.json asks for"),
    (MODEL, lambda c: c.pop("codebook_size"), r"config.json asks for \(16392, 64\)"),
    (MODEL, lambda c: c.update(live_codebooks=9), "live_codebooks is 9: expected 1 to 8"),
    (MODEL, lambda c: c.update(live_codebooks=0), "live_codebooks is 0: expected a whole"),
    (MODEL, lambda c: c["depthformer"].update(num_heads=3), "a multiple of twice num_heads"),
    (MODEL, lambda c: c["depthformer"].update(num_kv_heads=3), "and num_heads of num_kv_heads"),
    (DETOKENIZER, lambda c: c.update(codebook_size=1), "codebook_size is 1: expected 2 to 2048"),
    (DETOKENIZER, lambda c: c.update(codebook_size=4096), "is 4096: expected 2 to 2048"),
    (DETOKENIZER, lambda c: c.update(codebook_size=1.5), "expected a whole number above 0"),
    (DETOKENIZER, lambda c: c.update(codebook_size=32), r"asks for \(256, 64\)"),
    (DETOKENIZER, lambda c: c.pop("codebook_size"), r"config.json asks for \(16384, 64\)"),
]


@pytest.mark.parametrize(("file", "change", "message"), WRONG)
def test_a_size_that_cannot_be_or_is_not_that_of_the_weights_is_named(
    tmp_path: Path, folder: Path, file: str, change: Edit, message: str
) -> None:
    copy(folder, tmp_path)
    values = json.loads((tmp_path / file).read_text())
    change(values)
    (tmp_path / file).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message):
        Lfm2Audio.load(tmp_path).decoder()


def test_a_detokenizer_of_another_size_than_the_model_is_named(
    tmp_path: Path, folder: Path
) -> None:
    copy(folder, tmp_path)
    edit(tmp_path / DETOKENIZER, codebook_size=32)
    write_random_weights(tmp_path, seed=5)
    model = Lfm2Audio.load(tmp_path)
    with pytest.raises(CheckpointError, match=r"codebook_size is 32, .* is 16: expected the same"):
        model.decoder()


def copy(folder: Path, target: Path) -> None:
    """Make `target` a model folder like `folder`, without Mimi."""
    without_mimi = shutil.ignore_patterns("tokenizer-*.safetensors", "mimi_dims.json")
    shutil.copytree(folder, target, dirs_exist_ok=True, ignore=without_mimi)
