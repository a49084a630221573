"""What a command needs of a speech model, whichever it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from audio.chunk import Samples

if TYPE_CHECKING:  # These import torch, and the rates below are needed before the model is.
    from models.decoding import FrameDecoder
    from models.lfm2_audio import Mode, Sampling, Step

SOUND_RATE_HZ = 24_000  # Of what a decoder returns.
FRAME_SAMPLES = 1920  # At that rate, 80 ms.
FRAMES_PER_S = SOUND_RATE_HZ / FRAME_SAMPLES
HEARING_RATE_HZ = 16_000  # Of what a conversation is given to hear.


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSampling:
    """How each code of a frame is drawn: from the `top_k` likeliest; with temperature 0, the likeliest."""

    temperature: float
    top_k: int

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is left to chance, so that every seed gives the same."""
        return self.temperature == 0 or self.top_k == 1


# As the published models' card has them. Source: examples of the model card of LiquidAI/LFM2-Audio-1.5B, speech to speech
# and text to speech.
REPLY_SAMPLING = AudioSampling(temperature=1.0, top_k=4)
SPEECH_SAMPLING = AudioSampling(temperature=0.8, top_k=64)


class SpeechConversation(Protocol):
    """Turns in order; see `models.lfm2_audio.Conversation`."""

    def begin_turn(self, role: Literal["system", "user", "assistant"]) -> None: ...
    def append_text(self, text: str) -> None: ...
    def append_audio(self, samples: Samples) -> None: ...
    def end_turn(self) -> None: ...
    def generate(
        self, mode: "Mode", *, max_steps: int, sampling: "Sampling | None" = None
    ) -> "Iterator[Step]": ...


class SpeechModel(Protocol):
    """Something that holds conversations and makes sound of codes; see `models.lfm2_audio.Lfm2Audio`."""

    def conversation(self) -> SpeechConversation: ...
    def decoder(self) -> "FrameDecoder": ...
