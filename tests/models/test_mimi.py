"""Mimi: streams against the whole, files that are not right, input that is not right.

That it equals the published implementation is held by `test_golden.py`.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from audio.errors import AudioError, FormatError
from models.decoding import FrameDecoder
from models.errors import CheckpointError, NonFiniteError, RangeError
from models.mimi import DIMS_FILE, WEIGHTS_FILE, Mimi, MimiDims, random_weights
from models.mimi.codec import _on_meta_device
from models.mimi.dims import QuantizerDims, SeanetDims, TransformerDims
from models.mimi.weights import layout, to_transformers

CONTEXT = 7  # Steps, so that three frames and a half fill the window.
FRAMES_IN_WINDOW = CONTEXT // 2
SMALL = MimiDims(
    seanet=SeanetDims(dimension=16, n_filters=2),
    quantizer=QuantizerDims(dimension=8, n_q=9, bins=32, input_dimension=16, output_dimension=16),
    transformer=TransformerDims(
        d_model=16,
        num_heads=2,
        num_layers=2,
        layer_scale=0.2,
        context=CONTEXT,
        dim_feedforward=32,
        input_dimension=16,
        output_dimensions=(16,),
    ),
)
QUERY = "decoder_transformer.transformer.layers.1.self_attn.in_projs.0.weight"
# Float32 sums in another order: sound of size 0.1 moves by 1e-7.
SAME_SOUND = 2e-6


def write_mimi(folder: Path, weights: dict[str, Tensor]) -> Path:
    (folder / DIMS_FILE).write_text(SMALL.to_json())
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS_FILE
    )
    return folder


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return random_weights(SMALL, seed=1)


@pytest.fixture(scope="module")
def mimi(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, Tensor]) -> Mimi:
    return Mimi.load(write_mimi(tmp_path_factory.mktemp("mimi"), weights))


def some_codes(num_frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(num_frames)
    return torch.randint(0, SMALL.quantizer.bins, (8, num_frames), generator=generator)


def some_sound(num_samples: int) -> Tensor:
    return 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(num_samples))


def stream_decode(decoder: FrameDecoder, codes: Tensor) -> Tensor:
    return torch.from_numpy(np.concatenate([decoder.push(frame.tolist()) for frame in codes.T]))


def stream_encode(mimi: Mimi, samples: Tensor) -> Tensor:
    encoder = mimi.encoder()
    return torch.stack([encoder.push(frame) for frame in samples.view(-1, 1920)], 1)


@torch.inference_mode()
def with_published_window(transformer: Any, latents: Tensor) -> Tensor:
    """All steps at once, each seeing what the published ring still holds when its frame has been written."""
    steps = torch.arange(latents.shape[2])
    last_of_frame = steps | 1
    is_seen = (steps <= steps[:, None]) & (last_of_frame[:, None] - steps < CONTEXT)
    x = latents.transpose(1, 2)
    rotations = transformer.rotary_emb(x, steps[None])
    for layer in transformer.layers:
        x = layer(x, attention_mask=is_seen[None, None], position_embeddings=rotations)
    return torch.as_tensor(x).transpose(1, 2)


# Streams


def test_streamed_sound_equals_the_whole_until_the_window_is_full(mimi: Mimi) -> None:
    codes = some_codes(FRAMES_IN_WINDOW)
    streamed = stream_decode(mimi.decoder(), codes)
    assert streamed.shape == (FRAMES_IN_WINDOW * 1920,)
    torch.testing.assert_close(streamed, mimi.decode(codes), atol=SAME_SOUND, rtol=0)


def test_streamed_sound_past_the_window_follows_the_published_ring(mimi: Mimi) -> None:
    codes, model = some_codes(25), mimi._model
    with torch.inference_mode():
        latents = model.decoder.upsample(model.quantizer.decode(codes[None]))
        latents = with_published_window(model.decoder.decoder_transformer, latents)
        expected = model.decoder.decoder_seanet(latents)[0, 0]
    streamed = stream_decode(mimi.decoder(), codes)
    torch.testing.assert_close(streamed, expected, atol=SAME_SOUND, rtol=0)
    assert (streamed - mimi.decode(codes)).abs().max() > 100 * SAME_SOUND


def test_streamed_codes_equal_the_whole_until_the_window_is_full(mimi: Mimi) -> None:
    samples = some_sound(FRAMES_IN_WINDOW * 1920)
    assert torch.equal(stream_encode(mimi, samples), mimi.encode(samples))


def test_streamed_codes_past_the_window_follow_the_published_ring(mimi: Mimi) -> None:
    samples, model = some_sound(25 * 1920), mimi._model
    with torch.inference_mode():
        latents = model.encoder.encoder_seanet(samples[None, None])
        latents = with_published_window(model.encoder.encoder_transformer, latents)
        expected = model.quantizer.encode(model.encoder.downsample(latents), 8)[:, 0]
    assert torch.equal(stream_encode(mimi, samples), expected)


def test_decoder_after_reset_repeats_itself(mimi: Mimi) -> None:
    codes, decoder = some_codes(2 * FRAMES_IN_WINDOW), mimi.decoder()
    first = stream_decode(decoder, codes)
    decoder.reset()
    assert torch.equal(stream_decode(decoder, codes), first)


def test_flush_has_nothing_to_give_and_resets(mimi: Mimi) -> None:
    codes, decoder = some_codes(3), mimi.decoder()
    first = stream_decode(decoder, codes)
    rest = decoder.flush()
    assert rest.size == 0
    assert rest.dtype == np.float32
    assert torch.equal(stream_decode(decoder, codes), first)


def test_encoder_after_reset_repeats_itself(mimi: Mimi) -> None:
    frames, encoder = some_sound(5 * 1920).view(-1, 1920), mimi.encoder()
    first = [encoder.push(frame) for frame in frames]
    encoder.reset()
    assert torch.equal(torch.stack([encoder.push(frame) for frame in frames]), torch.stack(first))


def test_decoders_of_one_codec_do_not_disturb_each_other(mimi: Mimi) -> None:
    mine, yours = some_codes(5), some_codes(6)[:, :5]
    alone = stream_decode(mimi.decoder(), mine)
    one, other = mimi.decoder(), mimi.decoder()
    mixed = []
    for my_frame, your_frame in zip(mine.T, yours.T, strict=True):
        mixed.append(torch.from_numpy(one.push(my_frame.tolist())))
        other.push(your_frame.tolist())
    assert torch.equal(torch.cat(mixed), alone)


# Input that is not right


@pytest.mark.parametrize(
    "frame", [[0] * 7, [0] * 9, [], [0] * 7 + [32], [-1] + [0] * 7, [2048] * 8, [2**70] + [0] * 7]
)
def test_refused_frame_leaves_the_decoder_as_it_was(mimi: Mimi, frame: list[int]) -> None:
    codes, decoder = some_codes(4), mimi.decoder()
    before = stream_decode(decoder, codes[:, :2])
    with pytest.raises(RangeError, match="expected"):
        decoder.push(frame)
    after = stream_decode(decoder, codes[:, 2:])
    assert torch.equal(torch.cat((before, after)), stream_decode(mimi.decoder(), codes))


def test_code_outside_its_codebook_is_refused_with_its_place(mimi: Mimi) -> None:
    codes = some_codes(5)
    codes[3, 2] = 32
    with pytest.raises(RangeError, match="code 32 of codebook 3 in frame 2: expected 0 to 31"):
        mimi.decode(codes)


@pytest.mark.parametrize(
    "codes", [torch.zeros(7, 3, dtype=torch.int64), torch.zeros(8), torch.zeros(8, 3)]
)
def test_codes_of_another_form_are_refused(mimi: Mimi, codes: Tensor) -> None:
    with pytest.raises(RangeError, match="expected int64, 8 codes a frame"):
        mimi.decode(codes)


def test_sound_that_ends_within_a_frame_is_filled_with_zeros(mimi: Mimi) -> None:
    samples = some_sound(3000)
    filled = torch.cat((samples, torch.zeros(840)))
    assert torch.equal(mimi.encode(samples), mimi.encode(filled))


def test_nothing_gives_nothing(mimi: Mimi) -> None:
    assert mimi.encode(torch.zeros(0)).shape == (8, 0)
    assert mimi.decode(torch.zeros(8, 0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("num_samples", [0, 1, 1919, 1921, 3840])
def test_stream_encoder_takes_whole_frames_only(mimi: Mimi, num_samples: int) -> None:
    with pytest.raises(RangeError, match="expected a frame of 1920"):
        mimi.encoder().push(torch.zeros(num_samples))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_sound_that_is_not_finite_is_refused(mimi: Mimi, bad: float) -> None:
    samples = torch.zeros(1920)
    samples[7] = bad
    for encode in (mimi.encode, mimi.encoder().push):
        with pytest.raises(AudioError, match="1 of 1920 samples"):
            encode(samples)


@pytest.mark.parametrize("samples", [torch.zeros(1, 1920), torch.zeros(1920, dtype=torch.int16)])
def test_sound_of_another_form_is_refused(mimi: Mimi, samples: Tensor) -> None:
    for encode in (mimi.encode, mimi.encoder().push):
        with pytest.raises(FormatError, match="one dimension of float32"):
            encode(samples)


# Files


@pytest.mark.parametrize(
    "spellings",
    [
        {"in_projs.0.weight": "in_proj_weight", "out_projs.0.weight": "out_proj.weight"},
        {"in_projs.0.weight": "in_proj.weight"},
        {"_initialized": "inited", "cluster_usage": "cluster_size", "embedding_sum": "embed_avg"},
        {"embedding_sum": "embed_sum"},
    ],
)
def test_older_spellings_are_read_alike(
    tmp_path: Path, mimi: Mimi, weights: dict[str, Tensor], spellings: dict[str, str]
) -> None:
    respelled = dict(weights)
    for name in weights:
        for new, old in spellings.items():
            if name.endswith("." + new):
                respelled[name.removesuffix(new) + old] = respelled.pop(name)
    assert respelled.keys() != weights.keys()
    codes = some_codes(3)
    assert torch.equal(Mimi.load(write_mimi(tmp_path, respelled)).decode(codes), mimi.decode(codes))


def test_half_precision_weights_become_float32(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    mimi = Mimi.load(write_mimi(tmp_path, halves))
    assert {tensor.dtype for tensor in mimi._model.state_dict().values()} == {torch.float32}
    assert mimi.decode(some_codes(2)).dtype == torch.float32


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__delitem__(name)


def with_value(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__setitem__(name, tensor)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(QUERY), f"lacks 1 of .* first {QUERY}"),
        (with_value("decoder.model.99.bias", torch.ones(2)), "no place for, first decoder.model.99"),
        (with_value(QUERY, torch.ones(16, 48)), r"in_projs.0.weight has shape \(16, 48\): expected \(48, 16\)"),
        (with_value(QUERY.replace("s.0.", "_"), torch.ones(48, 16)), "one tensor twice"),
        (with_value(QUERY, torch.ones(48, 16, dtype=torch.int32)), "is of type I32"),
    ],
)  # fmt: skip
def test_file_of_another_model_is_refused_with_the_tensor_named(
    tmp_path: Path,
    weights: dict[str, Tensor],
    change: Callable[[dict[str, Tensor]], None],
    message: str,
) -> None:
    changed = dict(weights)
    change(changed)
    with pytest.raises(CheckpointError, match=message):
        Mimi.load(write_mimi(tmp_path, changed))


def test_weight_that_is_not_finite_is_refused_with_its_name(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    spoilt = weights[QUERY].clone()
    spoilt[5, 3] = float("nan")
    with pytest.raises(NonFiniteError, match=QUERY):
        Mimi.load(write_mimi(tmp_path, weights | {QUERY: spoilt}))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"{WEIGHTS_FILE}: no such file"):
        Mimi.load(tmp_path)


@pytest.mark.parametrize("num_bytes", [0, 4, 1000, -1])
def test_truncated_file_is_refused(
    tmp_path: Path, weights: dict[str, Tensor], num_bytes: int
) -> None:
    path = write_mimi(tmp_path, weights) / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        Mimi.load(tmp_path)


# Sizes


def test_published_names_and_shapes_fill_the_model_without_rest() -> None:
    published = MimiDims()
    state = to_transformers(
        {name: torch.empty(shape, device="meta") for name, shape in layout(published).items()},
        published,
    )
    model_state = _on_meta_device(published).state_dict()
    unused = {name for name in state if name not in model_state}
    assert len(unused) == 3 * 24  # Three tensors of each codebook after the eighth.
    assert {name: state[name].shape for name in model_state} == {
        name: tensor.shape for name, tensor in model_state.items()
    }


def test_sizes_survive_their_file(tmp_path: Path) -> None:
    (tmp_path / DIMS_FILE).write_text(SMALL.to_json())
    assert MimiDims.from_json(tmp_path / DIMS_FILE) == SMALL
    assert MimiDims.of_folder(tmp_path) == SMALL


def test_folder_without_sizes_has_the_published_ones(tmp_path: Path) -> None:
    assert MimiDims.of_folder(tmp_path) == MimiDims()


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("seanet", "activation", "ReLU"),
        ("seanet", "ratios", [8, 6, 5]),
        ("seanet", "ratios", [8, 6, 5, -4]),
        ("seanet", "ratios", [1] * 100_000),
        ("seanet", "dimension", 10**12),
        ("seanet", "n_residual_layers", 10**9),
        ("seanet", "causal", False),
        ("seanet", "surprise", 1),
        ("quantizer", "n_q", 7),
        ("quantizer", "n_q", 10**9),
        ("quantizer", "bins", 33),
        ("quantizer", "dimension", 16),
        ("transformer", "num_heads", 3),
        ("transformer", "num_heads", "2"),
        ("transformer", "context", 1),
        ("transformer", "input_dimension", 12),
        ("transformer", "output_dimensions", [16, 16]),
    ],
)
def test_sizes_that_no_mimi_has_are_refused(
    tmp_path: Path, section: str, key: str, value: object
) -> None:
    sizes = asdict(SMALL)
    sizes[section][key] = value
    (tmp_path / DIMS_FILE).write_text(json.dumps(sizes))
    with pytest.raises(CheckpointError, match=key):
        MimiDims.from_json(tmp_path / DIMS_FILE)


# Random weights


def test_random_weights_come_from_their_seed(weights: dict[str, Tensor]) -> None:
    again, other = random_weights(SMALL, seed=1), random_weights(SMALL, seed=2)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(weights[QUERY], other[QUERY])
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == layout(SMALL)


def test_random_weights_make_sound_and_codes_of_a_sane_size(mimi: Mimi) -> None:
    sound = mimi.decode(some_codes(25))
    assert 0.03 < sound.square().mean().sqrt() < 0.3
    codes = mimi.encode(some_sound(25 * 1920))
    assert all(len(row.unique()) > 3 for row in codes)
