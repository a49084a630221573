"""Twenty minutes of talk, in simulated time, of which the model can hold half a minute."""

import random
from itertools import pairwise

from tests.voiced.engine.fakes import EngineFake
from tests.voiced.live.test_races import Talk, perform
from voiced.dialogue import SYSTEM_PROMPT

LIMIT = 400  # Positions; an exchange takes 50 to 80.
MINUTES = 20
INTERRUPTED, TWO_BREATHS, LOST = 6, 8, 60  # One in so many.


def test_a_talk_keeps_to_its_limit_and_to_the_system_prompt_and_leaves_nothing_behind() -> None:
    replies = [(6, 12, False), (9, 24, False), (3, 20, False)]
    talk, rng = Talk(replies, most_positions=LIMIT), random.Random(1)
    num_positions = []
    perform(talk, ("silence", 50))
    while talk.now_s() < MINUTES * 60:
        perform(talk, ("voice", rng.randint(25, 75)))
        if rng.randrange(TWO_BREATHS) == 0:
            perform(talk, ("silence", 15))
            perform(talk, ("voice", 40))
        if rng.randrange(INTERRUPTED) == 0:
            perform(talk, ("silence", rng.randint(20, 60)))
            continue
        if rng.randrange(LOST) == 0:
            talk.lose()
            perform(talk, ("silence", 20))
            talk.revive()
        perform(talk, ("silence", 150))
        held = talk.held()
        assert isinstance(held.talk.conversation, EngineFake)
        assert held.talk.conversation.history.startswith(f"<start> <system> {SYSTEM_PROMPT} <end>")
        num_positions.append(held.talk.num_positions)
    talk.settle()
    talk.check_all()
    talk.check_nothing_is_kept()
    talk.check_model_knows_what_was_heard()
    assert len(num_positions) > 150
    assert max(num_positions) <= LIMIT
    assert sum(after < before for before, after in pairwise(num_positions)) > 20
