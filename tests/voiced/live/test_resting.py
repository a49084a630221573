from dataclasses import dataclass

from protocols.events import Event
from voiced.live.resting import Rest


@dataclass
class IdleTalk:
    """A talk of which the test says what goes on, its clock, and an engine that rests when it may."""

    is_idle: bool = True
    is_owed_words: bool = False
    now_s: float = 100.0
    may_rest: bool = True
    num_rests: int = 0

    def rest(self) -> bool:
        self.num_rests += self.may_rest
        return self.may_rest


def watch(talk: IdleTalk, shown: list[Event], after_s: float | None = 60.0) -> Rest:
    return Rest(talk, talk.rest, after_s=after_s, now_s=lambda: talk.now_s, show=shown.append)


def test_it_rests_once_after_so_long_and_says_so() -> None:
    talk, shown = IdleTalk(), list[Event]()
    rest = watch(talk, shown)
    for now_s, num_rests in ((159.9, 0), (160.0, 1), (500.0, 1)):
        talk.now_s = now_s
        rest.look()
        assert talk.num_rests == num_rests
    assert len(shown) == 1


def test_what_goes_on_counts_from_its_end() -> None:
    talk = IdleTalk()
    rest = watch(talk, [])
    for is_idle, is_owed_words in ((False, False), (True, True)):
        talk.is_idle, talk.is_owed_words = is_idle, is_owed_words
        talk.now_s += 1000.0
        rest.look()
    talk.is_idle, talk.is_owed_words = True, False
    for _ in range(2):
        talk.now_s += 50.0
        rest.look()
    assert talk.num_rests == 1


def test_after_a_talk_it_rests_again() -> None:
    talk = IdleTalk()
    rest = watch(talk, [])
    for is_idle in (True, False, True):
        talk.is_idle = is_idle
        talk.now_s += 100.0
        rest.look()
    assert talk.num_rests == 2


def test_an_engine_that_may_not_rest_is_asked_again() -> None:
    talk, shown = IdleTalk(may_rest=False, now_s=0.0), list[Event]()
    rest = watch(talk, shown)
    talk.now_s = 100.0
    rest.look()
    assert (talk.num_rests, shown) == (0, [])
    talk.may_rest = True
    rest.look()
    assert talk.num_rests == 1


def test_without_a_time_it_never_rests() -> None:
    talk = IdleTalk()
    rest = watch(talk, [], after_s=None)
    talk.now_s = 1e9
    rest.look()
    assert talk.num_rests == 0
