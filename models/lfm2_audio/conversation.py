"""A conversation with its caches: turns are appended, replies generated step by step, and cut where they were heard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.backbone import BackboneCache, forward
from models.checkpoint import check_finite
from models.errors import NonFiniteError, RangeError
from models.lfm2_audio.steps import (
    END_OF_AUDIO,
    AudioFrame,
    EndOfTurn,
    Mode,
    Step,
    Switch,
    TextToken,
)
from models.lfm2_audio.tokenizer import TURN_END, TextStream
from models.sampling import Sampling, StepGenerator, draw

if TYPE_CHECKING:
    from models.lfm2_audio.model import Lfm2Audio

Role = Literal["system", "user", "assistant"]
# Positions fed to the backbone at once; bounds the memory of a long prefill.
PREFILL_POSITIONS = 2048
# Left free by `generate`, so that a turn can always be closed.
CLOSING_POSITIONS = 4


@dataclass(slots=True)
class _Reply:
    """The open reply of a conversation."""

    start: int  # Position of its first step.
    start_state: Tensor  # Hidden state that the first step is drawn from.
    text: TextStream
    steps: list[TextToken | AudioFrame]


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A place in a conversation that it can return to; made by `Conversation.mark`."""

    num_positions: int  # In the cache.
    pending: tuple[Tensor, ...]
    state: Tensor | None
    reply: _Reply | None


