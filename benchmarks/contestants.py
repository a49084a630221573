"""The same stages of the same checkpoint, by voiced and, where it is importable, by the published implementation."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Stage = Callable[[], object]
ENCODER_SECONDS = (1, 5, 30)
PREFILL_POSITIONS = (100, 500)
STEP_CONTEXT = 100  # Positions before the step that is timed.
DETOKENIZER_FRAMES = 12  # What one turn of interleaved generation gives at once.
AUDIO_TEMPERATURE, AUDIO_TOP_K = 1.0, 4  # As conversations are sampled.


class Contestant(Protocol):
    """Somebody whose stages are timed."""

    name: str

    def stages(self) -> dict[str, Stage]:
        """Return what to time, by the name of the table's row; each call does the work once."""
        ...


def inputs(
    hidden: int, dtype: torch.dtype, device: str
) -> tuple[dict[int, np.ndarray], Tensor, Tensor]:
    """Return noise by seconds of length, embeddings (500, hidden), and codes (8, frames): equal for all contestants."""
    generator = torch.Generator().manual_seed(1)
    waves = {
        seconds: (0.1 * torch.randn(seconds * 16_000, generator=generator)).numpy()
        for seconds in ENCODER_SECONDS
    }
    embeddings = (
        torch.randn(max(PREFILL_POSITIONS), hidden, generator=generator) / hidden**0.5
    ).to(device, dtype)
    codes = torch.randint(0, 2048, (8, DETOKENIZER_FRAMES), generator=generator)
    return waves, embeddings, codes


class Voiced:
    """This project."""

    name = "voiced"

    def __init__(self, folder: Path, device: str) -> None:
        from models.lfm2_audio import Lfm2Audio

        self.model = Lfm2Audio.load(folder, device=device)
        self.device = device

    def stages(self) -> dict[str, Stage]:
        from models.backbone import BackboneCache, forward
        from models.detokenizer import Detokenizer
        from models.sampling import StepGenerator

        model, network = self.model, self.model.network
        waves, embeddings, codes = inputs(model.config.lfm.hidden_size, model.dtype, self.device)
        mels = {seconds: model.log_mel(wave) for seconds, wave in waves.items()}
        cache = BackboneCache(model.config.lfm)
        state = forward(network.lfm, embeddings[:STEP_CONTEXT], cache)[-1]
        generator = StepGenerator(1, model.device)
        detokenizer = Detokenizer.load(model.folder / "audio_detokenizer", device=self.device)
        stream = detokenizer.decoder()
        frames = codes.T.tolist()

        def encode(seconds: int) -> object:
            return network.audio_adapter(network.encode(mels[seconds]))

        def prefill(length: int) -> object:
            return forward(network.lfm, embeddings[:length], BackboneCache(model.config.lfm))

        def step() -> object:
            cache.truncate(STEP_CONTEXT)
            return forward(network.lfm, embeddings[:1], cache)

        def frame() -> object:
            return network.draw_frame(
                state, temperature=AUDIO_TEMPERATURE, top_k=AUDIO_TOP_K, generator=generator.at(0)
            )

        return {
            "mel, 5 s of sound": lambda: model.log_mel(waves[5]),
            **{
                f"encoder and adapter, {seconds} s": partial(encode, seconds)
                for seconds in ENCODER_SECONDS
            },
            **{
                f"prefill, {length} positions": partial(prefill, length)
                for length in PREFILL_POSITIONS
            },
            "backbone step": step,
            "text head": lambda: network.text_logits(state),
            "audio frame": frame,
            "detokenizer, a frame by itself": lambda: stream.push(frames[0]),
            f"detokenizer, {DETOKENIZER_FRAMES} frames at once": lambda: detokenizer.decode(codes),
        }


