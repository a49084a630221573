import itertools
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.world import NOT_UNDERSTOOD, Exchange, World, is_held_out
from training.world.grammar import Grammar, GrammarError, expand
from training.world.numbers import NUMBERS
from training.world.rules import WEEKDAYS

DOCS = Path(__file__).parents[2] / "docs" / "voiced-mini.md"


@pytest.fixture(scope="module")
def world() -> World:
    return World.load()


@pytest.fixture(scope="module")
def drawn(world: World) -> list[Exchange]:
    rng = random.Random(11)
    return [world.draw(rng) for _ in range(10_000)]


@pytest.fixture(scope="module")
def dialogues(world: World) -> list[list[Exchange]]:
    rng = random.Random(12)
    return [world.draw_dialogue(rng, 4) for _ in range(2500)]


def say(world: World, *questions: str) -> list[str]:
    """Return the answers to questions said one after the other."""
    before, answers = None, []
    for question in questions:
        before = world.answer(question, before)
        assert before is not None, question
        answers.append(before.answer)
    return answers


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("turn on the kitchen light", "the kitchen light is on"),
        ("kitchen light on please", "the kitchen light is on"),
        ("could you switch the light on in the kitchen", "the kitchen light is on"),
        ("set a timer for ten minutes", "timer set for ten minutes"),
        ("wake me at half past seven", "alarm set for half past seven"),
        ("what is nine plus six", "nine plus six is fifteen"),
        ("what day comes after sunday", "monday comes after sunday"),
        ("what day is before monday", "sunday comes before monday"),
        ("what comes after ninety nine", "one hundred comes after ninety nine"),
        ("what colour is the sky", "the sky is blue"),
        ("it is raining", "take an umbrella"),
        ("my name is peter", "nice to meet you peter"),
        ("repeat after me seven red lights", "seven red lights"),
        ("thank you", "you are welcome"),
    ],
)
def test_plain_questions_have_the_answer_that_follows(
    world: World, question: str, answer: str
) -> None:
    assert say(world, question) == [answer]


def test_follow_ups_build_on_the_exchange_before_also_when_it_was_one(world: World) -> None:
    assert say(
        world, "turn on the kitchen light", "and in the bedroom", "make it red", "off again"
    ) == [
        "the kitchen light is on",
        "the bedroom light is on",
        "the bedroom light is red",
        "the bedroom light is off",
    ]


def test_numbers_are_carried_on(world: World) -> None:
    assert say(world, "what is two plus three", "and plus five", "add ten") == [
        "two plus three is five",
        "five plus five is ten",
        "ten plus ten is twenty",
    ]


def test_a_name_is_remembered_for_one_turn(world: World) -> None:
    told = ["my name is anna", "what did i say my name was"]
    assert say(world, *told)[-1] == "your name is anna"
    assert say(world, told[0], "good morning", told[1])[-1] == NOT_UNDERSTOOD


def test_follow_up_after_nothing_or_after_something_else_is_not_understood(world: World) -> None:
    assert say(world, "and in the bedroom") == [NOT_UNDERSTOOD]
    assert say(world, "what is five plus three", "and in the bedroom")[-1] == NOT_UNDERSTOOD


def test_say_that_again_repeats_the_answer_and_what_it_leads_to(world: World) -> None:
    answers = say(world, "turn off the office light", "say that again", "and the attic")
    assert answers[1:] == ["the office light is off", "the attic light is off"]


def test_the_highest_volume_stays_when_it_is_to_be_louder(world: World) -> None:
    assert say(world, "set the volume to nine", "louder", "louder")[1:] == ["the volume is ten"] * 2


def test_words_of_another_world_have_no_answer(world: World) -> None:
    assert world.answer("launch the rocket") is None
    assert world.answer("") is None


def test_sums_and_timers_beyond_the_world_are_not_understood(world: World) -> None:
    timer = ["set a timer for fifty eight minutes", "add five minutes"]
    assert say(world, *timer)[-1] == NOT_UNDERSTOOD
    assert say(world, "what is five plus ten", "plus eight")[-1] == NOT_UNDERSTOOD