class Conversation:
    """Text and sound in order, each position computed once.

    What is appended waits until `prefill` or `generate` needs it. A reply stays open, and can be rolled back to any of
    its steps, until something is appended behind it; a mark made before that leads back there.
    """

    def __init__(self, model: "Lfm2Audio") -> None:
        self.model = model
        self._network = model.network
        self._cache = BackboneCache(model.config.lfm)
        self._pending: list[
            Tensor
        ] = []  # Embeddings that the backbone has not seen yet, each (T, hidden).
        self._state: Tensor | None = (
            None  # Last hidden state (hidden,); None while something is pending.
        )
        self._reply: _Reply | None = None  # From `generate` until something is appended.
        self._mark: Mark | None = None  # The newest; what a return to it needs is kept.
        # Rises with every generate, rollback and append; an iterator from `generate` ends when it is not the newest.
        self._iteration = 0
        self.append_tokens(model.tokenizer.encode_template("<|startoftext|>"))

    @property
    def num_positions(self) -> int:
        """Positions used so far, at most `model.max_positions`."""
        return self._cache.num_positions + sum(map(len, self._pending))

    def begin_turn(self, role: Role) -> None:
        """Append the opening of a turn."""
        self.append_tokens(self.model.tokenizer.encode_template(f"<|im_start|>{role}\n"))

    def end_turn(self) -> None:
        """Append the close of a turn; after a reply this also closes the reply."""
        self.append_tokens(self.model.tokenizer.encode_template("<|im_end|>\n"))

    def append_text(self, text: str) -> None:
        """Append somebody's words; what looks like a special token is text like any other.

        Raises:
            RangeError: the conversation has no room left for it.
        """
        self.append_tokens(self.model.tokenizer.encode(text))

    @torch.inference_mode()
    def append_tokens(self, tokens: Sequence[int]) -> None:
        """Append text tokens by number.

        Raises:
            RangeError: a token that the model does not have, or no room left.
        """
        self._check_room(len(tokens))
        self._append(self._network.embed_tokens(tokens))

    @torch.inference_mode()
    def append_audio(self, samples: NDArray[np.float32]) -> None:
        """Append what somebody said.

        Args:
            samples: mono sound at `model.sample_rate_hz`, float32, shape (n,), at least 20 ms.

        Raises:
            RangeError: too short, or no room left.
            AudioError: not finite, or of another shape or type.
            NonFiniteError: the encoder's output is not finite.
        """
        self._append(self.model.encode_audio(samples))

    def append_encoded(self, embeddings: Tensor) -> None:
        """Append what somebody said, as `Lfm2Audio.encode_audio` has made it, shape (positions, hidden).

        Raises:
            RangeError: no room left.
        """
        self._append(embeddings)

    @torch.inference_mode()
    def append_frames(self, codes: Tensor) -> None:
        """Append audio frames of an earlier reply.

        Args:
            codes: integers, shape (codebooks, frames), as AudioFrame has them: 0 to codebook_size - 1, or 2048.

        Raises:
            RangeError: codes out of range or of another shape, or no room left.
        """
        self._append(self._embed_frames(codes.to(self.model.device)))

    @property
    def pending(self) -> Tensor:
        """Embeddings of what was appended and not yet computed, shape (positions, hidden)."""
        return torch.cat(self._pending) if self._pending else self._network.embed_tokens([])

    @torch.inference_mode()
    def prefill(self, most: int | None = None) -> bool:
        """Compute what was appended, so that a following `generate` begins at once; return whether something is left.

        Args:
            most: positions to compute now; None: all.
        """
        if self._state is not None:
            return False
        if most is None:
            self._feed()
            return False
        waiting = torch.cat(self._pending)
        self._pending = [waiting[:most]]
        try:
            self._feed()
        finally:
            if len(waiting) > most:
                # The last states are only needed by what comes after everything.
                self._pending.append(waiting[most:])
                self._state = None
        return len(waiting) > most

    def generate(
        self, mode: Mode, *, max_steps: int, sampling: Sampling | None = None
    ) -> Iterator[Step]:
        """Yield the steps of a reply, the last of them an EndOfTurn.

        A step is complete when it is yielded. The iterator may be left at any time: the conversation then holds the
        steps that were yielded. Called again on an open reply, with nothing appended, it goes on with it, and
        an earlier iterator ends; `max_steps` counts from the reply's beginning.

        Raises:
            NonFiniteError: the backbone's state or the logits are not finite.
        """
        sampling = sampling or Sampling()
        self._drop_mark_within_reply()
        reply = self._reply = self._reply or self._begin_reply()
        generator = StepGenerator(sampling.seed, self.model.device)
        config = self.model.config
        switch = Switch(
            mode,
            num_text=config.interleaved_n_text,
            num_audio=config.interleaved_n_audio,
            steps=reply.steps,
        )
        self._iteration += 1
        mine = self._iteration
        while mine == self._iteration:
            step = self._next_step(reply, switch, sampling, generator, max_steps)
            switch.advance(step)
            yield step
            if isinstance(step, EndOfTurn):
                return

    @torch.inference_mode()
    def rollback(self, num_steps: int) -> None:
        """Keep the first `num_steps` steps of the current reply, exactly as if no other had been generated.

        An iterator from `generate` that is still open ends at its next step; call `generate` anew to go on.

        Raises:
            RangeError: there is no open reply, or it has fewer steps.
        """
        reply = self._reply
        if reply is None:
            raise RangeError(
                "no reply to roll back: expected one from generate with nothing appended after it"
            )
        if not 0 <= num_steps <= len(reply.steps):
            raise RangeError(
                f"cannot keep {num_steps} steps of the reply: it has {len(reply.steps)}"
            )
        self._iteration += 1
        if num_steps == len(reply.steps):
            return
        self._drop_mark_within_reply()
        kept = reply.steps[:num_steps]
        self._pending.clear()
        if kept:
            # The last kept step is fed again: the state that follows it was not kept.
            self._cache.truncate(reply.start + num_steps - 1)
            self._pending.append(self._embed(kept[-1]))
            self._state = None
        else:
            self._cache.truncate(reply.start)
            self._state = reply.start_state
        spoken = [step.token for step in kept if isinstance(step, TextToken)]
        self._reply = _Reply(
            reply.start, reply.start_state, TextStream(self.model.tokenizer, spoken), kept
        )

    def mark(self) -> Mark:
        """Return the place where the conversation is, its open reply included; an older mark holds no longer.

        Until the next mark the conversation keeps the inputs of its short convolutions from here on. A mark within a reply
        holds until that reply is gone on with or rolled back.
        """
        reply = self._reply
        self._cache.keep_from(reply.start if reply else self._cache.num_positions)
        self._mark = Mark(self._cache.num_positions, tuple(self._pending), self._state, reply)
        return self._mark

    def return_to(self, mark: Mark) -> None:
        """Forget all since `mark`, exactly as if it had never been; an open iterator of `generate` ends at its next step.

        Raises:
            RangeError: the mark holds no longer.
        """
        if mark is not self._mark:
            raise RangeError(
                "cannot return to this mark: expected the newest one, and the reply that was open there as it was"
            )
        self._iteration += 1
        self._cache.truncate(mark.num_positions)
        self._pending = list(mark.pending)
        self._state, self._reply = mark.state, mark.reply

    @torch.inference_mode()
    def resume_reply(self, steps: Sequence[int | Sequence[int]]) -> list[TextToken | AudioFrame]:
        """Open a reply with steps that were made before, as if `generate` had just made them, and return them.

        Args:
            steps: the number of a text token, or the codes of a frame as AudioFrame has them.

        Raises:
            RangeError: a token or code that the model does not have, or no room left.
            NonFiniteError: the backbone's state is not finite.
        """
        self._check_room(len(steps))
        text = TextStream(self.model.tokenizer)
        made: list[TextToken | AudioFrame] = [
            TextToken(index, step, text.push(step))
            if isinstance(step, int)
            else AudioFrame(index, tuple(step))
            for index, step in enumerate(steps)
        ]
        embeddings = [self._embed(step) for step in made]
        reply = self._begin_reply()
        self._iteration += 1
        self._reply = _Reply(reply.start, reply.start_state, text, made)
        if embeddings:
            # As after `generate`: the last step waits, so that a rollback finds all others computed.
            if len(embeddings) > 1:
                self._pending, self._state = embeddings[:-1], None
                self._feed()
            self._pending, self._state = embeddings[-1:], None
        return list(made)

    def _drop_mark_within_reply(self) -> None:
        if self._mark is not None and self._mark.reply is not None:
            self._mark = None if self._mark.reply is self._reply else self._mark

    @torch.inference_mode()
    def _begin_reply(self) -> "_Reply":
        state = self._feed()
        return _Reply(self._cache.num_positions, state, TextStream(self.model.tokenizer), [])

    @torch.inference_mode()
    def _next_step(
        self,
        reply: "_Reply",
        switch: Switch,
        sampling: Sampling,
        generator: StepGenerator,
        max_steps: int,
    ) -> Step:
        """Compute one step; unless it ends the turn, it is in the reply and its embedding pending."""
        index = len(reply.steps)
        if index >= max_steps:
            return EndOfTurn(index, "step limit")
        if self.num_positions + 1 + CLOSING_POSITIONS > self.model.max_positions:
            return EndOfTurn(index, "context full")
        state = self._feed()
        step: TextToken | AudioFrame
        if switch.next_is_audio:
            codes = self._network.draw_frame(
                state,
                temperature=sampling.audio_temperature,
                top_k=sampling.audio_top_k,
                generator=generator.at(index),
            )
            public = torch.where(codes == self._network.end_of_audio, END_OF_AUDIO, codes).tolist()
            ended = public[0] == END_OF_AUDIO
            step = AudioFrame(index, (END_OF_AUDIO,) * len(public) if ended else tuple(public))
        else:
            logits = self._network.text_logits(state)
            check_finite(logits, f"text logits of step {index}")
            token = int(
                draw(
                    logits,
                    temperature=sampling.text_temperature,
                    top_k=sampling.text_top_k,
                    generator=generator.at(index),
                )
            )
            if token == TURN_END:
                return EndOfTurn(index, "end")
            step = TextToken(index, token, reply.text.push(token))
        self._pending.append(self._embed(step))
        self._state = None
        reply.steps.append(step)
        return step

    def _embed(self, step: TextToken | AudioFrame) -> Tensor:
        if isinstance(step, TextToken):
            return self._network.embed_tokens([step.token])
        return self._embed_frames(torch.tensor(step.codes, device=self.model.device)[:, None])

    def _embed_frames(self, codes: Tensor) -> Tensor:
        """Return embeddings of frames whose codes are those of an AudioFrame."""
        own = self._network.end_of_audio
        if own != END_OF_AUDIO:
            if bool((codes == own).any()):
                raise RangeError(
                    f"audio code {own}: expected 0 to {own - 1}, or {END_OF_AUDIO} for the end of the sound"
                )
            codes = torch.where(codes == END_OF_AUDIO, own, codes)
        return self._network.embed_frames(codes)

    def _feed(self) -> Tensor:
        """Run the backbone over what is pending and return the last hidden state."""
        if self._state is None:
            parts = torch.cat(self._pending).split(PREFILL_POSITIONS)
            state = parts[0][-1]
            for index, part in enumerate(parts):
                start = self._cache.num_positions
                # A copy, not a view, which would keep the states of all positions.
                state = forward(self._network.lfm, part, self._cache)[-1].clone()
                position = self._cache.num_positions - 1
                try:
                    check_finite(state, f"hidden state of the backbone at position {position}")
                except NonFiniteError:
                    self._cache.truncate(
                        start
                    )  # As if it had not been fed: asked again, it fails again.
                    raise
                # What was fed is not fed again, should a later part be interrupted.
                self._pending = list(parts[index + 1 :])
                if self._reply is None and self._mark is None:
                    self._cache.keep_from(self._cache.num_positions)
            self._state = state
        return self._state

    def _append(self, embeddings: Tensor) -> None:
        if not len(embeddings):
            return
        self._check_room(len(embeddings))
        self._reply = None
        self._iteration += 1
        self._pending.append(embeddings)
        self._state = None

    def _check_room(self, num_new: int) -> None:
        if self.num_positions + num_new > self.model.max_positions:
            raise RangeError(
                f"{num_new} positions more on {self.num_positions}: a conversation holds at most "
                f"{self.model.max_positions}; shorten what is appended, or begin a new one"
            )
