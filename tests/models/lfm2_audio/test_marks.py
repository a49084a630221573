"""Marks and resumed replies: a conversation that went elsewhere and returned equals one that never went."""

import pytest
import torch

from models.errors import RangeError
from models.lfm2_audio import AudioFrame, Conversation, EndOfTurn, Mode, Step, TextToken
from tests.models.golden import model
from tests.models.lfm2_audio.test_conversation import SAMPLED, asked, open_reply, reply, wave


def go_elsewhere(conversation: Conversation, num_steps: int) -> None:
    conversation.end_turn()
    open_reply(conversation, wave("short"))
    if num_steps:
        reply(conversation, num_steps)


def next_turn(conversation: Conversation) -> list[Step]:
    conversation.end_turn()
    open_reply(conversation, wave("question"))
    return reply(conversation, 20, SAMPLED)


@pytest.mark.parametrize("num_steps", [0, 1, 7, 20])
def test_a_turn_that_was_taken_back_never_was(num_steps: int) -> None:
    straight, detour = asked(), asked()
    for conversation in (straight, detour):
        reply(conversation, 14)
    mark = detour.mark()
    go_elsewhere(detour, num_steps)
    detour.return_to(mark)
    assert detour.num_positions == straight.num_positions
    assert next_turn(detour) == next_turn(straight)
    for conversation in (straight, detour):
        conversation.prefill()
    assert straight._state is not None
    assert detour._state is not None
    assert torch.equal(straight._state, detour._state)


def test_after_a_return_the_reply_that_was_open_can_be_rolled_back() -> None:
    straight, detour = asked(), asked()
    reply(straight, 14)
    reply(detour, 14)
    mark = detour.mark()
    go_elsewhere(detour, 9)
    detour.return_to(mark)
    for conversation in (straight, detour):
        conversation.rollback(5)
    assert next_turn(detour) == next_turn(straight)


def test_a_mark_before_anything_was_computed_leads_back_there() -> None:
    straight, detour = asked(), model().conversation()
    mark = detour.mark()
    open_reply(detour, wave("short"))
    reply(detour, 8)
    detour.return_to(mark)
    detour.begin_turn("system")
    detour.append_text("Respond with interleaved text and audio.")
    detour.end_turn()
    open_reply(detour, wave())
    assert reply(detour, 20) == reply(straight, 20)


def test_only_the_newest_mark_leads_back() -> None:
    conversation = asked()
    old = conversation.mark()
    conversation.mark()
    with pytest.raises(RangeError, match="expected the newest"):
        conversation.return_to(old)


@pytest.mark.parametrize("change", ["rollback", "generate"])
def test_a_mark_within_a_reply_ends_when_the_reply_changes(change: str) -> None:
    conversation = asked()
    reply(conversation, 6)
    mark = conversation.mark()
    if change == "rollback":
        conversation.rollback(2)
    else:
        reply(conversation, 8)
    with pytest.raises(RangeError, match="as it was"):
        conversation.return_to(mark)


def test_prefill_in_parts_computes_all_in_the_end() -> None:
    whole, parts = asked(), asked()
    whole.prefill()
    num_calls = 1
    while parts.prefill(7):
        num_calls += 1
    assert num_calls == -(-whole.num_positions // 7)
    assert not parts.prefill(7)
    assert whole._state is not None
    assert parts._state is not None
    torch.testing.assert_close(whole._state, parts._state, atol=1e-5, rtol=0)
    assert reply(parts, 20) == reply(whole, 20)


@pytest.mark.parametrize("kept", [0, 1, 6, 17, 24])
def test_a_resumed_reply_can_be_rolled_back_and_gone_on_with(kept: int) -> None:
    straight, resumed = asked(), asked()
    expected = reply(straight, 30)
    made = [step for step in expected if not isinstance(step, EndOfTurn)][:25]
    told = resumed.resume_reply(
        [step.token if isinstance(step, TextToken) else step.codes for step in made]
    )
    assert told == made
    resumed.rollback(kept)
    assert reply(resumed, 30) == expected[kept:]


def test_a_resumed_reply_ends_like_a_generated_one() -> None:
    straight, resumed = asked(), asked()
    made = [step for step in reply(straight, 20) if not isinstance(step, EndOfTurn)]
    resumed.resume_reply(
        [step.token if isinstance(step, TextToken) else step.codes for step in made]
    )
    assert resumed.num_positions == straight.num_positions
    assert next_turn(resumed) == next_turn(straight)


def test_steps_that_the_model_does_not_have_are_refused_and_change_nothing() -> None:
    conversation = asked()
    before = conversation.num_positions
    for steps in ([600], [(2049,) * 8]):
        with pytest.raises(RangeError):
            conversation.resume_reply(steps)
    assert conversation.num_positions == before
    assert isinstance(
        next(conversation.generate(Mode.INTERLEAVED, max_steps=5)), TextToken | AudioFrame
    )