def test_known_words_without_sense_are_not_understood(world: World) -> None:
    assert say(world, "kitchen seven the please umbrella") == [NOT_UNDERSTOOD]
    assert say(world, "turn on the dog") == [NOT_UNDERSTOOD]


def test_the_world_is_small_and_rich(world: World) -> None:
    forms = [form for section in world.grammar.sections.values() for form in section.forms]
    assert len(world.words) >= 400
    assert len(world.intents) >= 60
    assert len(world.follow_ups) >= 12
    assert sum(map(len, forms)) >= 2000


def test_every_question_has_one_answer_and_lookup_finds_it(
    world: World, drawn: list[Exchange]
) -> None:
    for exchange in drawn:
        answers = {reading.answer for reading in world.readings(exchange.question)}
        assert answers <= {exchange.answer}, exchange
        assert world.answer(exchange.question) == exchange


def test_every_turn_of_a_dialogue_has_one_answer_and_lookup_finds_it(
    world: World, dialogues: list[list[Exchange]]
) -> None:
    for dialogue in dialogues:
        for before, exchange in zip([None, *dialogue], dialogue, strict=False):
            answers = {reading.answer for reading in world.readings(exchange.question, before)}
            assert answers <= {exchange.answer}, (before, exchange)
            assert world.answer(exchange.question, before) == exchange


def test_no_follow_up_can_be_said_alone(world: World, dialogues: list[list[Exchange]]) -> None:
    for exchange in (turn for dialogue in dialogues for turn in dialogue if turn.is_follow_up):
        assert not list(world.readings(exchange.question)), exchange


def test_the_answer_alone_tells_what_a_follow_up_refers_to(
    world: World, drawn: list[Exchange], dialogues: list[list[Exchange]]
) -> None:
    for exchange in (*drawn, *(turn for dialogue in dialogues for turn in dialogue)):
        if exchange.intent != "repeat":  # It may repeat the words of any other.
            assert world.answers_leading_on(exchange.answer) <= {exchange.intent}, exchange


def test_every_follow_up_and_intent_is_drawn(
    world: World, drawn: list[Exchange], dialogues: list[list[Exchange]]
) -> None:
    assert {e.intent for e in drawn} == {section.name for section in world.intents}
    said = {
        name
        for dialogue in dialogues
        for before, e in itertools.pairwise(dialogue)
        for name in world.follow_ups_of(e.question, before)
        if e.is_follow_up
    }
    assert said == {section.name for section in world.follow_ups}


def test_intents_are_drawn_about_evenly(drawn: list[Exchange]) -> None:
    counts = dict.fromkeys({e.intent for e in drawn}, 0)
    for exchange in drawn:
        counts[exchange.intent] += 1
    assert min(counts.values()) > len(drawn) / 500
    assert max(counts.values()) < len(drawn) / 15
    assert 0.025 < counts["unknown"] / len(drawn) < 0.055


def test_all_that_is_said_is_of_the_word_list_and_short(
    world: World, drawn: list[Exchange], dialogues: list[list[Exchange]]
) -> None:
    known = set(world.words)
    for exchange in (*drawn, *(turn for dialogue in dialogues for turn in dialogue)):
        question, answer = exchange.question.split(), exchange.answer.split()
        assert known.issuperset(question + answer), exchange
        assert " ".join(question) == exchange.question
        assert " ".join(answer) == exchange.answer
        assert 1 <= len(question) <= 10, exchange
        assert 1 <= len(answer) <= 9, exchange


def test_drawing_depends_on_the_seed_alone(world: World) -> None:
    first = World(Grammar.read()).draw_dialogue(random.Random(5), 20)
    assert first == world.draw_dialogue(random.Random(5), 20)


