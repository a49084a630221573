"""A conversation in turns with one model, which keeps what was said: a new turn computes only itself."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from audio.chunk import Samples
from models.lfm2_audio import AudioFrame, EndOfTurn, Mode, Sampling, TextToken
from protocols.events import HowEnded
from voiced.seeds import derived_seed
from voiced.speech_model import (
    FRAME_SAMPLES,
    FRAMES_PER_S,
    REPLY_SAMPLING,
    AudioSampling,
    SpeechModel,
)

# Source: speech-to-speech example of the model card of LiquidAI/LFM2-Audio-1.5B.
SYSTEM_PROMPT = "Respond with interleaved text and audio."

TEXT_PER_AUDIO = 6 / 12  # Interleaved: 6 text tokens, then 12 audio frames.
SPARE_STEPS = 16  # For text after the last sound.


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The reply's text grew.

    Attributes:
        text: what was added.
        position_samples: how much of the reply's sound, at 24 kHz, belongs before it.
    """

    text: str
    position_samples: int


@dataclass(frozen=True, slots=True, eq=False)
class ReplySound:
    """The reply's sound goes on with `samples`, mono float32 at 24 kHz."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The last part of every reply, and how it ended."""

    ended: HowEnded


ReplyPart = ReplyText | ReplySound | ReplyEnded


class Dialogue:
    """Takes what the user says, turn by turn, and gives the model's replies as they are made."""

    def __init__(
        self,
        model: SpeechModel,
        *,
        instructions: str = "",
        seed: int = 0,
        sampling: AudioSampling = REPLY_SAMPLING,
    ) -> None:
        """Begin a conversation.

        Args:
            model: of whose conversations one is kept for all turns.
            instructions: follow the system prompt that the model was trained with.
            seed: of all replies; the same seed on the same turns gives the same replies on the same machine.
            sampling: of the replies' sound.

        Raises:
            RangeError: the instructions are too long for the model.
        """
        self._model = model
        self._seed = seed
        self._sampling = sampling
        self._num_turns = 0
        self._conversation = model.conversation()
        self._conversation.begin_turn("system")
        self._conversation.append_text(f"{SYSTEM_PROMPT} {instructions}".strip())
        self._conversation.end_turn()

    def reply(self, said: str | Samples, *, max_reply_s: float) -> Iterator[ReplyPart]:
        """Yield the reply to what the user said, the last part of it a ReplyEnded.

        The next turn may begin when the iterator has ended; nothing is computed before its first part is asked for.

        Args:
            said: text, or mono float32 sound at 16 kHz.
            max_reply_s: of sound; a longer reply is cut off there.

        Raises:
            RangeError: the sound is shorter than 20 ms, or the conversation has no room left.
            AudioError: the sound is not finite.
            NonFiniteError: the model's weights are damaged.
        """
        conversation = self._conversation
        conversation.begin_turn("user")
        if isinstance(said, str):
            conversation.append_text(said)
        else:
            conversation.append_audio(said)
        conversation.end_turn()
        conversation.begin_turn("assistant")
        yield from self._generate(max_reply_s)
        conversation.end_turn()

    def _generate(self, max_reply_s: float) -> Iterator[ReplyPart]:
        sampling = Sampling(
            audio_temperature=self._sampling.temperature,
            audio_top_k=self._sampling.top_k,
            seed=derived_seed(self._seed, self._num_turns),
        )
        self._num_turns += 1
        decoder = self._model.decoder()
        ended: HowEnded = "end"
        num_frames, most_frames = 0, round(max_reply_s * FRAMES_PER_S)
        for step in self._conversation.generate(
            Mode.INTERLEAVED, max_steps=_max_steps(max_reply_s), sampling=sampling
        ):
            match step:
                case TextToken(text=text) if text:
                    yield ReplyText(text, num_frames * FRAME_SAMPLES)
                case AudioFrame(codes=codes) if step.is_sound:
                    num_frames += 1
                    if len(sound := decoder.push(codes)):
                        yield ReplySound(sound)
                    if num_frames >= most_frames:
                        ended = "step limit"
                        break
                case EndOfTurn(reason=reason):
                    ended = reason
        if len(sound := decoder.flush()):
            yield ReplySound(sound)
        yield ReplyEnded(ended)


def _max_steps(max_reply_s: float) -> int:
    return math.ceil(max_reply_s * FRAMES_PER_S * (1 + TEXT_PER_AUDIO)) + SPARE_STEPS
