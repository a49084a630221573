"""Training sequences: conversations in the form in which the product feeds and generates them, and batches of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from models.lfm2_audio import AudioFrame, Mode, Step, TextToken
from models.lfm2_audio.loss import Targets
from models.lfm2_audio.network import Network
from models.lfm2_audio.steps import END_OF_AUDIO, Switch
from models.lfm2_audio.tokenizer import AUDIO_START, TEXT_END, TURN_END, TextTokenizer
from training.config import CODEBOOK_SIZE, LIVE_CODEBOOKS, model_config

Role = Literal["system", "user", "assistant"]
SUPERVISED = True
_CONFIG = model_config(0)
END_FRAME = torch.full((1, LIVE_CODEBOOKS), CODEBOOK_SIZE)


@dataclass(slots=True)
class Example:
    """One conversation, position by position.

    Attributes:
        tokens: the text token at each position, -1 where there is none.
        supervised: whether the position is to be predicted from the one before.
        heard: where sounds of the user stand, and their embeddings, (n, hidden).
        frames: where audio frames stand, and their codes, (n, live codebooks), the end-of-audio frame included.
    """

    tokens: list[int] = field(default_factory=list)
    supervised: list[bool] = field(default_factory=list)
    heard: list[tuple[int, Tensor]] = field(default_factory=list)
    frames: list[tuple[int, Tensor]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)

    def add_tokens(self, tokens: Iterable[int], *, supervised: bool = False) -> None:
        """Append text."""
        for token in tokens:
            self.tokens.append(token)
            self.supervised.append(supervised)

    def add_heard(self, embeddings: Tensor) -> None:
        """Append a sound of the user, embeddings of shape (n, hidden)."""
        self.heard.append((len(self), embeddings))
        self.tokens.extend([-1] * len(embeddings))
        self.supervised.extend([False] * len(embeddings))

    def add_frame(self, codes: Tensor) -> None:
        """Append one audio frame, codes of shape (1, live codebooks); it is supervised."""
        self.frames.append((len(self), codes))
        self.tokens.append(-1)
        self.supervised.append(SUPERVISED)


class Writer:
    """Writes examples with a tokenizer, piece for piece as `Conversation` appends them."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.encode = cache(tokenizer.encode)
        self.encode_template = cache(tokenizer.encode_template)

    def begin(self, prompt: str) -> Example:
        """Return an example that holds the system turn."""
        example = Example()
        example.add_tokens(self.encode_template("<|startoftext|>"))
        self.begin_turn(example, "system")
        example.add_tokens(self.encode(prompt))
        self.end_turn(example)
        return example

    def begin_turn(self, example: Example, role: Role) -> None:
        """Append the opening of a turn."""
        example.add_tokens(self.encode_template(f"<|im_start|>{role}\n"))

    def end_turn(self, example: Example) -> None:
        """Append the close of a turn."""
        example.add_tokens(self.encode_template("<|im_end|>\n"))

    def add_user(self, example: Example, content: str | Tensor) -> None:
        """Append a user's turn: text, or embeddings of sound, (n, hidden)."""
        self.begin_turn(example, "user")
        if isinstance(content, str):
            example.add_tokens(self.encode(content))
        else:
            example.add_heard(content)
        self.end_turn(example)

    def add_transcript(self, example: Example, text: str) -> None:
        """Append the reply to `Perform ASR.`"""
        self.begin_turn(example, "assistant")
        example.add_tokens([*(self.encode(text) if text else ()), TURN_END], supervised=True)

    def add_speech(self, example: Example, codes: Tensor) -> None:
        """Append the reply to `Perform TTS.`, codes of shape (frames, live codebooks)."""
        self.begin_turn(example, "assistant")
        example.add_tokens([AUDIO_START], supervised=True)
        for frame in torch.cat((codes, END_FRAME)).split(1):
            example.add_frame(frame)
        example.add_tokens([TURN_END], supervised=True)

    def add_reply(self, example: Example, text: str, codes: Tensor, *, closed: bool) -> None:
        """Append an interleaved reply; `closed`: another turn follows."""
        self.begin_turn(example, "assistant")
        switch = Switch(
            Mode.INTERLEAVED,
            num_text=_CONFIG["interleaved_n_text"],
            num_audio=_CONFIG["interleaved_n_audio"],
        )
        tokens = iter([*self.encode(text), TEXT_END])
        frames = iter(torch.cat((codes, END_FRAME)).split(1))
        while True:
            step: Step
            if switch.next_is_audio:
                frame = next(frames, None)
                if frame is None:
                    raise ValueError(
                        f"reply {text!r} of {len(codes)} frames: expected its sound to outlast its text"
                    )
                example.add_frame(frame)
                is_end = int(frame[0, 0]) == CODEBOOK_SIZE
                step = AudioFrame(0, (END_OF_AUDIO if is_end else 0,) * 8)
            else:
                token = next(tokens, TURN_END)
                example.add_tokens([token], supervised=True)
                if token == TURN_END:
                    break
                step = TextToken(0, token, "")
            switch.advance(step)
        if closed:
            example.add_tokens(self.encode_template("<|im_end|>\n")[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Examples side by side, shorter ones padded at the right, where causal layers do not look.

    Attributes:
        shape: (examples, positions).
        text_rows: flat positions of text tokens, (n,), and text_tokens, theirs.
        heard_rows: flat positions of the user's sound, (m,), and heard, their embeddings, (m, hidden).
        frame_rows: flat positions of audio frames, (k,), and frame_codes, (k, live codebooks).
        target_rows: which text positions are to be predicted, (t,), and target_tokens.
    """

    shape: tuple[int, int]
    text_rows: Tensor
    text_tokens: Tensor
    heard_rows: Tensor
    heard: Tensor
    frame_rows: Tensor
    frame_codes: Tensor
    target_rows: Tensor
    target_tokens: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(
            shape=self.shape,
            **{
                name: getattr(self, name).to(device)
                for name in Batch.__dataclass_fields__
                if name != "shape"
            },
        )


def collate(examples: Sequence[Example], hidden: int) -> Batch:
    """Return examples as one batch."""
    longest = max(map(len, examples))
    tokens = torch.full((len(examples), longest), -1)
    supervised = torch.zeros(len(examples), longest, dtype=torch.bool)
    heard_rows, heard, frame_rows, frame_codes = [], [], [], []
    for row, example in enumerate(examples):
        tokens[row, : len(example)] = torch.tensor(example.tokens)
        supervised[row, : len(example)] = torch.tensor(example.supervised)
        for position, embeddings in example.heard:
            start = row * longest + position
            heard_rows.append(torch.arange(start, start + len(embeddings)))
            heard.append(embeddings)
        frame_rows += [row * longest + position for position, _ in example.frames]
        frame_codes += [codes for _, codes in example.frames]
    flat = tokens.flatten()
    text_rows = (flat >= 0).nonzero()[:, 0]
    target_rows = ((flat >= 0) & supervised.flatten()).nonzero()[:, 0]
    return Batch(
        shape=(len(examples), longest),
        text_rows=text_rows,
        text_tokens=flat[text_rows],
        heard_rows=torch.cat(heard_rows) if heard_rows else torch.zeros(0, dtype=torch.long),
        heard=torch.cat(heard) if heard else torch.zeros(0, hidden),
        frame_rows=torch.tensor(frame_rows, dtype=torch.long),
        frame_codes=torch.cat(frame_codes)
        if frame_codes
        else torch.zeros(0, LIVE_CODEBOOKS, dtype=torch.long),
        target_rows=target_rows,
        target_tokens=flat[target_rows],
    )


def corrupt(codes: Tensor, rate: float) -> Tensor:
    """Return codes with this part of them replaced by random ones; end-of-audio frames stay."""
    is_hit = (torch.rand(codes.shape, device=codes.device) < rate) & (codes < CODEBOOK_SIZE)
    return torch.where(is_hit, torch.randint_like(codes, CODEBOOK_SIZE), codes)


def hidden_states(network: Network, batch: Batch, *, corruption: float) -> Tensor:
    """Return the backbone's states at every flat position, shape (examples * positions, hidden)."""
    width = network.config.lfm.hidden_size
    rows = batch.shape[0] * batch.shape[1]
    embeddings = torch.zeros(rows, width, device=batch.text_rows.device)
    text = network.lfm.embed_tokens(batch.text_tokens)
    offsets = torch.arange(LIVE_CODEBOOKS, device=batch.frame_codes.device) * (CODEBOOK_SIZE + 1)
    frames = network.audio_embedding((corrupt(batch.frame_codes, corruption) + offsets).T)
    embeddings = embeddings.index_copy(0, batch.text_rows, text.to(embeddings.dtype))
    embeddings = embeddings.index_copy(0, batch.heard_rows, batch.heard.to(embeddings.dtype))
    embeddings = embeddings.index_copy(0, batch.frame_rows, frames.to(embeddings.dtype))
    output = network.lfm(
        inputs_embeds=embeddings.unflatten(0, batch.shape),
        attention_mask={"full_attention": None, "conv": None},
        position_ids=torch.arange(batch.shape[1], device=embeddings.device)[None],
        use_cache=False,
    )
    return output.last_hidden_state.flatten(0, 1)


def targets(batch: Batch, *, frame_part: float) -> Targets:
    """Return what is to be predicted: all supervised text, and a random part of the frames."""
    kept = torch.rand(len(batch.frame_rows), device=batch.frame_rows.device) < frame_part
    return Targets(
        text_positions=batch.target_rows,
        text_tokens=batch.target_tokens,
        frame_positions=batch.frame_rows[kept],
        frame_codes=batch.frame_codes[kept],
    )