def test_held_out_questions_are_drawn_only_when_asked_for(world: World) -> None:
    rng = random.Random(7)
    kept = [world.draw(rng, held_out=True) for _ in range(500)]
    assert all(is_held_out(exchange.question) for exchange in kept)
    assert len({exchange.intent for exchange in kept}) > 50
    seen = [world.draw(rng) for _ in range(2000)]
    assert not any(is_held_out(exchange.question) for exchange in seen)


def test_dialogues_for_training_hold_no_held_out_question(
    world: World, dialogues: list[list[Exchange]]
) -> None:
    assert not any(is_held_out(turn.question) for dialogue in dialogues for turn in dialogue)
    for dialogue in (world.draw_dialogue(random.Random(seed), 3, held_out=True) for seed in "ab"):
        assert all(turn.is_follow_up or is_held_out(turn.question) for turn in dialogue)


def test_about_one_sentence_in_twelve_is_held_out_but_none_of_a_small_form() -> None:
    sums = [f"what comes after {number}" for number in NUMBERS]
    assert 2 <= sum(map(is_held_out, sums)) <= 20
    small = ["thank you mini", "stop the music", "no problem", NOT_UNDERSTOOD, "stop it"]
    facts = [
        f"{after} comes after {before}"
        for before, after in itertools.pairwise([*WEEKDAYS, WEEKDAYS[0]])
    ]
    assert not any(map(is_held_out, small + facts))


def test_about_half_of_the_later_turns_are_follow_ups(dialogues: list[list[Exchange]]) -> None:
    later = [turn for dialogue in dialogues for turn in dialogue[1:]]
    assert 0.4 < sum(turn.is_follow_up for turn in later) / len(later) < 0.6
    assert not any(dialogue[0].is_follow_up for dialogue in dialogues)


def test_drawing_is_fast(world: World) -> None:
    rng = random.Random(3)
    begin = time.process_time()
    for _ in range(2000):
        world.draw(rng)
    assert (time.process_time() - begin) / 2000 < 200e-6  # 15 µs here; a busy machine gets slack.


def test_the_documentation_names_every_word(world: World) -> None:
    section = DOCS.read_text(encoding="utf-8").split("<!-- words: begin -->")[1]
    named = set(section.split("<!-- words: end -->")[0].replace(",", " ").split())
    assert sorted(set(world.words) - named) == []


def documented(world: World, heading: str) -> Iterator[str]:
    """Yield every example of a table of the documentation, with the first value of every list."""
    section = DOCS.read_text(encoding="utf-8").split(f"### {heading}\n")[1].split("\n###")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    for row in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        examples = re.sub(r"\*\(.*?\)\*", "", cells[-2]).replace("\\|", "|").split(" · ")
        for example in examples:
            form = re.sub(r"`<(\w+)>`", lambda found: world.grammar.slots[found[1]][-1], example)
            yield from expand(form)


@pytest.mark.parametrize(
    "heading",
    ["The home", "Time", "Numbers", "Kitchen and shopping", "People", "Things to know"],
)
def test_every_example_of_the_documentation_is_understood(world: World, heading: str) -> None:
    examples = list(documented(world, heading))
    understood = [question for question in examples if list(world.readings(question))]
    assert understood == examples


def test_every_follow_up_of_the_documentation_is_one(world: World) -> None:
    examples = list(documented(world, "Follow-ups"))
    assert [question for question in examples if world.is_follow_up(question)] == examples


def test_forms_expand_to_each_way_once() -> None:
    assert expand("[please] (turn|switch [it]) on") == (
        "turn on",
        "switch on",
        "switch it on",
        "please turn on",
        "please switch on",
        "please switch it on",
    )


@pytest.mark.parametrize(
    "text",
    [
        "[intent a]\n? (turn on\n= yes",
        "[intent a]\n? turn {nothing} on\n= yes",
        "[intent a]\nquestion yes\n",
        "[intent a]\n? <nothing> yes\n",
        "[slots]\nroom\n",
    ],
)
def test_a_grammar_that_makes_no_sense_names_the_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "grammar.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(GrammarError, match=r"line 2 of the grammar"):
        Grammar.read(file)
