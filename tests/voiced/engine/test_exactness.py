"""With the real arithmetic: what was taken back or cut leaves the model exactly as if it had never been."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.lfm2_audio import Conversation
from tests.models.golden import model, tensors
from voiced.engine import messages as m
from voiced.engine.core import Engine, EngineOptions
from voiced.engine.messages import pack_samples
from voiced.speech_model import FRAME_SAMPLES

QUESTION = tensors()["wave.question"].numpy()
SHORT = tensors()["wave.short"].numpy()
SAMPLING = m.SamplingOptions(text_temperature=1.0, audio_temperature=1.0, audio_top_k=4)


class RealBench:
    """An engine on the golden checkpoint with one session."""

    def __init__(self, *history: m.PastTurn, options: EngineOptions | None = None) -> None:
        self.said: list[m.FromEngine] = []
        self.now_s = 0.0
        self.engine = Engine(model(), self.said.append, now_s=lambda: self.now_s, options=options)
        self.engine.take(
            m.Open(1, seed=3, sampling=SAMPLING, max_reply_s=1.2, history=tuple(history))
        )
        self.run()

    def run(self, most: int = 10_000) -> None:
        for _ in range(most):
            if not self.engine.step():
                return
            self.engine.take(m.Taken(1, 10))

    def ask(self, turn: int, samples: np.ndarray, *, num_steps: int = 10_000) -> list[m.Step]:
        before = len(self.said)
        self.engine.take(m.Prepare(1, turn, pcm=pack_samples(samples)))
        self.run(num_steps)
        made = [s for s in self.said[before:] if isinstance(s, m.Text | m.Sound | m.Ended)]
        return [step for message in made for step in message.steps]

    def state(self) -> Tensor:
        """Hidden state after all that the talk holds."""
        conversation = self.engine._sessions[1].talk.conversation
        assert isinstance(conversation, Conversation)
        conversation.prefill()
        assert conversation._state is not None
        return conversation._state

    def turns(self) -> list[list[m.Step]]:
        return [[made.step for made in turn.made] for turn in self.engine._sessions[1].talk.turns]


@pytest.mark.parametrize("num_steps", [1, 2, 3, 9, 20, 10_000])
def test_after_a_discard_the_next_reply_is_the_one_of_a_talk_without_it(num_steps: int) -> None:
    detour, straight = RealBench(), RealBench()
    for bench in (detour, straight):
        bench.ask(1, QUESTION)
    detour.ask(2, SHORT, num_steps=num_steps)
    detour.engine.take(m.Discard(1, 2))
    reply = detour.ask(2, QUESTION)
    assert reply == straight.ask(2, QUESTION)
    assert len(reply) > 10
    assert torch.equal(detour.state(), straight.state())


@pytest.mark.parametrize("num_heard", [0, 1, 3, 7])
@pytest.mark.parametrize("num_steps", [14, 10_000])
def test_after_a_cut_the_next_reply_is_the_one_of_a_fresh_talk_that_was_told_what_was_heard(
    num_heard: int, num_steps: int
) -> None:
    cut = RealBench()
    cut.ask(1, QUESTION, num_steps=num_steps)
    cut.engine.take(m.Cut(1, 1, num_heard * FRAME_SAMPLES))
    [kept] = cut.turns()
    fresh = RealBench(m.PastTurn(turn=1, pcm=pack_samples(QUESTION), steps=tuple(kept)))
    assert cut.ask(2, SHORT) == fresh.ask(2, SHORT)
    # Computed in other portions, so to rounding: 1e-5 of states of about 1.
    torch.testing.assert_close(cut.state(), fresh.state(), atol=1e-4, rtol=0)


def test_a_shed_talk_is_one_that_began_with_its_oldest_kept_turn() -> None:
    shed = RealBench(options=EngineOptions(most_positions=300))
    asked = {turn: QUESTION if turn % 2 else SHORT for turn in range(1, 9)}
    for turn, samples in asked.items():
        shed.ask(turn, samples)
    kept = shed.turns()
    assert 1 <= len(kept) < 8
    fresh = RealBench(
        *(
            m.PastTurn(turn=turn, pcm=pack_samples(asked[turn]), steps=tuple(steps))
            for turn, steps in zip(range(9 - len(kept), 9), kept, strict=True)
        )
    )
    assert len(fresh.turns()) == len(kept)
    torch.testing.assert_close(shed.state(), fresh.state(), atol=1e-4, rtol=0)
    assert shed.ask(9, QUESTION) == fresh.ask(9, QUESTION)


def test_interrupted_turns_of_two_sessions_leave_each_as_if_it_were_alone() -> None:
    both, alone = RealBench(), RealBench()
    both.engine.take(m.Open(2, seed=8, sampling=SAMPLING, max_reply_s=1.2))
    both.run()
    rng = np.random.default_rng(2)
    for turn in range(1, 13):
        other = rng.normal(0, 0.1, 8000).astype(np.float32)
        both.engine.take(m.Prepare(2, turn, pcm=pack_samples(other)))
        samples = QUESTION if turn % 2 else SHORT
        num_steps = int(rng.integers(2, 16))
        alone.ask(turn, samples, num_steps=num_steps)
        both.ask(turn, samples, num_steps=2 * num_steps)
        for bench in (both, alone):
            bench.engine.take(m.Cut(1, turn, FRAME_SAMPLES * (turn % 3)))
        both.engine.take(m.Discard(2, turn) if turn % 4 else m.Cut(2, turn, FRAME_SAMPLES))
    assert both.turns() == alone.turns()
    assert both.ask(13, QUESTION) == alone.ask(13, QUESTION)
    assert torch.equal(both.state(), alone.state())
