"""What a model generates, step by step, and when it switches between text and sound."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from models.lfm2_audio.tokenizer import AUDIO_START, TEXT_END

# In the first codebook: no sound follows. One above the last code of a published codebook; the same sign for models with
# smaller codebooks, which have it as another row (`Network.end_of_audio`).
END_OF_AUDIO = 2048


class Mode(Enum):
    """How text and sound alternate in a reply."""

    SEQUENTIAL = (
        "sequential"  # Text until <|audio_start|>, sound until an end-of-audio frame: ASR and TTS.
    )
    INTERLEAVED = "interleaved"  # So many text tokens, so many audio frames, in turn: conversation.


@dataclass(frozen=True, slots=True)
class TextToken:
    """A token of the reply's text.

    Attributes:
        index: which step of the reply this is, from 0.
        token: its number in the vocabulary.
        text: what it adds to the text; empty for special tokens and until a character's bytes are complete.
    """

    index: int
    token: int
    text: str


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """80 ms of the reply's sound.

    Attributes:
        index: which step of the reply this is, from 0.
        codes: one for each codebook, below its size; all 2048 in a frame that ends the sound.
    """

    index: int
    codes: tuple[int, ...]

    @property
    def ends_audio(self) -> bool:
        """Whether this frame is the mark that no sound follows."""
        return self.codes[0] == END_OF_AUDIO

    @property
    def is_sound(self) -> bool:
        """Whether a decoder can make sound of this frame.

        A model may draw 2048 in a later codebook, where it means nothing; such a frame stays in the conversation and is
        left out of the sound, as the published demo does.
        """
        return END_OF_AUDIO not in self.codes


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The last step of every reply.

    Attributes:
        index: number of steps before it.
        reason: "end": the model said so; "step limit": `max_steps` were made; "context full": no position is left.
    """

    index: int
    reason: Literal["end", "step limit", "context full"]


Step = TextToken | AudioFrame | EndOfTurn


class Switch:
    """Says of each step whether it is text or sound. Pure: fed with the steps, so it can be replayed.

    Source: `generate_sequential` and `generate_interleaved` of the package liquid-audio 1.3.0. An end-of-audio frame
    switches back to text and ends nothing; in interleaved mode it leaves the count of frames running, as published.
    """

    def __init__(
        self, mode: Mode, *, num_text: int, num_audio: int, steps: Iterable[Step] = ()
    ) -> None:
        self._mode, self._num_text, self._num_audio = mode, num_text, num_audio
        self._left = num_text  # Steps until the next switch; interleaved mode only.
        self._text_done = False  # After <|text_end|>, only sound follows.
        self.next_is_audio = False
        for step in steps:
            self.advance(step)

    def advance(self, step: Step) -> None:
        """Take note of a step that was made."""
        if self._mode is Mode.SEQUENTIAL:
            if isinstance(step, AudioFrame):
                self.next_is_audio = not step.ends_audio
            elif isinstance(step, TextToken):
                self.next_is_audio = step.token == AUDIO_START
            return
        self._left -= 1
        if isinstance(step, TextToken):
            self._text_done = self._text_done or step.token == TEXT_END
            if not self._left or self._text_done:
                self.next_is_audio, self._left = True, self._num_audio
        elif isinstance(step, AudioFrame):
            if not self._left and not self._text_done:
                self.next_is_audio, self._left = False, self._num_text
            if step.ends_audio:
                self.next_is_audio = False