class LiquidAudio:
    """The published implementation, from the package liquid-audio; not a dependency of this project."""

    name = "liquid-audio"

    def __init__(self, folder: Path, device: str) -> None:
        from liquid_audio import LFM2AudioModel

        self.model = LFM2AudioModel.from_pretrained(folder, device=device).eval()
        self.folder, self.device = folder, device

    @staticmethod
    def is_importable() -> bool:
        """Whether the package is there with all that it needs."""
        if importlib.util.find_spec("liquid_audio") is None:
            return False
        try:
            import liquid_audio  # noqa: F401 (only whether it can be)
        except Exception as error:
            print(
                f"liquid-audio is installed but does not import ({error}); its column is left out"
            )
            return False
        return True

    def stages(self) -> dict[str, Stage]:
        from liquid_audio.processor import AudioToMelSpectrogramPreprocessor

        model: Any = self.model
        waves, embeddings, codes = inputs(model.lfm.config.hidden_size, torch.bfloat16, self.device)
        front = AudioToMelSpectrogramPreprocessor(**model.conf.preprocessor)
        front = front.eval().to(self.device)

        def mel(seconds: int) -> Tensor:
            wave = torch.from_numpy(waves[seconds])[None].to(self.device)
            features: Tensor = front(wave, torch.tensor([wave.shape[1]], device=self.device))[0]
            return features

        mels = {seconds: mel(seconds).to(torch.bfloat16) for seconds in ENCODER_SECONDS}

        def encode(seconds: int) -> object:
            features = mels[seconds]
            encoded, _ = model.conformer(
                features, torch.tensor([features.shape[-1]], device=self.device)
            )
            return model.audio_adapter(encoded.mT[0])

        def prefill(length: int) -> object:
            return model.lfm(inputs_embeds=embeddings[None, :length], use_cache=True)

        past = model.lfm(inputs_embeds=embeddings[None, :STEP_CONTEXT], use_cache=True)
        state, cache = past.last_hidden_state[0, -1], past.past_key_values
        detokenizer = self._detokenizer()
        codes = codes.to(self.device)
        return {
            "mel, 5 s of sound": lambda: mel(5),
            **{
                f"encoder and adapter, {seconds} s": partial(encode, seconds)
                for seconds in ENCODER_SECONDS
            },
            **{
                f"prefill, {length} positions": partial(prefill, length)
                for length in PREFILL_POSITIONS
            },
            # Its cache cannot be cut back, so each step has one position more before it: no difference at this length.
            "backbone step": lambda: model.lfm(
                inputs_embeds=embeddings[None, :1], past_key_values=cache, use_cache=True
            ),
            "text head": lambda: torch.nn.functional.linear(state, model.lfm.embed_tokens.weight),
            "audio frame": lambda: model._sample_audio_frame(  # noqa: SLF001 (has no public form)
                state, temperature=AUDIO_TEMPERATURE, top_k=AUDIO_TOP_K
            ),
            "detokenizer, a frame by itself": lambda: detokenizer(codes[None, :, :1]),
            f"detokenizer, {DETOKENIZER_FRAMES} frames at once": lambda: detokenizer(codes[None]),
        }

    def _detokenizer(self) -> Any:
        """Return its detokenizer; its own loader asks for a CUDA device whatever was wished."""
        from liquid_audio.detokenizer import LFM2AudioDetokenizer
        from safetensors.torch import load_file
        from transformers import Lfm2Config

        folder = self.folder / "audio_detokenizer"
        config = Lfm2Config.from_pretrained(folder / "config.json")
        config.layer_types = [
            "conv" if kind == "conv" else "full_attention" for kind in config.layer_types or []
        ]
        detokenizer = LFM2AudioDetokenizer(config).eval().to(self.device)
        detokenizer.load_state_dict(load_file(folder / "model.safetensors"))
        return detokenizer


def contestants() -> list[type[Voiced] | type[LiquidAudio]]:
    """Return who can take part on this machine."""
    return [Voiced, LiquidAudio] if LiquidAudio.is_importable() else [Voiced]
