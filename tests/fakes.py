"""Stand-ins at the seams, scripted by the test."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import RangeError
from models.lfm2_audio import AudioFrame, EndOfTurn, Mode, Sampling, Step, TextToken

NUM_CODEBOOKS = 8
END_OF_AUDIO = 2048
FRAME_SAMPLES = 1920  # 80 ms at 24 kHz.

# A step of a script: text is what one token adds, a tuple the codes of a frame, an exception is raised there.
ScriptStep = str | tuple[int, ...] | BaseException
# What the model answers, given the conversation so far.
Script = Callable[["FakeConversation"], Iterable[ScriptStep]]


def frame(code: int = 1) -> tuple[int, ...]:
    """Return a frame whose codes are all `code`."""
    return (code,) * NUM_CODEBOOKS


def end_of_audio() -> tuple[int, ...]:
    """Return the frame after which no sound follows."""
    return frame(END_OF_AUDIO)


def words(text: str) -> list[ScriptStep]:
    """Return one step a word, the space before it included, as byte-level tokenizers cut."""
    return [word if index == 0 else f" {word}" for index, word in enumerate(text.split())]


@dataclass
class FakeTurn:
    """One turn as it was appended."""

    role: str
    text: str = ""
    audio: list[NDArray[np.float32]] = field(default_factory=list)
    is_closed: bool = False


class FakeModel:
    """Answers as scripted.

    Args:
        script: one list of steps for every reply, or a function of the conversation; the last list goes on being used
            when replies outnumber the lists.

    Attributes:
        conversations: all that were begun, in order.
        decoders: all that were made, in order.
    """

    def __init__(self, *script: Sequence[ScriptStep] | Script, max_positions: int = 32_768) -> None:
        self.name = "fake"
        self.folder = Path("fake")
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.max_positions = max_positions
        self.sample_rate_hz = 16_000
        self.conversations: list[FakeConversation] = []
        self.decoders: list[FakeDecoder] = []
        self._script = script or ([],)
        self._num_replies = 0

    def conversation(self) -> "FakeConversation":
        self.conversations.append(FakeConversation(self))
        return self.conversations[-1]

    def decoder(self) -> "FakeDecoder":
        self.decoders.append(FakeDecoder())
        return self.decoders[-1]

    def next_reply(self, conversation: "FakeConversation") -> Iterable[ScriptStep]:
        script = self._script[min(self._num_replies, len(self._script) - 1)]
        self._num_replies += 1
        return script(conversation) if callable(script) else script


class FakeConversation:
    """Records what is appended; a reply is a turn's text too, once generated.

    Attributes:
        turns: in order.
        calls: mode, max_steps and sampling of each `generate`.
    """

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.turns: list[FakeTurn] = []
        self.calls: list[tuple[Mode, int, Sampling | None]] = []
        self.num_positions = 1
        self._reply: list[TextToken | AudioFrame] | None = None
        self._rest: Iterator[ScriptStep] = iter(())

    def begin_turn(self, role: Literal["system", "user", "assistant"]) -> None:
        assert not self.turns or self.turns[-1].is_closed, "the turn before is still open"
        self.turns.append(FakeTurn(role))
        self._reply = None

    def append_text(self, text: str) -> None:
        self._open_turn().text += text
        self.num_positions += len(text.split())

    def append_audio(self, samples: NDArray[np.float32]) -> None:
        if samples.ndim != 1 or samples.dtype != np.float32 or not np.isfinite(samples).all():
            raise AssertionError(
                f"{samples.shape} {samples.dtype}: the caller must give finite mono float32"
            )
        if len(samples) < 320:
            raise RangeError(f"{len(samples)} samples of sound: expected at least 320 (20 ms)")
        self._open_turn().audio.append(samples.copy())
        self.num_positions += 1 + len(samples) // 1280

    def end_turn(self) -> None:
        self._open_turn().is_closed = True
        self._reply = None

    def prefill(self) -> None:
        pass

    def generate(
        self, mode: Mode, *, max_steps: int, sampling: Sampling | None = None
    ) -> Iterator[Step]:
        self.calls.append((mode, max_steps, sampling))
        turn = self._open_turn()
        assert turn.role == "assistant", f"generate in the turn of {turn.role}"
        if self._reply is None:
            self._reply = []
            self._rest = iter(self.model.next_reply(self))
        reply = self._reply
        while len(reply) < max_steps:
            item = next(self._rest, None)
            if item is None:
                yield EndOfTurn(len(reply), "end")
                return
            if isinstance(item, BaseException):
                raise item
            step: TextToken | AudioFrame
            if isinstance(item, str):
                step = TextToken(len(reply), zlib.crc32(item.encode()) % 65_536, item)
                turn.text += item
            else:
                step = AudioFrame(len(reply), item)
            reply.append(step)
            self.num_positions += 1
            yield step
        yield EndOfTurn(len(reply), "step limit")

    def rollback(self, num_steps: int) -> None:
        if self._reply is None or not 0 <= num_steps <= len(self._reply):
            raise RangeError(f"cannot keep {num_steps} steps of the reply")
        self.num_positions -= len(self._reply) - num_steps
        dropped = self._reply[num_steps:]
        del self._reply[num_steps:]
        rest = self._rest
        again = [step.text if isinstance(step, TextToken) else step.codes for step in dropped]
        self._rest = iter([*again, *rest])
        self._open_turn().text = "".join(
            step.text for step in self._reply if isinstance(step, TextToken)
        )

    def _open_turn(self) -> FakeTurn:
        assert self.turns, "no turn was begun"
        assert not self.turns[-1].is_closed, "no turn is open"
        return self.turns[-1]


class FakeDecoder:
    """Turns a frame into 80 ms of the constant `codes[0] / 2048`; the first frame gives half, `flush` the other half.

    Attributes:
        frames: what was pushed since the last reset.
    """

    def __init__(self) -> None:
        self.frames: list[tuple[int, ...]] = []

    def push(self, codes: Sequence[int]) -> NDArray[np.float32]:
        if len(codes) != NUM_CODEBOOKS or not all(0 <= code < END_OF_AUDIO for code in codes):
            raise RangeError(
                f"codes {list(codes)}: expected {NUM_CODEBOOKS} of 0 to {END_OF_AUDIO - 1}"
            )
        num_samples = FRAME_SAMPLES if self.frames else FRAME_SAMPLES // 2
        self.frames.append(tuple(codes))
        return np.full(num_samples, codes[0] / END_OF_AUDIO, np.float32)

    def flush(self) -> NDArray[np.float32]:
        num_samples = FRAME_SAMPLES // 2 if self.frames else 0
        level = self.frames[-1][0] / END_OF_AUDIO if self.frames else 0.0
        self.reset()
        return np.full(num_samples, level, np.float32)

    def reset(self) -> None:
        self.frames = []


class ScriptedVad:
    """Gives the probabilities of a script, then the last one for ever."""

    def __init__(self, *probabilities: float) -> None:
        self._script = probabilities or (0.0,)
        self._index = 0

    def push(self, window: NDArray[np.float32]) -> float:
        probability = self._script[min(self._index, len(self._script) - 1)]
        self._index += 1
        return probability

    def reset(self) -> None:
        self._index = 0


class LevelVad:
    """Hears a voice in whatever is louder than a hundredth of full scale."""

    def push(self, window: NDArray[np.float32]) -> float:
        return 0.9 if float(np.std(window)) > 0.01 else 0.01

    def reset(self) -> None:
        pass
