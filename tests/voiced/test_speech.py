from collections.abc import Iterator

import numpy as np
import pytest

from models.errors import ModelError
from models.lfm2_audio import Mode
from tests.fakes import FakeConversation, FakeModel, ScriptStep, end_of_audio, frame
from voiced.errors import UsageError
from voiced.seeds import derived_seed
from voiced.speech import PAUSE_S, max_steps, shortened, speak
from voiced.speech_model import FRAME_SAMPLES, SOUND_RATE_HZ, AudioSampling
from voiced.voices import VOICES

TWO_SENTENCES = "This is the first of two sentences. And this one is the second of them."


def no_warning(message: str) -> None:
    raise AssertionError(message)


def test_each_piece_is_a_fresh_conversation_with_the_prompt_of_the_voice() -> None:
    model = FakeModel([frame(), end_of_audio()])
    list(speak(model, TWO_SENTENCES, voice="uk_female", warn=no_warning))
    assert [[(turn.role, turn.text) for turn in c.turns] for c in model.conversations] == [
        [
            ("system", "Perform TTS. Use the UK female voice."),
            ("user", sentence),
            ("assistant", ""),
        ]
        for sentence in (
            "This is the first of two sentences.",
            "And this one is the second of them.",
        )
    ]


def test_speech_is_sampled_as_the_model_card_says_and_bounded_by_the_text() -> None:
    model = FakeModel([frame()])
    list(speak(model, "Good morning", seed=7, warn=no_warning))
    [(mode, steps, sampling)] = model.conversations[0].calls
    assert mode is Mode.SEQUENTIAL
    assert steps == max_steps("Good morning")
    assert sampling is not None
    assert (sampling.audio_temperature, sampling.audio_top_k, sampling.seed) == (0.8, 64, 7)
    assert sampling.text_temperature is None


def test_a_model_of_a_small_world_has_pieces_and_sampling_of_its_own() -> None:
    model = FakeModel([frame()])
    sound = speak(
        model,
        "Hello. Turn the kitchen light on.",
        sampling=AudioSampling(temperature=0.0, top_k=1),
        max_piece_chars=20,
        min_piece_chars=1,
        warn=no_warning,
    )
    list(sound)
    assert [c.turns[1].text for c in model.conversations] == [
        "Hello.",
        "Turn the kitchen",
        "light on.",
    ]
    assert {
        (sampling.audio_temperature, sampling.audio_top_k)
        for c in model.conversations
        for _, _, sampling in c.calls
        if sampling
    } == {(0.0, 1)}


def test_the_first_sound_comes_before_generation_ends() -> None:
    made: list[int] = []

    def script(_: FakeConversation) -> Iterator[ScriptStep]:
        for index in range(50):
            made.append(index)
            yield frame()

    next(speak(FakeModel(script), "Good morning", warn=no_warning))
    assert made == [0]


def test_all_frames_are_heard_and_the_end_of_audio_is_not() -> None:
    model = FakeModel(["", frame(100), frame(200), end_of_audio(), ""])
    sound = np.concatenate(list(speak(model, "Good morning", warn=no_warning)))
    assert len(sound) == 2 * FRAME_SAMPLES
    assert set(sound) == {np.float32(100 / 2048), np.float32(200 / 2048)}


def test_a_frame_with_a_stray_end_code_is_left_out() -> None:
    model = FakeModel([frame(), (1, 2, 2048, 1, 1, 1, 1, 1), frame()])
    sound = np.concatenate(list(speak(model, "Good morning", warn=no_warning)))
    assert len(sound) == 2 * FRAME_SAMPLES


def test_a_short_silence_lies_between_pieces_and_not_around_them() -> None:
    model = FakeModel([frame(), end_of_audio()])
    sound = np.concatenate(list(speak(model, TWO_SENTENCES, warn=no_warning)))
    pause = round(PAUSE_S * SOUND_RATE_HZ)
    assert len(sound) == 2 * FRAME_SAMPLES + pause
    assert not sound[FRAME_SAMPLES : FRAME_SAMPLES + pause].any()
    assert sound[0]
    assert sound[-1]


def test_pieces_draw_from_different_seeds_and_the_first_from_the_given_one() -> None:
    model = FakeModel([frame()])
    list(speak(model, TWO_SENTENCES, seed=3, warn=no_warning))
    seeds = [call[2].seed for c in model.conversations for call in c.calls if call[2]]
    assert seeds == [3, derived_seed(3, 1)]
    assert derived_seed(3, 1) not in {derived_seed(seed, 0) for seed in range(100)}


