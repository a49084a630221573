"""The codec: what it sees, how it quantizes, that its decoder is the product's, and that a run is taken up again."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.detokenizer import FRAME_SAMPLES, NUM_CODEBOOKS, Detokenizer
from training.codec import (
    LATENT,
    Codec,
    Encoder,
    Quantizer,
    SpectralLoss,
    decode_batch,
    export_detokenizer,
    rebuilding_figures,
    train,
)
from training.config import CODEBOOK_SIZE, LIVE_CODEBOOKS
from training.setting import Setting
from training.state import Run


def waves(batch: int, frames: int, seed: int = 1) -> Tensor:
    return 0.1 * torch.randn(
        batch, frames * FRAME_SAMPLES, generator=torch.Generator().manual_seed(seed)
    )


@pytest.fixture(scope="module")
def codec() -> Codec:
    """An untrained codec whose codebooks are placed, and whose detokenizer holds values that bfloat16 can."""
    torch.manual_seed(5)
    codec = Codec()
    codec.quantizer.start(codec.encoder(waves(4, 100)).detach().flatten(0, 1))
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.copy_(parameter.bfloat16())
    return codec.eval()


def test_the_encoder_gives_a_latent_a_frame() -> None:
    assert Encoder()(waves(2, 5)).shape == (2, 5, LATENT)


def test_the_encoder_does_not_hear_what_comes_two_frames_later() -> None:
    encoder = Encoder().eval()
    sound = waves(1, 8)
    changed = sound.clone()
    changed[:, 5 * FRAME_SAMPLES :] = 0
    with torch.no_grad():
        first, second = encoder(sound), encoder(changed)
    # Its window reaches 20 ms ahead, so the last frame before the change may differ.
    torch.testing.assert_close(first[:, :4], second[:, :4])
    assert not torch.allclose(first[:, 5:], second[:, 5:])


def test_more_codebooks_lie_closer_to_the_latents(codec: Codec) -> None:
    latents = codec.encoder(waves(2, 40, seed=2)).detach()
    distances = [
        float((codec.quantizer(latents, num)[0] - latents).square().mean())
        for num in range(1, LIVE_CODEBOOKS + 1)
    ]
    assert distances == sorted(distances, reverse=True)


def test_gradients_pass_the_quantizer_straight_through(codec: Codec) -> None:
    latents = torch.randn(1, 3, LATENT, requires_grad=True)
    quantized, _, _ = codec.quantizer(latents)
    (gradient,) = torch.autograd.grad(quantized.sum(), latents)
    torch.testing.assert_close(gradient, torch.ones_like(gradient))


def test_a_code_that_nothing_falls_to_is_replaced() -> None:
    torch.manual_seed(1)
    quantizer = Quantizer()
    latents = torch.randn(1, 300, LATENT)
    quantizer.start(latents[0])
    quantizer.vectors[0, 7] = 1e3
    quantizer.sums[0, 7] = 1e3
    quantizer.counts[0, 7] = 0.0
    quantizer.train()(latents)
    assert quantizer.vectors[0, 7].abs().max() < 10


def test_many_waves_are_decoded_as_the_detokenizer_decodes_each(
    codec: Codec, tmp_path: Path
) -> None:
    export_detokenizer(codec, tmp_path)
    detokenizer = Detokenizer.load(tmp_path)
    # The table is written in bfloat16, so the batch is given the rows that were written.
    codes = torch.stack([codec.encode(wave) for wave in waves(2, 12)])
    padded = torch.zeros(2, NUM_CODEBOOKS, 12, dtype=torch.long)
    padded[:, :LIVE_CODEBOOKS] = codes.mT
    with torch.inference_mode():
        rows = torch.stack([detokenizer.network.emb(one) for one in padded])
        together = decode_batch(codec.detokenizer, rows)
    for one, made in zip(padded, together, strict=True):
        torch.testing.assert_close(detokenizer.decode(one), made, atol=1e-4, rtol=0)


def test_the_exported_table_is_what_training_decodes_from(codec: Codec, tmp_path: Path) -> None:
    export_detokenizer(codec, tmp_path)
    detokenizer = Detokenizer.load(tmp_path)
    assert detokenizer.codebook_size == CODEBOOK_SIZE
    codes = torch.zeros(NUM_CODEBOOKS, 5, dtype=torch.long)
    codes[:LIVE_CODEBOOKS] = torch.randint(CODEBOOK_SIZE, (LIVE_CODEBOOKS, 5))
    with torch.inference_mode():
        rows = detokenizer.network.emb(codes)
        books = torch.arange(LIVE_CODEBOOKS)[:, None]
        wanted = codec.project(codec.quantizer.vectors[books, codes[:LIVE_CODEBOOKS]].sum(0))
    # bfloat16 keeps 8 bits.
    torch.testing.assert_close(rows, wanted, atol=0.02 * float(wanted.abs().max()), rtol=0)
    assert not detokenizer.network.emb.emb.weight[LIVE_CODEBOOKS * CODEBOOK_SIZE :].any()


def test_rebuilding_is_encoding_and_decoding(codec: Codec) -> None:
    wave = waves(1, 6)
    rebuilt = codec.rebuild(codec.encode(wave[0]))
    with torch.no_grad():
        torch.testing.assert_close(rebuilt, codec(wave, LIVE_CODEBOOKS)[0][0], atol=1e-5, rtol=0)


def test_equal_waves_are_no_distance_apart_and_louder_ones_are() -> None:
    measure, sound = SpectralLoss(), waves(1, 4)
    assert float(measure(sound, sound)[0]) < 1e-5
    loss, shown = measure(2 * sound, sound)
    assert float(loss) > 1
    assert float(shown) == pytest.approx(0.69, abs=0.02)  # The logarithm of 2.


def test_figures_tell_distance_and_use_of_codes(codec: Codec) -> None:
    figures = rebuilding_figures(codec, list(waves(2, 10)))
    codec.eval()
    assert figures["held_log_mel"] > 0
    assert 0 < figures["bits_1"] <= 8


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_run_that_was_left_is_taken_up_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.codec.QUANTIZE_FROM_STEP", 2)
    monkeypatch.setattr("training.codec.CODEBOOK_SIZE", 8)
    monkeypatch.setattr("training.codec.Replies.BANK", 10)
    where = Setting(device=torch.device("cpu"), batch_size=2, workers=0, seed=1)
    train(Run(tmp_path, "codec", 0.02), where)
    first = Run(tmp_path, "codec", 0.02)
    assert first.resume(Codec(), None)
    assert first.progress.step >= 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_once_codes_are_made_only_the_decoder_learns(tmp_path: Path, codec: Codec) -> None:
    Run(tmp_path, "codec", 1.0).save(codec, None)
    (tmp_path / "codes-000.safetensors").touch()
    sound = waves(1, 10)[0]
    where = Setting(device=torch.device("cpu"), batch_size=2, workers=0, seed=1)
    train(Run(tmp_path, "codec", 0.01), where)
    trained = Codec.load(tmp_path)
    codes = codec.encode(sound)
    torch.testing.assert_close(trained.encode(sound), codes)
    assert not torch.equal(trained.rebuild(codes), codec.rebuild(codes))
