"""Trains the codec: an encoder that turns reply speech into codes, and the detokenizer that turns codes into sound.

Only the detokenizer is part of the product; the encoder makes training targets. Recipe: residual vector quantization
with k-means start, moving averages and codebook dropout (Zeghidour et al. 2021, https://arxiv.org/abs/2107.03312), and
spectral losses only. Run: python -m training.codec --minutes 20
"""

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torchaudio
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.backbone import backbone_config
from models.detokenizer import (
    FRAME_SAMPLES,
    HOP_SAMPLES,
    POSITIONS_PER_FRAME,
    TRIMMED_SAMPLES,
    WINDOW_SAMPLES,
    DetokenizerNetwork,
)
from training.config import CODEBOOK_SIZE, DETOKENIZER_CONFIG, LIVE_CODEBOOKS
from training.espeak import Espeak
from training.network import materialize
from training.schedule import learning_rate
from training.setting import SEED, Setting, add_arguments, setting
from training.sound import reply_sound
from training.state import Run, load_into, write_json
from training.voices import REPLY_SPEAKERS
from training.world import World

RATE_HZ = 24_000
LATENT, WIDTH = 64, 160
NUM_BOOKS = 8
PIECE_FRAMES = 12  # Length of a training example: 0.96 s.
PEAK_RATE = 2e-3
QUANTIZE_FROM_STEP = 120
DECAY = 0.97  # Of the codebooks' moving averages.
RARE = 0.02  # A code whose moving count is below this is replaced.
COMMITMENT = 0.25
MEL_SCALES = ((2048, 100), (1024, 80), (512, 40))
STFT_SIZES = (2048, 1024, 512, 256)


def mel_filters(n_fft: int, num_mels: int) -> Tensor:
    """Return filters, shape (num_mels, n_fft // 2 + 1)."""
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, 0.0, RATE_HZ / 2, num_mels, RATE_HZ, norm="slaney", mel_scale="slaney"
    )
    return filters.T


def log_mel(filters: Tensor, magnitudes: Tensor) -> Tensor:
    """Return log-mel features, shape (B, num_mels, T), of magnitudes (B, n_fft // 2 + 1, T)."""
    return torch.log(filters @ magnitudes + 1e-4)


class Encoder(nn.Module):
    """Causal convolutions from log-mel features at 75 a second to latents at 12.5 a second."""

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", mel_filters(WINDOW_SAMPLES, 80), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW_SAMPLES), persistent=False)
        self.layers = nn.Sequential(
            CausalConv(80, WIDTH, 3),
            Residual(WIDTH),
            Residual(WIDTH),
            CausalConv(WIDTH, WIDTH, 4, stride=2),
            Residual(WIDTH),
            Residual(WIDTH),
            CausalConv(WIDTH, WIDTH, 5, stride=3),
            Residual(WIDTH),
            Residual(WIDTH),
            CausalConv(WIDTH, LATENT, 1),
        )

    def log_mel(self, waves: Tensor) -> Tensor:
        """Return features of shape (B, 80, samples / 320); each window reaches 20 ms ahead of its hop."""
        padded = functional.pad(waves, (TRIMMED_SAMPLES, TRIMMED_SAMPLES))
        spectrum = torch.stft(
            padded,
            WINDOW_SAMPLES,
            HOP_SAMPLES,
            window=self.window,
            center=False,
            return_complex=True,
        ).abs()
        return log_mel(self.filters, spectrum)

    def forward(self, waves: Tensor) -> Tensor:
        """Return latents, shape (B, frames, LATENT), of waves (B, 1920 * frames)."""
        latents: Tensor = self.layers((self.log_mel(waves) + 4) / 3)
        return latents.mT


class CausalConv(nn.Module):
    """A convolution whose outputs see nothing newer than the last input of their stride."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.padding = kernel - stride
        self.conv = nn.Conv1d(channels, out, kernel, stride=stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (B, out, T / stride) of (B, channels, T)."""
        y: Tensor = self.conv(functional.pad(x, (self.padding, 0)))
        return y


