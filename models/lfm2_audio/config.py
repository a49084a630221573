"""The sizes of an LFM2-Audio model, read from its `config.json` in every published spelling.

Source of the keys and their meaning: the published repositories' config.json and the package liquid-audio 1.3.0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers import Lfm2Config

from models.backbone import backbone_config
from models.config import parse_section
from models.conformer import ConformerConfig
from models.errors import CheckpointError
from models.folder import read_json
from models.lfm2_audio.depthformer import DepthformerConfig
from models.mel import PreprocessorConfig

MAX_CODEBOOKS = 32  # What Mimi has.
MAX_CODEBOOK_SIZE = 2048  # What the published code fixes; a smaller model may give fewer.


@dataclass(frozen=True, slots=True, kw_only=True)
class Lfm2AudioConfig:
    """Everything `config.json` says of an LFM2-Audio model."""

    codebooks: int
    tie_audio_embeddings: bool
    interleaved_n_text: int
    interleaved_n_audio: int
    preprocessor: PreprocessorConfig
    encoder: ConformerConfig
    lfm: Lfm2Config
    depthformer: DepthformerConfig
    codebook_size: int = MAX_CODEBOOK_SIZE  # Codes a codebook; end-of-audio is the row behind them.
    live_codebooks: int = (
        0  # Only so many are drawn, the others hold code 0; 0, as no file says: all.
    )
    semantic_codebook_factor: float = 100.0  # Training only, as the next three.
    codebook_weight: Literal["log", "linear"] = "log"
    text_loss_multiplier: float = 1.0
    audio_loss_multiplier: float = 1.0

    @property
    def num_live_codebooks(self) -> int:
        """How many codebooks of a frame are drawn."""
        return self.live_codebooks or self.codebooks

    @classmethod
    def read(cls, folder: Path) -> "Lfm2AudioConfig":
        """Return the configuration in `folder/config.json`.

        Raises:
            CheckpointError: the file is missing, of another model, or asks for something that is not supported.
        """
        path = folder / "config.json"
        values = read_json(path)
        lacking = [
            name for name in ("preprocessor", "encoder", "lfm", "depthformer") if name not in values
        ]
        if lacking:
            kind = values.get("model_type") or values.get("architectures") or "unknown"
            raise CheckpointError(
                f"{path}: describes a model of type '{kind}' and lacks {', '.join(lacking)}: "
                "expected LFM2-Audio, for example LiquidAI/LFM2.5-Audio-1.5B"
            )
        config = parse_section(
            cls,
            values,
            str(path),
            sections={
                "preprocessor": lambda section, where: parse_section(
                    PreprocessorConfig, section, where
                ),
                "encoder": lambda section, where: parse_section(ConformerConfig, section, where),
                "lfm": backbone_config,
                "depthformer": lambda section, where: parse_section(
                    DepthformerConfig, section, where
                ),
            },
        )
        _check(config, str(path))
        return config


def _check(config: Lfm2AudioConfig, where: str) -> None:
    if not 1 <= config.codebooks <= MAX_CODEBOOKS:
        raise CheckpointError(
            f"{where}: codebooks is {config.codebooks}: expected 1 to {MAX_CODEBOOKS}"
        )
    if not 2 <= config.codebook_size <= MAX_CODEBOOK_SIZE:
        raise CheckpointError(
            f"{where}: codebook_size is {config.codebook_size}: expected 2 to {MAX_CODEBOOK_SIZE}"
        )
    if not 1 <= config.num_live_codebooks <= config.codebooks:
        raise CheckpointError(
            f"{where}: live_codebooks is {config.live_codebooks}: expected 1 to {config.codebooks}, "
            "the number of codebooks"
        )
    depth = config.depthformer
    if depth.dim % (2 * depth.num_heads) or depth.num_heads % depth.num_kv_heads:
        raise CheckpointError(
            f"{where}: depthformer: dim {depth.dim}, num_heads {depth.num_heads}, num_kv_heads {depth.num_kv_heads}: "
            "expected dim to be a multiple of twice num_heads, and num_heads of num_kv_heads"
        )
    if config.preprocessor.features != config.encoder.feat_in:
        raise CheckpointError(
            f"{where}: preprocessor.features is {config.preprocessor.features}, "
            f"encoder.feat_in {config.encoder.feat_in}: expected the same"
        )
    front = config.preprocessor
    if not 0 < front.hop_samples <= front.window_samples <= front.n_fft:
        raise CheckpointError(
            f"{where}: preprocessor: a stride of {front.window_stride} s, a window of {front.window_size} s and n_fft "
            f"{front.n_fft}: expected each to be shorter than the next"
        )
    if config.encoder.att_context_size not in ([-1, -1], (-1, -1)):
        raise CheckpointError(
            f"{where}: encoder.att_context_size is {config.encoder.att_context_size}: expected [-1, -1], full context"
        )
    if config.encoder.d_model % config.encoder.n_heads:
        raise CheckpointError(f"{where}: encoder.d_model must be a multiple of encoder.n_heads")
    if config.encoder.subsampling_factor not in (2, 4, 8, 16):
        raise CheckpointError(f"{where}: encoder.subsampling_factor must be 2, 4, 8 or 16")
