"""`python -m training.world` counts what the world says and shows some of it."""

import itertools
import random

from training.world import World

_NUM_DRAWS = 200_000
_NUM_SAMPLES = 30
_NUM_DIALOGUES = 3


def main() -> None:
    world, rng = World.load(), random.Random(1)
    sections = world.grammar.sections.values()
    forms = itertools.chain.from_iterable(section.forms for section in sections)
    questions, answers = set(), set()
    for _ in range(_NUM_DRAWS):
        exchange = world.draw(rng)
        questions.add(exchange.question)
        answers.add(exchange.answer)
    print(f"intents            {len(world.intents)}")
    print(f"follow-ups         {len(world.follow_ups)}")
    print(f"forms              {sum(map(len, forms))}")
    print(f"words              {len(world.words)}")
    print(f"in {_NUM_DRAWS} draws    {len(questions)} questions, {len(answers)} answers")
    print()
    for _ in range(_NUM_SAMPLES):
        exchange = world.draw(rng)
        print(f"{exchange.question}  ->  {exchange.answer}")
    for _ in range(_NUM_DIALOGUES):
        print()
        for exchange in world.draw_dialogue(rng, 4):
            sign = "+" if exchange.is_follow_up else "-"
            print(f"{sign} {exchange.question}  ->  {exchange.answer}")


if __name__ == "__main__":
    main()