class Residual(nn.Module):
    """A look back over five steps and a layer of twice the width, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = CausalConv(width, width, 5, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape that came, (B, width, T)."""
        y: Tensor = self.narrow(functional.gelu(self.widen(self.norm(self.mix(x).mT))))
        return x + y.mT


class Quantizer(nn.Module):
    """Residual vector quantization: each codebook describes what those before it left over.

    The vectors are moving averages of what fell to them, so no gradient reaches them.
    """

    vectors: Tensor  # (books, codes, LATENT)
    counts: Tensor  # How many latents fell to each code of late.
    sums: Tensor  # And their sum.
    is_started: Tensor  # 0 until k-means has placed the vectors.

    def __init__(self) -> None:
        super().__init__()
        shape = (LIVE_CODEBOOKS, CODEBOOK_SIZE)
        self.register_buffer("vectors", torch.zeros(*shape, LATENT))
        self.register_buffer("counts", torch.ones(shape))
        self.register_buffer("sums", torch.zeros(*shape, LATENT))
        self.register_buffer("is_started", torch.zeros(()))

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """Place the codebooks by k-means on latents (n, LATENT)."""
        rest = latents.clone()
        for book in range(LIVE_CODEBOOKS):
            centres = rest[torch.randperm(len(rest))[:CODEBOOK_SIZE]].clone()
            for _ in range(10):
                nearest = torch.cdist(rest, centres).argmin(1)
                counts = torch.bincount(nearest, minlength=CODEBOOK_SIZE).float()[:, None]
                means = torch.zeros_like(centres).index_add_(0, nearest, rest) / counts.clamp(min=1)
                fresh = rest[torch.randint(len(rest), (CODEBOOK_SIZE,))]
                centres = torch.where(counts > 0, means, fresh)
            self.vectors[book], self.sums[book] = centres, centres
            rest = rest - centres[torch.cdist(rest, centres).argmin(1)]
        self.is_started.fill_(1)

    def forward(
        self, latents: Tensor, num_books: int = LIVE_CODEBOOKS
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return quantized latents (straight through), codes (B, frames, books) and the commitment loss."""
        rest, total = latents.flatten(0, 1), torch.zeros_like(latents.flatten(0, 1))
        codes, commitment = [], latents.new_zeros(())
        for book in range(num_books):
            vectors = self.vectors[book]
            nearest = (vectors.square().sum(1) - 2 * rest.detach() @ vectors.T).argmin(1)
            chosen = vectors[nearest]
            commitment = commitment + functional.mse_loss(rest, chosen)
            if self.training:
                self._follow(book, nearest, rest.detach())
            codes.append(nearest.view(latents.shape[:2]))
            rest, total = rest - chosen, total + chosen
        quantized = latents + (total.view_as(latents) - latents).detach()
        return quantized, torch.stack(codes, -1), commitment

    @torch.no_grad()
    def _follow(self, book: int, nearest: Tensor, rest: Tensor) -> None:
        counts, sums = self.counts[book], self.sums[book]
        counts.mul_(DECAY).add_(
            torch.bincount(nearest, minlength=CODEBOOK_SIZE).float(), alpha=1 - DECAY
        )
        sums.mul_(DECAY).index_add_(0, nearest, rest * (1 - DECAY))
        self.vectors[book] = sums / counts.clamp(min=1e-3)[:, None]
        rare = counts < RARE
        if rare.any():
            drawn = rest[torch.randint(len(rest), (int(rare.sum()),), device=rest.device)]
            self.vectors[book, rare] = drawn
            self.sums[book, rare] = drawn * 0.3
            self.counts[book, rare] = 0.3


class Codec(nn.Module):
    """Encoder, quantizer and the product's detokenizer, whose embedding table is made from the codebooks."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.quantizer = Encoder(), Quantizer()
        config = backbone_config(
            {name: value for name, value in DETOKENIZER_CONFIG.items() if name != "codebook_size"},
            "detokenizer",
            windowed=True,
        )
        self.project = nn.Linear(LATENT, config.hidden_size, bias=False)
        self.detokenizer = DetokenizerNetwork(config, codebook_size=CODEBOOK_SIZE)
        materialize(self.detokenizer, torch.device("cpu"), seed=SEED)
        with torch.no_grad():
            self.detokenizer.lin.weight.normal_(0, 0.02)
            self.detokenizer.lin.bias.zero_()
            self.detokenizer.lin.bias[: WINDOW_SAMPLES // 2 + 1] = -2
        self.has_fixed_codes = False
        self.train()

    def fix_codes(self) -> None:
        """Let training change the decoder only: what was encoded so far keeps its meaning."""
        self.has_fixed_codes = True
        self.encoder.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Codec":  # noqa: FBT001, FBT002 (torch's own form)
        """Go into training mode; the codebooks stay out of it where the codes are fixed."""
        super().train(mode)
        if self.has_fixed_codes:
            self.quantizer.eval()
        return self

    def forward(self, waves: Tensor, num_books: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return rebuilt waves, the commitment loss and the latents while there are no codebooks yet."""
        latents = self.encoder(waves)
        if not self.quantizer.is_started:
            return self.decode(latents), latents.new_zeros(()), latents.detach()
        quantized, _, commitment = self.quantizer(latents, num_books)
        return self.decode(quantized), commitment, None

    def decode(self, quantized: Tensor) -> Tensor:
        """Return waves, shape (B, 1920 * frames), of quantized latents (B, frames, LATENT)."""
        return decode_batch(self.detokenizer, self.project(quantized))

    @torch.no_grad()
    def encode(self, wave: Tensor) -> Tensor:
        """Return codes, shape (frames, live codebooks), of a wave (1920 * frames,) at 24 kHz; for a codec in `eval`."""
        _, codes, _ = self.quantizer(self.encoder(wave[None]))
        frames: Tensor = codes[0]
        return frames

    @torch.no_grad()
    def rebuild(self, codes: Tensor) -> Tensor:
        """Return the wave, shape (1920 * frames,), of codes (frames, live codebooks)."""
        books = torch.arange(LIVE_CODEBOOKS, device=codes.device)
        return self.decode(self.quantizer.vectors[books, codes].sum(1)[None])[0]

    @torch.no_grad()
    def table(self) -> Tensor:
        """Return the detokenizer's embedding rows, of which a frame is the mean over eight books."""
        rows = torch.zeros(NUM_BOOKS, CODEBOOK_SIZE, self.project.out_features)
        rows[:LIVE_CODEBOOKS] = NUM_BOOKS * self.project(self.quantizer.vectors.cpu())
        return rows.flatten(0, 1)

    @classmethod
    def load(cls, state: Path) -> "Codec":
        """Return the codec that a run saved in `state`."""
        codec = cls()
        load_into(codec, load_file(state / "codec.safetensors"))
        return codec.eval()


def decode_batch(network: DetokenizerNetwork, frames: Tensor) -> Tensor:
    """Return waves, shape (B, 1920 * T), of embedded frames (B, T, hidden): the detokenizer, for many at once."""
    positions = frames.repeat_interleave(POSITIONS_PER_FRAME, 1)
    num = positions.shape[1]
    distance = torch.arange(num, device=frames.device)
    distance = distance[:, None] - distance
    mask = ((distance >= 0) & (distance < network.window))[None, None]
    hidden = network.lfm(
        inputs_embeds=positions,
        attention_mask={"full_attention": mask, "conv": None},
        position_ids=torch.arange(num, device=frames.device)[None],
        use_cache=False,
    ).last_hidden_state
    log_magnitude, phase = network.lin(hidden).float().chunk(2, dim=-1)
    spectrum = torch.polar(log_magnitude.clamp(max=6).exp(), phase)
    window = network.analysis_window.to(frames.device)
    pieces = torch.fft.irfft(spectrum, WINDOW_SAMPLES, dim=-1) * window
    span = (num - 1) * HOP_SAMPLES + WINDOW_SAMPLES
    weights = window.square().expand(1, num, -1)
    sums, weights = (
        functional.fold(
            parts.mT, (1, span), kernel_size=(1, WINDOW_SAMPLES), stride=(1, HOP_SAMPLES)
        ).flatten(1)[:, TRIMMED_SAMPLES : span - TRIMMED_SAMPLES]
        for parts in (pieces, weights)
    )
    return sums / weights


class SpectralLoss(nn.Module):
    """How far two waves lie apart in magnitude, over several resolutions; phase is left to the detokenizer."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = {n_fft: mel_filters(n_fft, num) for n_fft, num in MEL_SCALES}

    def forward(self, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and, of it, the log-mel distance at 1024 points."""
        total, shown = made.new_zeros(()), made.new_zeros(())
        for n_fft in STFT_SIZES:
            x, y = (magnitudes(wave, n_fft) for wave in (wanted, made))
            total = total + (torch.log(x + 1e-3) - torch.log(y + 1e-3)).abs().mean()
            total = total + 0.5 * (x - y).norm() / (x.norm() + 1e-3)
            if n_fft in self.filters:
                filters = self.filters[n_fft].to(x.device)
                distance = log_mel(filters, x) - log_mel(filters, y)
                total = total + 3 * distance.abs().mean()
                if n_fft == 1024:
                    shown = distance.abs().mean().detach()
        return total, shown


def magnitudes(waves: Tensor, n_fft: int) -> Tensor:
    """Return STFT magnitudes, shape (B, n_fft // 2 + 1, T)."""
    window = torch.hann_window(n_fft, device=waves.device)
    return torch.stft(
        waves, n_fft, n_fft // 4, window=window, pad_mode="constant", return_complex=True
    ).abs()


class Replies(IterableDataset[Tensor]):
    """Endless batches of pieces of reply speech, shape (B, 1920 * PIECE_FRAMES)."""

    BANK = 400  # Utterances at hand; a tenth is renewed at a time.

    def __init__(self, world: World, batch_size: int, seed: int) -> None:
        self.world, self.batch_size, self.seed = world, batch_size, seed

    def __iter__(self) -> Iterator[Tensor]:
        worker = get_worker_info()
        rng = random.Random(f"codec/{self.seed}/{worker.id if worker else 0}")
        espeak = Espeak()
        bank = [self._draw(espeak, rng) for _ in range(self.BANK)]
        while True:
            for _ in range(50):
                yield torch.stack(
                    [self._cut(rng.choice(bank), rng) for _ in range(self.batch_size)]
                )
            for _ in range(self.BANK // 10):
                bank[rng.randrange(len(bank))] = self._draw(espeak, rng)

    def _draw(self, espeak: Espeak, rng: random.Random) -> Tensor:
        exchange = self.world.draw(rng)
        text = exchange.answer if rng.random() < 0.5 else exchange.question
        sound = reply_sound(espeak, text, rng.choice(list(REPLY_SPEAKERS)))
        silence = np.zeros(PIECE_FRAMES * FRAME_SAMPLES, np.float32)
        return torch.from_numpy(np.concatenate((silence[:FRAME_SAMPLES], sound, silence)))

    def _cut(self, sound: Tensor, rng: random.Random) -> Tensor:
        length = PIECE_FRAMES * FRAME_SAMPLES
        start = rng.randrange((len(sound) - length) // FRAME_SAMPLES + 1) * FRAME_SAMPLES
        return sound[start : start + length]


def held_out_replies(world: World, num: int, *, seed: int) -> list[Tensor]:
    """Return replies that training never draws, waves of shape (1920 * frames,), voice by voice."""
    rng, espeak, voices = random.Random(seed), Espeak(), list(REPLY_SPEAKERS)
    return [
        torch.from_numpy(
            reply_sound(
                espeak, world.draw(rng, held_out=True).question, voices[index % len(voices)]
            )
        )
        for index in range(num)
    ]


@torch.no_grad()
def rebuilding_figures(codec: Codec, waves: Sequence[Tensor]) -> dict[str, float]:
    """Return the log-mel distance between waves and what their codes give back, and the codebooks' use.

    Returns:
        `held_log_mel`: mean distance of 80 log-mel features, natural logarithm.
        `bits_K`: entropy of codebook K's codes, at most 8.
    """
    codec.eval()
    device = codec.quantizer.vectors.device
    distances, codes = [], []
    for wave in waves:
        codes.append(codec.encode(wave.to(device)))
        rebuilt = codec.rebuild(codes[-1])
        features = [codec.encoder.log_mel(one[None]) for one in (wave.to(device), rebuilt)]
        distances.append(float((features[0] - features[1]).abs().mean()))
    codec.train()
    figures = {"held_log_mel": sum(distances) / len(distances)}
    for book, column in enumerate(torch.cat(codes).T):
        parts = torch.bincount(column, minlength=CODEBOOK_SIZE) / len(column)
        figures[f"bits_{book + 1}"] = -float(torch.xlogy(parts, parts).sum()) / math.log(2)
    return figures


def train(run: Run, where: Setting) -> None:
    """Train until the run's time is spent; where codes have been made already, the decoder only.

    In float32 on a GPU too, where the codec is small beside the spectra.
    """
    world = World.load()
    torch.manual_seed(where.seed)
    codec = Codec().to(where.device)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=PEAK_RATE, betas=(0.8, 0.99))
    if run.resume(codec, optimizer) and any(run.folder.glob("codes-*.safetensors")):
        codec.fix_codes()
    measure, rng = SpectralLoss(), random.Random(where.seed + run.progress.step)
    data = Replies(world, where.batch_size, where.seed + run.progress.step)
    batches = iter(DataLoader(data, batch_size=None, num_workers=min(4, where.workers)))
    latents: list[Tensor] = []
    held_out = held_out_replies(world, 24, seed=1)
    while run.fraction < 1:
        waves = next(batches).to(where.device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(PEAK_RATE, run.progress.step, run.fraction)
        num_books = LIVE_CODEBOOKS if rng.random() < 0.75 else rng.randint(1, LIVE_CODEBOOKS)
        rebuilt, commitment, unquantized = codec(waves, num_books)
        spectral, shown = measure(rebuilt, waves)
        optimizer.zero_grad()
        total: Tensor = spectral + COMMITMENT * commitment
        total.backward()
        norm = nn.utils.clip_grad_norm_(codec.parameters(), 5.0)
        optimizer.step()
        run.advance(
            loss=spectral.item(),
            log_mel=shown.item(),
            commitment=commitment.item(),
            norm=float(norm),
        )
        if unquantized is not None:
            latents.append(unquantized.flatten(0, 1))
            if run.progress.step >= QUANTIZE_FROM_STEP:
                codec.quantizer.start(torch.cat(latents[-60:]))
        if run.log_is_due:
            figures = rebuilding_figures(codec, held_out) if codec.quantizer.is_started else {}
            run.log(lr=optimizer.param_groups[0]["lr"], **figures)
        if run.save_is_due:
            run.save(codec, optimizer)
    run.save(codec, optimizer)


def export_detokenizer(codec: Codec, folder: Path) -> None:
    """Write the detokenizer as `audio_detokenizer` folders have it, in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", DETOKENIZER_CONFIG)
    weights = dict(codec.detokenizer.state_dict())
    weights["emb.emb.weight"] = codec.table()
    save_file(
        {
            name: tensor.detach().cpu().to(torch.bfloat16).contiguous()
            for name, tensor in weights.items()
            if not name.startswith("lfm.rotary_emb.")
        },
        folder / "model.safetensors",
        {"format": "pt"},
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.codec", description=__doc__)
    add_arguments(parser, minutes=20)
    args = parser.parse_args()
    train(Run(args.state, "codec", args.minutes), setting(args, cpu_batch=8, cuda_batch=32))


if __name__ == "__main__":
    main()
