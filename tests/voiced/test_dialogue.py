from collections.abc import Iterator

import numpy as np
import pytest

from models.errors import RangeError
from models.lfm2_audio import Mode
from tests.fakes import FakeConversation, FakeModel, ScriptStep, end_of_audio, frame
from voiced.dialogue import (
    SYSTEM_PROMPT,
    Dialogue,
    ReplyEnded,
    ReplySound,
    ReplyText,
)
from voiced.seeds import derived_seed
from voiced.speech_model import FRAME_SAMPLES

QUESTION = np.full(16_000, 0.1, np.float32)


def test_turns_share_one_conversation_that_is_never_given_the_past_again() -> None:
    model = FakeModel(["Yes", frame()], ["No", frame()])
    dialogue = Dialogue(model)
    list(dialogue.reply(QUESTION, max_reply_s=10))
    list(dialogue.reply("Are you sure?", max_reply_s=10))
    [conversation] = model.conversations
    assert [(turn.role, turn.text, turn.is_closed) for turn in conversation.turns] == [
        ("system", SYSTEM_PROMPT, True),
        ("user", "", True),
        ("assistant", "Yes", True),
        ("user", "Are you sure?", True),
        ("assistant", "No", True),
    ]
    assert np.array_equal(conversation.turns[1].audio[0], QUESTION)


def test_replies_are_sampled_as_the_model_card_says_with_a_seed_a_turn() -> None:
    model = FakeModel([frame()])
    dialogue = Dialogue(model, seed=5)
    for _ in range(2):
        list(dialogue.reply("Hello", max_reply_s=8))
    calls = model.conversations[0].calls
    assert [mode for mode, _, _ in calls] == [Mode.INTERLEAVED] * 2
    samplings = [sampling for _, _, sampling in calls if sampling]
    assert [s.seed for s in samplings] == [5, derived_seed(5, 1)]
    assert {(s.audio_temperature, s.audio_top_k) for s in samplings} == {(1.0, 4)}
    assert all(steps >= 8 * 12.5 * 1.5 for _, steps, _ in calls)


def test_text_has_the_place_in_the_sound_at_which_it_came() -> None:
    model = FakeModel(
        ["Hel", "lo", frame(), frame(), "", " there", frame(), end_of_audio(), " end"]
    )
    parts = list(Dialogue(model).reply("Hi", max_reply_s=10))
    assert [part for part in parts if isinstance(part, ReplyText)] == [
        ReplyText("Hel", 0),
        ReplyText("lo", 0),
        ReplyText(" there", 2 * FRAME_SAMPLES),
        ReplyText(" end", 3 * FRAME_SAMPLES),
    ]
    sound = sum(len(part.samples) for part in parts if isinstance(part, ReplySound))
    assert sound == 3 * FRAME_SAMPLES
    assert parts[-1] == ReplyEnded("end")


def test_sound_comes_before_generation_ends() -> None:
    made: list[int] = []

    def script(_: FakeConversation) -> Iterator[ScriptStep]:
        for index in range(50):
            made.append(index)
            yield frame()

    parts = Dialogue(FakeModel(script)).reply("Hi", max_reply_s=10)
    assert isinstance(next(parts), ReplySound)
    assert made == [0]


def test_a_reply_is_cut_off_at_its_limit() -> None:
    dialogue = Dialogue(FakeModel([frame()] * 1000))
    for _turn in range(2):  # The conversation goes on after it.
        parts = list(dialogue.reply("Hi", max_reply_s=0.8))
        assert parts[-1] == ReplyEnded("step limit")
        sound = sum(len(part.samples) for part in parts if isinstance(part, ReplySound))
        assert sound == 10 * FRAME_SAMPLES


def test_a_reply_of_endless_text_is_cut_off_too() -> None:
    parts = list(Dialogue(FakeModel(["word "] * 1000)).reply("Hi", max_reply_s=1))
    assert parts[-1] == ReplyEnded("step limit")
    assert len(parts) < 100


def test_instructions_follow_the_prompt_of_the_model() -> None:
    model = FakeModel([])
    Dialogue(model, instructions="Be brief.")
    assert model.conversations[0].turns[0].text == f"{SYSTEM_PROMPT} Be brief."


def test_too_short_a_sound_is_an_error() -> None:
    with pytest.raises(RangeError):
        list(Dialogue(FakeModel([])).reply(QUESTION[:100], max_reply_s=1))
