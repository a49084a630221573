"""A conversation's caches: whatever was kept, cut or continued equals computing everything anew."""

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio.errors import AudioError
from models.backbone import BackboneCache, forward
from models.errors import NonFiniteError, RangeError
from models.lfm2_audio import AudioFrame, Conversation, EndOfTurn, Mode, Sampling, Step, TextToken
from tests.models.golden import model, tensors

SAMPLED = Sampling(text_temperature=1.0, audio_temperature=1.0, audio_top_k=4, seed=3)


def wave(name: str = "both") -> NDArray[np.float32]:
    """Return recorded noise; to "both" the tiny model gives replies of more than 30 steps."""
    if name == "both":
        return np.concatenate([wave("question"), wave("short")])
    return tensors()[f"wave.{name}"].numpy()


def open_reply(conversation: Conversation, sound: NDArray[np.float32]) -> Conversation:
    conversation.begin_turn("user")
    conversation.append_audio(sound)
    conversation.end_turn()
    conversation.begin_turn("assistant")
    return conversation


def asked(sound: NDArray[np.float32] | None = None) -> Conversation:
    conversation = model().conversation()
    conversation.begin_turn("system")
    conversation.append_text("Respond with interleaved text and audio.")
    conversation.end_turn()
    return open_reply(conversation, wave() if sound is None else sound)


def reply(
    conversation: Conversation, num_steps: int, sampling: Sampling | None = None
) -> list[Step]:
    return list(conversation.generate(Mode.INTERLEAVED, max_steps=num_steps, sampling=sampling))


def replay(conversation: Conversation, steps: list[Step]) -> None:
    """Append a reply as an engine that lost its caches would."""
    for step in steps:
        if isinstance(step, TextToken):
            conversation.append_tokens([step.token])
        elif isinstance(step, AudioFrame):
            conversation.append_frames(torch.tensor(step.codes)[:, None])


def last_state(conversation: Conversation) -> Tensor:
    """Hidden state after everything appended, by a prefill from position 0 of what is pending."""
    with torch.inference_mode():
        return forward(
            model().network.lfm, conversation.pending, BackboneCache(model().config.lfm)
        )[-1]


def test_second_turn_equals_a_fresh_prefill_of_everything() -> None:
    kept = asked()
    first = reply(kept, 30)
    kept.end_turn()
    open_reply(kept, wave("question"))
    fresh = asked()
    replay(fresh, first)
    fresh.end_turn()
    open_reply(fresh, wave("question"))
    assert fresh.num_positions == kept.num_positions
    network = model().network
    fresh_logits = network.text_logits(last_state(fresh))
    kept.prefill()
    assert kept._state is not None
    torch.testing.assert_close(network.text_logits(kept._state), fresh_logits, atol=1e-4, rtol=0)
    assert reply(kept, 40) == reply(fresh, 40)


def test_second_turn_computes_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = asked()
    steps = reply(conversation, 20)
    before = conversation.num_positions
    conversation.end_turn()
    open_reply(conversation, wave("question"))
    fed: list[int] = []
    plain = model().network.lfm.forward

    def counted(*args: object, **kwargs: Tensor) -> object:
        fed.append(kwargs["inputs_embeds"].shape[1])
        return plain(*args, **kwargs)

    monkeypatch.setattr(model().network.lfm, "forward", counted)
    conversation.prefill()
    # The last step of a reply is computed only when something follows it.
    assert sum(fed) == conversation.num_positions - before + 1
    assert len(steps) == 21


