"""A model for the engine's tests: answers at once, by a rule that tells what it knows, and can be cut back."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio.chunk import Samples
from models.errors import RangeError
from models.lfm2_audio import AudioFrame, EndOfTurn, Mode, Sampling, Step, TextToken
from tests.fakes import FakeDecoder, ScriptStep, frame, words
from voiced.engine import messages as m

VOCABULARY: dict[int, str] = {}  # What the tokens of all fakes mean.

# What is answered, given all that was said and answered, in order.
Rule = Callable[["EngineFake"], Sequence[ScriptStep]]


def token_of(text: str) -> int:
    """Return the number of a word."""
    number = zlib.crc32(text.encode()) & 0x7FFFFFFF
    VOCABULARY[number] = text
    return number


def spoken(value: float, num_samples: int = 1600) -> Samples:
    """Return sound that the fake hears as the word `s` and its value in thousandths."""
    return np.full(num_samples, value, np.float32)


def echo(fake: "EngineFake") -> list[ScriptStep]:
    """Answer with all that was said in this conversation, a word and a frame for each."""
    answer: list[ScriptStep] = []
    for word in words(" ".join(fake.said)):
        answer += [word, frame(1 + len(answer))]
    return answer


@dataclass
class FakeEngineModel:
    """Makes conversations that answer by `rule`.

    Attributes:
        num_encoded: how often sound was encoded.
        fault: raised by the next encoding, if there is one.
    """

    rule: Rule = echo
    max_positions: int = 32_768
    num_encoded: int = 0
    fault: Exception | None = None
    conversations: "list[EngineFake]" = field(default_factory=list)

    def conversation(self) -> "EngineFake":
        self.conversations.append(EngineFake(self))
        return self.conversations[-1]

    def decoder(self) -> FakeDecoder:
        return FakeDecoder()

    def encode_audio(self, samples: Samples) -> Tensor:
        self.num_encoded += 1
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        if len(samples) < 320:
            raise RangeError(f"{len(samples)} samples of sound: expected at least 320 (20 ms)")
        return torch.full((max(1, len(samples) // 1280), 1), float(samples[0]))


class EngineFake:
    """A conversation as a list of what was appended, one entry a position."""

    def __init__(self, model: FakeEngineModel) -> None:
        self._model = model
        self.entries: list[str] = ["<start>"]
        self.num_fed = 0
        self._reply_start: int | None = None  # Of the open reply.
        self._iteration = 0

    @property
    def num_positions(self) -> int:
        return len(self.entries)

    @property
    def said(self) -> list[str]:
        """All words of users."""
        heard: list[str] = []
        is_user = False
        for entry in self.entries:
            if entry.startswith("<"):
                is_user = entry == "<user>"
            elif is_user and entry not in heard[-1:]:  # Sound takes several positions.
                heard.append(entry)
        return heard

    @property
    def history(self) -> str:
        """All entries, for comparisons."""
        return " ".join(self.entries)

    def begin_turn(self, role: str) -> None:
        self._append([f"<{role}>"])

    def end_turn(self) -> None:
        self._append(["<end>"])

    def append_text(self, text: str) -> None:
        self._append(text.split())

    def append_audio(self, samples: Samples) -> None:
        self.append_encoded(self._model.encode_audio(samples))

    def append_encoded(self, embeddings: Tensor) -> None:
        self._append([f"s{round(1000 * float(value))}" for value in embeddings[:, 0]])

    def append_tokens(self, tokens: Sequence[int]) -> None:
        self._append([f"[{VOCABULARY[token]}]" for token in tokens])

    def append_frames(self, codes: Tensor) -> None:
        self._append([f"({int(code)})" for code in codes[0]])

    def prefill(self, most: int | None = None) -> bool:
        self.num_fed = min(len(self.entries), self.num_fed + (most or len(self.entries)))
        return self.num_fed < len(self.entries)

    def generate(
        self, mode: Mode, *, max_steps: int, sampling: Sampling | None = None
    ) -> Iterator[Step]:
        if self._reply_start is None:
            self._reply_start = len(self.entries)
        answer: list[ScriptStep]
        if mode is Mode.INTERLEAVED:
            answer = list(self._model.rule(self))
        elif "TTS." in self.entries:  # A frame for each word.
            answer = [frame(index) for index, _ in enumerate(self.said)]
        else:
            answer = list(words(" ".join(self.said)))
        self._iteration += 1
        mine = self._iteration
        for index in range(len(self.entries) - self._reply_start, max_steps):
            if mine != self._iteration:
                return
            if index >= len(answer):
                yield EndOfTurn(index, "end")
                return
            item = answer[index]
            if isinstance(item, BaseException):
                raise item
            if len(self.entries) + 2 > self._model.max_positions:
                yield EndOfTurn(index, "context full")
                return
            step: TextToken | AudioFrame
            if isinstance(item, str):
                step = TextToken(index, token_of(item), item)
                self.entries.append(f"[{item}]")
            else:
                step = AudioFrame(index, item)
                self.entries.append(f"({item[0]})")
            yield step
        yield EndOfTurn(max_steps, "step limit")

    def resume_reply(self, steps: Sequence[int | Sequence[int]]) -> list[TextToken | AudioFrame]:
        self._reply_start = len(self.entries)
        made: list[TextToken | AudioFrame] = []
        for index, step in enumerate(steps):
            if isinstance(step, int):
                made.append(TextToken(index, step, VOCABULARY[step]))
                self.entries.append(f"[{VOCABULARY[step]}]")
            else:
                made.append(AudioFrame(index, tuple(step)))
                self.entries.append(f"({step[0]})")
        return made

    def rollback(self, num_steps: int) -> None:
        assert self._reply_start is not None
        assert self._reply_start + num_steps <= len(self.entries)
        self._iteration += 1
        del self.entries[self._reply_start + num_steps :]
        self.num_fed = min(self.num_fed, len(self.entries))

    def mark(self) -> Any:
        return (list(self.entries), self._reply_start)

    def return_to(self, mark: Any) -> None:
        self._iteration += 1
        self.entries, self._reply_start = list(mark[0]), mark[1]
        self.num_fed = min(self.num_fed, len(self.entries))

    def _append(self, entries: list[str]) -> None:
        if len(self.entries) + len(entries) > self._model.max_positions:
            raise RangeError(
                f"{len(entries)} positions more: a conversation holds at most {self._model.max_positions}"
            )
        self._reply_start = None
        self._iteration += 1
        self.entries += entries


def texts(heard: Sequence[object], turn: int | None = None) -> str:
    """Return the text of the replies among messages."""
    return "".join(
        message.text
        for message in heard
        if isinstance(message, m.Text) and turn in {None, message.turn}
    )
