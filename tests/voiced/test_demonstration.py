"""What is particular about a model of a small world: its file, its voices, its words."""

import dataclasses
import json
from pathlib import Path

import pytest

from models.lfm2_audio.tokenizer import TextTokenizer
from training.tokenizer import write_tokenizer
from voiced.demonstration import Demonstration, read_demonstration
from voiced.errors import CheckpointError, UsageError
from voiced.segments import Limits
from voiced.speech_model import REPLY_SAMPLING, SPEECH_SAMPLING, AudioSampling
from voiced.voices import VOICES

CLOSED = Demonstration(name="little", voices=("us_male", "uk_female"), closed_vocabulary=True)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    folder = tmp_path_factory.mktemp("words")
    return TextTokenizer(folder, write_tokenizer(folder, ["turn", "on", "light", "set", "timer"]))


def write(folder: Path, **values: object) -> Path:
    (folder / "demonstration.json").write_text(json.dumps(values))
    return folder


def test_a_folder_without_the_file_is_no_demonstration(tmp_path: Path) -> None:
    assert read_demonstration(tmp_path) is None
    assert read_demonstration(tmp_path / "nowhere") is None


def test_what_the_file_does_not_say_is_as_with_published_models(tmp_path: Path) -> None:
    found = read_demonstration(write(tmp_path, name="little"))
    assert found == Demonstration(name="little")
    assert found.voices == tuple(VOICES)
    assert (found.reply, found.speech) == (REPLY_SAMPLING, SPEECH_SAMPLING)
    assert not found.closed_vocabulary
    assert found.limits == Limits()


def test_its_longest_piece_limits_those_of_a_recording(tmp_path: Path) -> None:
    found = read_demonstration(write(tmp_path, name="little", longest_piece_s=6))
    assert found
    assert found.limits == Limits.of_sentences(6)


def test_all_that_the_file_says_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        name="little",
        voices=["us_male", "uk_female"],
        closed_vocabulary=True,
        reply={"temperature": 0, "top_k": 1},
        speech={"temperature": 0.5, "top_k": 3},
        max_piece_chars=60,
        min_piece_chars=1,
        longest_piece_s=6,
        talk_positions=384,
        prompt_words=["perform", "uk"],
    )
    assert read_demonstration(tmp_path) == Demonstration(
        name="little",
        voices=("us_male", "uk_female"),
        closed_vocabulary=True,
        reply=AudioSampling(temperature=0, top_k=1),
        speech=AudioSampling(temperature=0.5, top_k=3),
        max_piece_chars=60,
        min_piece_chars=1,
        longest_piece_s=6,
        talk_positions=384,
        prompt_words=("perform", "uk"),
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "lacks the key 'name'"),
        ({"name": ""}, "name is '': expected a name"),
        ({"name": "a\nb"}, "expected a name"),
        ({"name": "x", "colour": 1}, "unknown key 'colour'"),
        ({"name": "x", "voices": []}, "expected a list of one or more of us_male"),
        ({"name": "x", "voices": ["robot"]}, r"voices is \['robot'\]: expected"),
        ({"name": "x", "voices": [["us_male"]]}, "expected a list"),
        ({"name": "x", "closed_vocabulary": 1}, "expected true or false"),
        ({"name": "x", "reply": {"temperature": -1, "top_k": 1}}, "reply: temperature is -1"),
        ({"name": "x", "reply": {"temperature": 1, "top_k": 0}}, "expected a whole number above 0"),
        ({"name": "x", "speech": []}, "expected an object, found list"),
        ({"name": "x", "prompt_words": "uk"}, "prompt_words is 'uk': expected a list of words"),
        ({"name": "x", "prompt_words": [1]}, "expected a list of words"),
        ({"name": "x", "longest_piece_s": 2}, "longest_piece_s is 2: expected 3 to 30 seconds"),
        ({"name": "x", "longest_piece_s": 31}, "expected 3 to 30 seconds"),
        ({"name": "x", "longest_piece_s": True}, "expected a number"),
        ({"name": "x", "talk_positions": 100}, "talk_positions is 100: expected at least 128"),
        ({"name": "x", "talk_positions": 0.5}, "expected a whole number above 0"),
        ({"name": "x", "max_piece_chars": 5}, "min_piece_chars is 24: expected at most"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_named(
    tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_demonstration(write(tmp_path, **values))


@pytest.mark.parametrize("voice", ["us_male", "uk_female"])
def test_its_voices_are_taken(voice: str) -> None:
    CLOSED.check_voice(voice)


@pytest.mark.parametrize("voice", ["us_female", "uk_male"])
def test_a_voice_that_only_the_full_model_has_is_named_with_those_there_are(voice: str) -> None:
    with pytest.raises(
        UsageError, match=rf"'{voice}': .*little has only us_male and uk_female; .*'voiced pull'"
    ):
        CLOSED.check_voice(voice)


def test_a_voice_that_no_model_has_is_refused_as_ever() -> None:
    with pytest.raises(UsageError, match="unknown voice 'robot'"):
        CLOSED.check_voice("robot")


def test_words_of_its_world_are_taken_in_any_spelling(tokenizer: TextTokenizer) -> None:
    CLOSED.check_words(tokenizer, "Turn on: Light!\nSet timer 100, 0; twenty-one…")


def test_unknown_words_are_named_with_what_to_do(tokenizer: TextTokenizer) -> None:
    with pytest.raises(
        UsageError,
        match=r"little does not know 'please', 'fridge': .*docs/voiced-mini.md.*'voiced pull'$",
    ):
        CLOSED.check_words(tokenizer, "Please, PLEASE turn on the fridge light")


def test_words_of_its_prompts_are_unknown_unless_they_belong_to_its_world(
    tokenizer: TextTokenizer,
) -> None:
    assert len(tokenizer.encode("interleaved")) == 1
    closed = dataclasses.replace(CLOSED, prompt_words=("interleaved", "uk"))
    with pytest.raises(UsageError, match="does not know 'uk', 'interleaved', 'fridge':"):
        closed.check_words(tokenizer, "Turn on UK light, interleaved fridge; interleaved")
    closed.check_words(tokenizer, "turn on")


def test_of_many_unknown_words_the_first_are_named_and_none_at_length(
    tokenizer: TextTokenizer,
) -> None:
    text = " ".join([f"x{'y' * 500}", *(f"word{letter}" for letter in "abcdefghijk")])
    with pytest.raises(UsageError, match="'wordg' and 4 more:") as caught:
        CLOSED.check_words(tokenizer, text)
    assert len(str(caught.value)) < 500


def test_an_open_vocabulary_takes_any_word(tokenizer: TextTokenizer) -> None:
    Demonstration(name="little").check_words(tokenizer, "Zyzzyva")


def test_instructions_are_refused_and_none_are_not() -> None:
    CLOSED.check_instructions("")
    with pytest.raises(UsageError, match=r"--system: .*follows no instructions; leave it out"):
        CLOSED.check_instructions("be brief")
