"""What a command needs of a speech model, whichever it is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol

from audio.chunk import Samples

if TYPE_CHECKING:  # These import torch, and the rates below are needed before the model is.
    from models.decoding import FrameDecoder
    from models.lfm2_audio import Mode, Sampling, Step

SOUND_RATE_HZ = 24_000  # Of what a decoder returns.
FRAME_SAMPLES = 1920  # At that rate, 80 ms.
FRAMES_PER_S = SOUND_RATE_HZ / FRAME_SAMPLES
HEARING_RATE_HZ = 16_000  # Of what a conversation is given to hear.


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