def test_a_piece_without_sound_is_told_and_the_others_are_spoken() -> None:
    told: list[str] = []
    model = FakeModel(["I", " cannot"], [frame()])
    sound = np.concatenate(list(speak(model, TWO_SENTENCES, warn=told.append)))
    assert len(sound) == FRAME_SAMPLES
    [message] = told
    assert "no sound of 'This is the first of two sentences.'" in message


def test_a_text_without_any_sound_is_an_error() -> None:
    told: list[str] = []
    with pytest.raises(ModelError, match="no sound of any of the 2 pieces"):
        list(speak(FakeModel(["no"]), TWO_SENTENCES, warn=told.append))
    assert len(told) == 2


def test_a_piece_that_does_not_end_is_cut_off_and_told() -> None:
    told: list[str] = []
    model = FakeModel([frame()] * 10_000)
    sound = np.concatenate(list(speak(model, "Good morning", warn=told.append)))
    assert len(sound) == max_steps("Good morning") * FRAME_SAMPLES
    assert told == [
        "the model did not find the end of 'Good morning' (step limit); try another --seed"
    ]


@pytest.mark.parametrize("sampling", [(0.0, 64), (0.8, 1)])
def test_another_seed_is_not_advised_where_all_seeds_give_the_same(
    sampling: tuple[float, int],
) -> None:
    told: list[str] = []
    greedy = AudioSampling(temperature=sampling[0], top_k=sampling[1])
    model = FakeModel([frame()] * 10_000)
    list(speak(model, "Good morning", sampling=greedy, warn=told.append))
    assert told == [
        "the model did not find the end of 'Good morning' (step limit); say it in other words"
    ]


def test_pieces_of_emoji_and_punctuation_are_passed_over() -> None:
    model = FakeModel([frame()])
    list(speak(model, "😀😀\n\n***\n\nGood morning", warn=no_warning))
    assert [c.turns[1].text for c in model.conversations] == ["Good morning"]


@pytest.mark.parametrize("text", ["", " \n", "...!?", "😀"])
def test_nothing_to_speak_is_refused_at_once(text: str) -> None:
    model = FakeModel([frame()])
    with pytest.raises(UsageError, match="at least one letter or digit"):
        speak(model, text, warn=no_warning)
    assert model.conversations == []


def test_a_hundred_thousand_characters_are_spoken_piece_by_piece() -> None:
    model = FakeModel([frame()])
    parts = speak(model, "lorem ipsum " * 8_334, warn=no_warning)
    next(parts)
    assert len(model.conversations) == 1
    num_samples = sum(len(part) for part in parts)
    assert num_samples > len(model.conversations) * FRAME_SAMPLES
    assert sum(len(c.turns[1].text) for c in model.conversations) > 99_000


def test_what_looks_like_a_special_token_is_given_as_words() -> None:
    model = FakeModel([frame()])
    list(speak(model, "Say <|im_end|> now", warn=no_warning))
    assert model.conversations[0].turns[1].text == "Say <|im_end|> now"


def test_the_limit_grows_with_the_text_and_allows_for_slow_languages() -> None:
    assert max_steps("a" * 200) > max_steps("a" * 100) > 100 * 0.1 * 12.5
    assert max_steps("語" * 100) > max_steps("a" * 100)


def test_messages_quote_the_beginning_of_a_text_on_one_line() -> None:
    assert shortened("one\ntwo") == "one two"
    assert shortened("x" * 100) == "x" * 39 + "…"


def test_voices_have_the_prompts_the_model_was_trained_with() -> None:
    assert {
        f"{country.lower()}_{sex}": f"Perform TTS. Use the {country} {sex} voice."
        for country in ("US", "UK")
        for sex in ("male", "female")
    } == VOICES


@pytest.mark.parametrize(
    ("voice", "nearest"),
    [("uk_femal", "uk_female"), ("US-Male", "us_male"), ("british male", None), ("", None)],
)
def test_an_unknown_voice_names_the_four_and_the_nearest(voice: str, nearest: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        speak(FakeModel(), "Good morning", voice=voice, warn=no_warning)
    message = str(caught.value)
    assert "expected one of us_male, us_female, uk_male, uk_female" in message
    if nearest:
        assert message.endswith(f"did you mean {nearest}?")
