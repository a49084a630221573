"""The independent recogniser and its grammar."""

from pathlib import Path

import numpy as np
import pytest

from training.judge import Judge, Sentences, pronunciations
from training.world import World

SLOTS = {"number": ("one", "twenty", "twenty one"), "other": ("twenty", "one", "twenty one")}


@pytest.fixture(scope="module")
def few() -> Sentences:
    return Sentences(("light {number} on", "light off", "{other} plus {number}"), SLOTS)


@pytest.mark.parametrize(
    "sentence", ["light off", "light twenty on", "light twenty one on", "twenty one plus twenty"]
)
def test_every_sentence_of_the_templates_is_held(few: Sentences, sentence: str) -> None:
    assert few.holds(sentence)


@pytest.mark.parametrize(
    "sentence",
    ["", "light", "light on", "light one twenty on", "light off off", "dark", "one plus"],
)
def test_no_other_sentence_is_held(few: Sentences, sentence: str) -> None:
    assert not few.holds(sentence)


def test_the_automaton_holds_all_questions_of_the_world() -> None:
    world = World.load()
    sentences = Sentences.of_questions(world)
    for section in world.intents:
        for template in section.forms[0]:
            filled = template.fill({name: world.grammar.slots[name][-1] for name in template.slots})
            assert sentences.holds(filled), filled


def test_what_is_written_has_every_arc_and_one_final_state(few: Sentences, tmp_path: Path) -> None:
    few.write(tmp_path / "a.fsg")
    lines = (tmp_path / "a.fsg").read_text().splitlines()
    assert lines[:4] == [
        "FSG_BEGIN world",
        f"NUM_STATES {len(few.arcs) + 1}",
        "START_STATE 0",
        f"FINAL_STATE {len(few.arcs)}",
    ]
    num_arcs = sum(map(len, few.arcs)) + len(few.ends)
    assert sum(line.startswith("TRANSITION") for line in lines) == num_arcs


def test_a_word_may_have_several_pronunciations() -> None:
    lines = pronunciations(["the", "oink"])
    assert "oink OY NG K" in lines
    assert sum(line.split("(")[0].split()[0] == "the" for line in lines) > 1


def test_a_word_without_pronunciation_is_named() -> None:
    with pytest.raises(ValueError, match="no pronunciation of xqzt"):
        pronunciations(["the", "xqzt"])


def test_every_word_of_the_world_has_a_pronunciation() -> None:
    assert pronunciations(World.load().words)


def test_the_judge_hears_what_espeak_says_and_nothing_in_silence() -> None:
    from training.espeak import Espeak, EspeakError
    from training.exam import as_heard_back
    from training.sound import reply_sound

    try:
        espeak = Espeak()
    except EspeakError as error:
        pytest.skip(str(error))
    judge = Judge(
        Sentences(("turn the {room} light on", "play some jazz"), {"room": ("kitchen", "garage")})
    )
    for text in ("turn the garage light on", "play some jazz"):
        assert judge.hear(as_heard_back(reply_sound(espeak, text, "us_male"))) == text
    assert judge.hear(as_heard_back(np.zeros(2400, np.float32))) == ""
