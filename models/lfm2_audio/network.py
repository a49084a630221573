"""The parts of LFM2-Audio that hold weights, under the names of the published checkpoints."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbone import build_backbone
from models.checkpoint import check_finite
from models.conformer import Conformer
from models.errors import RangeError
from models.lfm2_audio.config import Lfm2AudioConfig
from models.lfm2_audio.depthformer import CodeEmbedding, Depthformer
from models.sampling import draw


class Network(nn.Module):
    """Encoder, adapter, backbone, and both output sides. Built on the meta device; weights come from a checkpoint.

    Attributes:
        end_of_audio: the code that means that no sound follows: the one behind the codes of a codebook.
    """

    def __init__(self, config: Lfm2AudioConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.lfm.hidden_size
        self.end_of_audio = config.codebook_size
        num_rows = config.codebook_size + 1
        self.lfm = build_backbone(config.lfm)
        with torch.device("meta"):
            self.conformer = Conformer(config.encoder)
            self.audio_adapter = Adapter(config.encoder.d_model, hidden)
            self.audio_embedding = FrameEmbedding(config.codebooks * num_rows, hidden)
            self.depth_linear = nn.Linear(hidden, config.depthformer.dim * config.codebooks)
            self.depthformer = Depthformer(config.depthformer)
            self.depth_embeddings = nn.ModuleList(
                CodeEmbedding(num_rows, config.depthformer.dim, tied=config.depthformer.tie)
                for _ in range(config.codebooks)
            )
        self.eval()

    @property
    def codebooks(self) -> list[CodeEmbedding]:
        """Input and output side of each codebook, in order."""
        return [book for book in self.depth_embeddings if isinstance(book, CodeEmbedding)]

    def is_unused(self, name: str) -> bool:
        """Whether the published checkpoints hold the tensor `name` and inference never reads it."""
        tied = (
            self.config.depthformer.tie
            and name.startswith("depth_embeddings.")
            and name.endswith(".to_logits.weight")
        )
        return tied or name in (
            "audio_embedding.embedding_norm.weight",
            "audio_embedding.to_logits.weight",
            "audio_loss_weights",
            "codebook_offsets",
        )

    def encode(self, mel: Tensor) -> Tensor:
        """Return the encoder's output, shape (T', d_model), of log-mel features (features, T)."""
        return self.conformer(mel[None].to(self.audio_adapter.dtype))[0]

    def embed_tokens(self, tokens: Sequence[int]) -> Tensor:
        """Return embeddings of text tokens, shape (tokens, hidden).

        Raises:
            RangeError: a token has no embedding.
        """
        num_embeddings = self.lfm.embed_tokens.num_embeddings
        for token in tokens:
            if not 0 <= token < num_embeddings:
                raise RangeError(f"text token {token}: expected 0 to {num_embeddings - 1}")
        return self.lfm.embed_tokens(
            torch.tensor(tokens, dtype=torch.long, device=self.lfm.embed_tokens.weight.device)
        )

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Return embeddings of audio frames, shape (frames, hidden), from codes (codebooks, frames), 0 to `end_of_audio`.

        Raises:
            RangeError: another number of codebooks, or a code beyond end-of-audio.
        """
        num_books = self.config.codebooks
        if frames.is_floating_point() or frames.is_complex():
            raise RangeError(f"codes of type {frames.dtype}: expected whole numbers")
        if frames.ndim != 2 or frames.shape[0] != num_books:
            raise RangeError(
                f"codes of shape {tuple(frames.shape)}: expected ({num_books}, frames)"
            )
        if frames.numel() and not 0 <= int(frames.min()) <= int(frames.max()) <= self.end_of_audio:
            raise RangeError(
                f"audio codes from {int(frames.min())} to {int(frames.max())}: expected 0 to {self.end_of_audio}"
            )
        offsets = torch.arange(num_books, device=frames.device)[:, None] * (self.end_of_audio + 1)
        return self.audio_embedding(frames + offsets)

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Return logits over the vocabulary from a last hidden state of the backbone."""
        return functional.linear(hidden, self.lfm.embed_tokens.weight)

    def draw_frame(
        self,
        hidden: Tensor,
        *,
        temperature: float | None,
        top_k: int | None,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the codes of one frame, shape (codebooks,), from a last hidden state (hidden,).

        Each is 0 to `end_of_audio`; codebooks that are not live hold 0 and cost nothing.

        Raises:
            NonFiniteError: the logits of a codebook are not finite.
        """
        inputs = self.depth_linear(hidden).unflatten(-1, (self.config.codebooks, -1))
        previous, past, codes = torch.zeros_like(inputs[0]), None, []
        live = self.config.num_live_codebooks
        for book, embedding in enumerate(self.codebooks[:live]):
            output, past = self.depthformer((inputs[book] + previous)[None, None], past)
            logits = embedding.logits(output[0, 0])
            check_finite(logits, f"logits of codebook {book}")
            code = draw(
                logits,
                temperature=temperature,
                top_k=top_k,
                generator=generator,
            )
            codes.append(code)
            previous = embedding(code)[0]
        codes.append(codes[0].new_zeros(self.config.codebooks - live))
        return torch.cat(codes)

    def frame_logits(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Return teacher-forced logits, shape (frames, codebooks, codes), of known frames.

        Args:
            hidden: the backbone state that each frame is drawn from, (frames, hidden).
            codes: the frames' own codes of the first codebooks, (frames, codebooks), at most as many as the model has;
                each codebook sees the ones before it.
        """
        inputs = self.depth_linear(hidden).unflatten(-1, (self.config.codebooks, -1))
        num_books = codes.shape[1]
        books = self.codebooks[:num_books]
        known = torch.stack([embedding(codes[:, book]) for book, embedding in enumerate(books)], 1)
        shifted = torch.cat((torch.zeros_like(known[:, :1]), known[:, :-1]), 1)
        output, _ = self.depthformer(inputs[:, :num_books] + shifted)
        return torch.stack(
            [embedding.logits(output[:, book]) for book, embedding in enumerate(books)], 1
        )


class Adapter(nn.Module):
    """From the encoder's width to the backbone's."""

    def __init__(self, d_model: int, hidden: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.LayerNorm(d_model), nn.Linear(d_model, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    @property
    def dtype(self) -> torch.dtype:
        """The type that the encoder and the adapter compute in."""
        return next(self.model.parameters()).dtype

    def forward(self, encoded: Tensor) -> Tensor:
        return self.model(encoded)


class FrameEmbedding(nn.Module):
    """One row for each code of each codebook; a frame is the sum of its codes' rows."""

    def __init__(self, num_rows: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_rows, hidden)

    def forward(self, rows: Tensor) -> Tensor:
        """Return shape (frames, hidden) from row numbers (codebooks, frames)."""
        return self.embedding(rows).sum(0)