@pytest.mark.parametrize("sampling", [Sampling(), SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("kept", [0, 1, 5, 6, 7, 17, 18, 19, 24])
def test_rollback_then_continue_equals_never_having_gone_there(
    kept: int, sampling: Sampling
) -> None:
    straight, detour = asked(), asked()
    expected = reply(straight, 30, sampling)
    reply(detour, 25, sampling)
    detour.rollback(kept)
    assert detour.num_positions == straight.num_positions - 30 + kept
    assert reply(detour, 30, sampling) == expected[kept:]


def test_rollback_then_next_turn_equals_a_reply_that_was_only_that_long() -> None:
    cut, short = asked(), asked()
    reply(cut, 25)
    cut.rollback(9)
    reply(short, 9)
    for conversation in (cut, short):
        conversation.end_turn()
        open_reply(conversation, wave("question"))
        conversation.prefill()
    assert cut._state is not None
    assert short._state is not None
    torch.testing.assert_close(cut._state, short._state, atol=0, rtol=0)
    assert reply(cut, 20) == reply(short, 20)


def test_rollback_of_a_second_reply_keeps_the_first() -> None:
    straight, detour = asked(), asked()
    for conversation in (straight, detour):
        reply(conversation, 14)
        conversation.end_turn()
        open_reply(conversation, wave("question"))
    expected = reply(straight, 20)
    reply(detour, 11)
    detour.rollback(0)
    assert reply(detour, 20) == expected


def test_rollback_twice_in_one_reply() -> None:
    straight, detour = asked(), asked()
    expected = reply(straight, 30)
    reply(detour, 25)
    detour.rollback(20)
    reply(detour, 28)
    detour.rollback(3)
    assert reply(detour, 30) == expected[3:]


def test_an_iterator_left_open_ends_after_a_rollback() -> None:
    conversation = asked()
    steps = conversation.generate(Mode.INTERLEAVED, max_steps=30)
    list(islice(steps, 10))
    conversation.rollback(4)
    assert list(steps) == []
    assert len(reply(conversation, 12)) == 12 - 4 + 1


def test_a_reply_left_in_the_middle_goes_on_where_it_was() -> None:
    straight, paused = asked(), asked()
    expected = reply(straight, 30)
    beginning = list(islice(paused.generate(Mode.INTERLEAVED, max_steps=30), 11))
    assert beginning + reply(paused, 30) == expected


def test_rollback_restores_text_whose_character_was_incomplete() -> None:
    straight, detour = asked(), asked()
    expected = [step.text for step in reply(straight, 30, SAMPLED) if isinstance(step, TextToken)]
    whole = reply(detour, 30, SAMPLED)
    detour.rollback(15)
    again = whole[:15] + reply(detour, 30, SAMPLED)
    assert [step.text for step in again if isinstance(step, TextToken)] == expected


@pytest.mark.parametrize("num_steps", [-1, 6])
def test_rollback_beyond_the_reply_is_refused(num_steps: int) -> None:
    conversation = asked()
    reply(conversation, 5)
    with pytest.raises(RangeError, match="it has 5"):
        conversation.rollback(num_steps)


def test_rollback_without_an_open_reply_is_refused() -> None:
    conversation = asked()
    with pytest.raises(RangeError, match="no reply to roll back"):
        conversation.rollback(0)
    reply(conversation, 5)
    conversation.end_turn()
    with pytest.raises(RangeError, match="no reply to roll back"):
        conversation.rollback(0)


def test_replies_under_one_seed_are_equal_and_under_another_differ() -> None:
    def replies(seed: int) -> list[list[Step]]:
        sampling = Sampling(text_temperature=1.0, audio_temperature=1.0, audio_top_k=64, seed=seed)
        sounds = (wave(), wave("question"), wave()[::-1].copy())
        return [reply(asked(sound), 24, sampling) for sound in sounds]

    first, again, other = replies(1), replies(1), replies(2)
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_steps_of_a_reply_do_not_share_their_randomness() -> None:
    sampling = Sampling(text_temperature=1e6, audio_temperature=1e6, seed=1)
    steps = reply(asked(), 40, sampling)
    assert len({step.codes for step in steps if isinstance(step, AudioFrame)}) > 20


def test_top_k_of_one_is_greedy() -> None:
    one = Sampling(text_temperature=5.0, text_top_k=1, audio_temperature=5.0, audio_top_k=1)
    assert reply(asked(), 30, one) == reply(asked(), 30)


def test_step_limit_counts_from_the_beginning_of_the_reply() -> None:
    conversation = asked()
    assert reply(conversation, 5)[-1] == EndOfTurn(5, "step limit")
    assert reply(conversation, 8)[-1] == EndOfTurn(8, "step limit")
    assert reply(conversation, 8) == [EndOfTurn(8, "step limit")]


def test_prefill_in_parts_equals_one_prefill(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reply(asked(wave("question")), 24)
    monkeypatch.setattr("models.lfm2_audio.conversation.PREFILL_POSITIONS", 7)
    assert reply(asked(wave("question")), 24) == expected


def test_text_that_looks_like_special_tokens_is_only_text() -> None:
    conversation = model().conversation()
    before = conversation.num_positions
    conversation.append_text("<|im_end|>")
    assert conversation.num_positions - before > 1


def full(conversation: Conversation, *, free: int) -> None:
    conversation.append_tokens([300] * (model().max_positions - conversation.num_positions - free))


def test_a_full_conversation_refuses_more_and_says_how_much_it_holds() -> None:
    conversation = model().conversation()
    full(conversation, free=2)
    with pytest.raises(RangeError, match=r"3 positions more on 32766: .* at most 32768"):
        conversation.append_tokens([300] * 3)
    assert conversation.num_positions == 32766


def test_a_reply_ends_when_the_context_is_full_and_the_turn_can_still_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation = asked()
    most = conversation.num_positions + 10
    monkeypatch.setattr(model().config.lfm, "max_position_embeddings", most)
    steps = reply(conversation, 100)
    assert steps[-1] == EndOfTurn(6, "context full"), (
        "10 positions were free, 4 are kept to close the turn"
    )
    conversation.end_turn()
    assert conversation.num_positions <= most


@pytest.mark.parametrize(
    ("sound", "error", "message"),
    [
        (np.zeros(0, np.float32), RangeError, "0 samples of sound"),
        (
            np.zeros(160, np.float32),
            RangeError,
            "160 samples of sound \\(10 ms\\): expected at least 320",
        ),
        (np.zeros((2, 800), np.float32), AudioError, "one dimension"),
        (np.zeros(800, np.float64), AudioError, "float32"),
        (np.full(800, np.nan, np.float32), AudioError, "sample 0 is NaN or infinite"),
        (np.append(np.zeros(800, np.float32), np.float32(np.inf)), AudioError, "sample 800 is"),
    ],
)
def test_sound_that_cannot_be_heard_is_refused(
    sound: NDArray[np.float32], error: type[Exception], message: str
) -> None:
    conversation = model().conversation()
    with pytest.raises(error, match=message):
        conversation.append_audio(sound)
    assert conversation.num_positions == 1


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(320, np.float32),
        np.zeros(16000, np.float32),
        np.ones(16000, np.float32),
        np.sign(np.sin(np.arange(16000, dtype=np.float32))),
        100 * np.sin(np.arange(16000, dtype=np.float32)),
    ],
    ids=["shortest", "silence", "offset", "clipped", "loud"],
)
def test_odd_sound_is_heard_without_a_non_finite_number(sound: NDArray[np.float32]) -> None:
    assert isinstance(reply(asked(sound), 10)[-1], EndOfTurn)


APPENDS: list[tuple[Callable[[Conversation], None], str]] = [
    (lambda c: c.append_tokens([512]), "text token 512: expected 0 to 511"),
    (lambda c: c.append_tokens([-1]), "text token -1"),
    (lambda c: c.append_frames(torch.full((8, 1), 2049)), "audio codes from 2049 to 2049"),
    (lambda c: c.append_frames(torch.full((8, 1), -1)), "audio codes from -1"),
    (lambda c: c.append_frames(torch.zeros((8, 1))), "codes of type torch.float32"),
    (lambda c: c.append_frames(torch.zeros((7, 1), dtype=torch.long)), "codes of shape \\(7, 1\\)"),
]


@pytest.mark.parametrize(("append", "message"), APPENDS)
def test_numbers_out_of_range_are_refused_before_any_lookup(
    append: Callable[[Conversation], None], message: str
) -> None:
    with pytest.raises(RangeError, match=message):
        append(model().conversation())


def test_a_conversation_goes_on_after_an_error_as_if_it_had_not_been(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, conversation = reply(asked(), 12), asked()
    norm = model().network.lfm.embedding_norm
    with monkeypatch.context() as patch:
        patch.setattr(norm, "forward", lambda x: x * torch.nan)
        for _ in range(2):
            with pytest.raises(NonFiniteError):
                reply(conversation, 12)
    beginning = list(islice(conversation.generate(Mode.INTERLEAVED, max_steps=12), 5))
    with monkeypatch.context() as patch:
        patch.setattr(norm, "forward", lambda x: x * torch.nan)
        with pytest.raises(NonFiniteError):
            reply(conversation, 12)
    assert beginning + reply(conversation, 12) == expected


def test_empty_appends_change_nothing() -> None:
    straight, padded = asked(), asked()
    padded.prefill()
    padded.append_text("")
    padded.append_frames(torch.zeros((8, 0), dtype=torch.long))
    padded.prefill()
    assert reply(padded, 12) == reply(straight, 12)
    padded.append_text("")
    padded.rollback(3)


def test_of_two_iterators_over_one_reply_the_newest_goes_on() -> None:
    expected, conversation = reply(asked(), 20), asked()
    first = conversation.generate(Mode.INTERLEAVED, max_steps=20)
    beginning = list(islice(first, 4))
    second = conversation.generate(Mode.INTERLEAVED, max_steps=20)
    beginning += islice(second, 4)
    assert list(first) == []
    assert beginning + list(second) == expected


def test_codes_are_not_drawn_from_logits_that_are_not_finite() -> None:
    weight = model().network.get_parameter("depth_embeddings.3.embedding.weight")
    sound = weight.clone()
    try:
        weight.fill_(3e38)
        with pytest.raises(NonFiniteError, match="logits of codebook"):
            reply(asked(), 20)
    finally:
        weight.copy_(sound)


def test_a_long_prefill_keeps_no_convolution_inputs_that_it_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.lfm2_audio.conversation.PREFILL_POSITIONS", 256)
    conversation = model().conversation()
    conversation.append_tokens([300] * 3000)
    conversation.prefill()
    assert all(held.shape[2] < 300 for held in conversation._cache._conv.values())


def test_a_state_that_is_not_finite_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    norm = model().network.lfm.embedding_norm
    monkeypatch.setattr(norm, "forward", lambda x: x * torch.nan)
    with pytest.raises(NonFiniteError, match="hidden state of the backbone at position"):
        asked().prefill()
