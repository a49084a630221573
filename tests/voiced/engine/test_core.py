"""Whose step is next, what a message does at each stage of a reply, and what stays of it."""

from typing import TypeVar

import numpy as np
import pytest

from models.errors import NonFiniteError
from tests.fakes import ScriptStep, frame
from tests.voiced.engine.fakes import EngineFake, FakeEngineModel, echo, spoken, texts
from voiced.dialogue import SYSTEM_PROMPT
from voiced.engine import messages as m
from voiced.engine.core import Engine, EngineOptions
from voiced.engine.messages import pack_samples
from voiced.speech_model import FRAME_SAMPLES

Kind = TypeVar("Kind")


class Bench:
    """An engine, and all that it said."""

    def __init__(
        self, model: FakeEngineModel | None = None, options: EngineOptions | None = None
    ) -> None:
        self.model = model or FakeEngineModel()
        self.said: list[m.FromEngine] = []
        self.now_s = 0.0
        self.engine = Engine(self.model, self.said.append, now_s=self._tick, options=options)

    def _tick(self) -> float:
        self.now_s += 0.001
        return self.now_s

    def open(self, session: int = 1, **options: object) -> "Bench":
        self.engine.take(m.Open(session, **options))  # type: ignore[arg-type]
        self.run()
        return self

    def ask(self, text: str, turn: int, session: int = 1) -> None:
        self.engine.take(m.Prepare(session, turn, text))

    def run(self) -> None:
        while self.engine.step():
            self.take_all()

    def take_all(self) -> None:
        """Let every session take what was made for it."""
        for number in list(self.engine._sessions):
            self.engine.take(m.Taken(number, 1000))

    def answer(self, text: str, turn: int, session: int = 1) -> str:
        """Return the text of the reply."""
        self.ask(text, turn, session)
        before = len(self.said)
        self.run()
        return texts([s for s in self.said[before:] if getattr(s, "session", 0) == session])

    def last(self, kind: type[Kind]) -> Kind:
        return [message for message in self.said if isinstance(message, kind)][-1]

    def kinds(self) -> list[str]:
        return [type(message).__name__ for message in self.said]

    def history(self, session: int = 1) -> str:
        conversation = self.engine._sessions[session].talk.conversation
        assert isinstance(conversation, EngineFake)
        return conversation.history


def test_a_reply_is_text_and_sound_and_an_end_with_its_times() -> None:
    bench = Bench().open()
    assert bench.answer("hello there", 1) == "hello there"
    sounds = [message for message in bench.said if isinstance(message, m.Sound)]
    ended = bench.last(m.Ended)
    assert (ended.how, ended.num_tokens, ended.num_frames) == ("end", 2, 2)
    assert sum(len(sound.samples) for sound in sounds) == ended.num_samples == 2 * FRAME_SAMPLES
    times = ended.timings
    assert times.first_token_s is not None
    assert times.first_frame_s is not None
    assert times.ended_s is not None
    assert times.received_s < times.first_token_s < times.first_frame_s < times.ended_s


def test_all_steps_of_a_reply_are_told_in_order() -> None:
    bench = Bench(FakeEngineModel(lambda _: ["a", "", frame(3), frame(2048), "b"])).open()
    bench.ask("x", 1)
    bench.run()
    told = [
        step
        for message in bench.said
        if isinstance(message, m.Text | m.Sound | m.Ended)
        for step in message.steps
    ]
    kept = bench.engine._sessions[1].talk.turns[-1].made
    assert told == [made.step for made in kept]
    assert len(told) == 5


def test_sessions_are_served_in_turn() -> None:
    bench = Bench().open(1).open(2)
    bench.ask("a b c d", 1, session=1)
    bench.ask("e f g h", 1, session=2)
    bench.run()
    order = [message.session for message in bench.said if isinstance(message, m.Text)]
    assert order == [1, 2] * 4


def test_a_reply_comes_before_transcriptions_and_one_that_runs_waits_for_it() -> None:
    bench = Bench().open(1).open(2)
    bench.engine.take(m.Transcribe(1, 1, pack_samples(spoken(0.1)), True))
    bench.engine.step()
    bench.ask("a b", 1, session=2)
    bench.run()
    kinds = bench.kinds()
    assert kinds.index("Ended") < kinds.index("Transcript")


def test_a_job_whose_session_takes_nothing_is_parked_and_others_are_served() -> None:
    model = FakeEngineModel(lambda fake: [frame()] * 300 if "long" in fake.said else echo(fake))
    bench = Bench(model).open(1).open(2)
    bench.ask("long", 1, session=1)
    while bench.engine.step():
        pass
    sounds = [message for message in bench.said if isinstance(message, m.Sound)]
    assert len(sounds) == m.WINDOW_EVENTS
    bench.ask("short", 1, session=2)
    while bench.engine.step():
        pass
    assert texts(bench.said) == "short"
    bench.run()  # Now the first takes, too.
    bench.engine.take(m.Taken(1, m.WINDOW_EVENTS))
    bench.run()
    assert bench.last(m.Ended).num_frames == 300


STAGES = {
    "waiting": 0,
    "prefill": 1,
    "before the first step": 2,
    "text": 3,
    "audio": 4,
    "more text": 5,
    "flushing": 7,
    "ended": 20,
}


@pytest.mark.parametrize("num_steps", STAGES.values(), ids=STAGES)
def test_discard_at_each_stage_leaves_nothing_behind(num_steps: int) -> None:
    bench, fresh = Bench().open(), Bench().open()
    for one in (bench, fresh):
        one.answer("first words", 1)
    before = bench.history()
    bench.ask("said too", 2)
    for _ in range(num_steps):
        bench.engine.step()
    bench.engine.take(m.Discard(1, 2))
    discarded = bench.last(m.Discarded)
    assert bench.history() == before
    assert not bench.engine.step()
    assert bench.answer("said instead", 3) == fresh.answer("said instead", 2)
    assert bench.history() == fresh.history()
    assert (discarded.num_positions > 0) == (num_steps > 0)
    assert discarded.num_steps == min(max(0, num_steps - 2), 8)


@pytest.mark.parametrize("num_steps", STAGES.values(), ids=STAGES)
def test_cut_at_each_stage_keeps_what_the_user_said_and_what_was_heard(num_steps: int) -> None:
    bench = Bench().open()
    bench.ask("one two three", 1)
    for _ in range(num_steps):
        bench.engine.step()
    bench.engine.take(m.Cut(1, 1, FRAME_SAMPLES))
    cut = bench.last(m.WasCut)
    made = max(0, num_steps - 2)
    assert cut.num_frames == (1 if made >= 2 else 0)
    assert cut.kept == ("one" if made >= 2 else "")
    bench.run()
    heard = " [one] (1)" if made >= 2 else ""
    assert bench.history().endswith(f"<user> one two three <end> <assistant>{heard}")
    assert bench.answer("four", 2) == "one two three four"


def test_cut_of_a_reply_that_was_all_heard_changes_nothing() -> None:
    bench = Bench().open()
    bench.answer("one two", 1)
    before = bench.history()
    bench.engine.take(m.Cut(1, 1, 10 * FRAME_SAMPLES))
    cut = bench.last(m.WasCut)
    assert (cut.is_whole, cut.kept, cut.heard, cut.num_rolled_back) == (
        True,
        "one two",
        "one two",
        0,
    )
    assert bench.history() == before


def test_after_a_discard_the_reply_before_can_still_be_cut() -> None:
    bench = Bench().open()
    bench.answer("one two", 1)
    bench.ask("three", 2)
    bench.run()
    bench.engine.take(m.Discard(1, 2))
    bench.engine.take(m.Cut(1, 1, FRAME_SAMPLES))
    assert bench.last(m.WasCut).kept == "one"
    assert bench.answer("four", 3) == "one two four"


def test_the_next_turn_waits_until_a_cut_one_is_in_the_talk() -> None:
    bench = Bench().open()
    bench.ask("one", 1)
    bench.engine.take(m.Cut(1, 1, 0))
    assert bench.answer("two", 2) == "one two"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (m.Prepare(1, 2, "x"), "turn_open"),
        (m.Discard(1, 7), "unknown_turn"),
        (m.Cut(1, 7, 0), "unknown_turn"),
        (m.Prepare(5, 1, "x"), "unknown_session"),
        (m.Open(1), "bad_request"),
        (m.Transcribe(1, 1, b"123"), "bad_request"),
        (m.Transcribe(1, 1, pack_samples(np.full(400, np.nan, np.float32))), "bad_request"),
    ],
)
def test_a_request_that_cannot_be_meant_fails_and_changes_nothing(
    request_: m.ToEngine, code: str
) -> None:
    bench = Bench().open()
    bench.ask("one", 1)
    bench.engine.step()
    bench.engine.take(request_)
    assert bench.last(m.Failed).code == code
    bench.run()
    assert texts(bench.said) == "one"


def test_a_number_that_has_been_used_is_refused() -> None:
    bench = Bench().open()
    bench.answer("one", 4)
    bench.ask("two", 4)
    assert bench.last(m.Failed).code == "stale_turn"


def test_a_reply_that_breaks_is_as_if_it_had_never_been_asked_for() -> None:
    def rule(fake: EngineFake) -> list[ScriptStep]:
        broken: list[ScriptStep] = [NonFiniteError("state is NaN")] if "bad" in fake.said else []
        return [*echo(fake)[:2], *broken]

    bench = Bench(FakeEngineModel(rule)).open()
    bench.answer("one", 1)
    before = bench.history()
    bench.answer("bad", 2)
    failed = bench.last(m.Failed)
    assert (failed.turn, failed.request, failed.code) == (2, "prepare", "broken_arithmetic")
    assert bench.history() == before
    assert bench.answer("two", 2) == "one"


def test_too_short_a_sound_fails_and_the_session_goes_on() -> None:
    bench = Bench().open()
    bench.engine.take(m.Prepare(1, 1, pcm=pack_samples(np.zeros(100, np.float32))))
    bench.run()
    assert bench.last(m.Failed).code == "bad_request"
    assert bench.answer("one", 1) == "one"


def test_a_text_is_read_aloud_and_leaves_nothing_in_the_talk() -> None:
    bench = Bench().open()
    bench.answer("hello", 1)
    before, num_before = bench.history(), len(bench.said)
    bench.engine.take(m.Speak(1, 2, "one two three.", "us_male"))
    bench.run()
    sounds = [said for said in bench.said[num_before:] if isinstance(said, m.Sound)]
    ends = np.cumsum([len(sound.samples) for sound in sounds])
    assert [sound.position_samples for sound in sounds] == [0, *ends[:-1]]
    ended = bench.last(m.Ended)
    assert (ended.turn, ended.how, ended.num_samples) == (2, "end", 3 * FRAME_SAMPLES)
    assert bench.history() == before
    assert "hello and you" in bench.answer("and you", 2)


def test_replies_come_before_readings_and_those_before_transcriptions() -> None:
    bench = Bench().open(1).open(2)
    bench.said.clear()
    bench.engine.take(m.Speak(1, 1, "one two three.", "us_male"))
    bench.engine.take(m.Transcribe(2, 1, pack_samples(spoken(0.1)), is_final=True))
    bench.ask("hello", 1, 2)
    bench.run()
    ends = [said for said in bench.said if isinstance(said, m.Ended | m.Transcript)]
    assert [type(end).__name__ for end in ends] == ["Ended", "Ended", "Transcript"]
    assert [end.session for end in ends] == [2, 1, 2]


def test_a_reading_is_ended_by_a_discard_and_by_a_close() -> None:
    bench = Bench().open()
    for end in (m.Discard(1, 5), m.Close(1)):
        bench.engine.take(m.Speak(1, 5, "one two three.", "us_male"))
        bench.engine.step()
        bench.engine.take(end)
        bench.said.clear()
        bench.run()
        assert bench.said == []


@pytest.mark.parametrize(
    ("text", "voice", "message"),
    [("…", "us_male", "nothing to speak"), ("hello", "nobody", "voice 'nobody'")],
)
def test_what_cannot_be_read_fails(text: str, voice: str, message: str) -> None:
    bench = Bench().open()
    bench.engine.take(m.Speak(1, 1, text, voice))
    bench.run()
    failed = bench.last(m.Failed)
    assert (failed.request, failed.code, failed.turn) == ("speak", "bad_request", 1)
    assert message in failed.message
    assert bench.engine.num_jobs == 0


def test_a_second_reading_is_refused_while_the_first_goes_on() -> None:
    bench = Bench().open()
    for turn in (1, 2):
        bench.engine.take(m.Speak(1, turn, "one two.", "us_male"))
    assert (bench.last(m.Failed).code, bench.last(m.Failed).turn) == ("turn_open", 2)
    bench.run()
    assert bench.last(m.Ended).turn == 1


def test_more_sessions_than_are_held_are_refused_and_a_closed_one_makes_room() -> None:
    bench = Bench(options=EngineOptions(most_sessions=1)).open(1).open(2)
    assert bench.last(m.Failed).code == "at_capacity"
    bench.ask("one two three", 1)
    bench.engine.step()
    bench.engine.take(m.Close(1))
    assert bench.last(m.Closed).session == 1
    assert not bench.engine.step()
    assert bench.engine.num_sessions == 0
    bench.open(3)
    assert bench.last(m.Opened).session == 3


def test_a_transcription_uses_the_encoding_of_the_reply() -> None:
    bench = Bench().open()
    pcm = pack_samples(spoken(0.25))
    bench.engine.take(m.Prepare(1, 1, pcm=pcm))
    bench.engine.take(m.Transcribe(1, 1, pcm, True))
    bench.run()
    assert bench.model.num_encoded == 1
    transcript = bench.last(m.Transcript)
    assert (transcript.text, transcript.is_final, transcript.num_agreed) == ("s250", True, 4)


def test_a_newer_interim_request_replaces_the_one_that_waits() -> None:
    bench = Bench().open()
    for value in (0.1, 0.2, 0.3):
        bench.engine.take(m.Transcribe(1, 1, pack_samples(spoken(value))))
    bench.run()
    assert [s.text for s in bench.said if isinstance(s, m.Transcript)] == ["s300"]


def test_a_final_request_replaces_interim_ones_also_the_one_that_is_made() -> None:
    bench = Bench().open()
    bench.engine.take(m.Transcribe(1, 1, pack_samples(spoken(0.1))))
    bench.engine.step()
    bench.engine.take(m.Transcribe(1, 1, pack_samples(spoken(0.2))))
    bench.engine.take(m.Transcribe(1, 1, pack_samples(spoken(0.3)), True))
    bench.run()
    transcripts = [s for s in bench.said if isinstance(s, m.Transcript)]
    assert [(s.text, s.is_final) for s in transcripts] == [("s300", True)]


def test_a_history_is_told_to_the_model_and_its_last_reply_can_be_cut() -> None:
    first = Bench().open()
    first.answer("one two", 1)
    steps = tuple(made.step for made in first.engine._sessions[1].talk.turns[0].made)
    second = Bench()
    past = m.PastTurn(turn=1, said="one two", steps=steps)
    second.open(history=(past,))
    assert second.last(m.Opened).num_turns == 1
    assert second.history() == first.history()
    second.engine.take(m.Cut(1, 1, FRAME_SAMPLES))
    assert second.last(m.WasCut).kept == "one"
    assert second.answer("three", 2) == "one two three"


def test_a_history_may_hold_sound_and_replies_in_words() -> None:
    bench = Bench()
    pcm = pack_samples(spoken(0.5))
    bench.open(
        history=(
            m.PastTurn(turn=1, said="ignored", pcm=pcm, reply="well then"),
            m.PastTurn(turn=2, said="two"),
        )
    )
    assert bench.history() == (
        f"<start> <system> {SYSTEM_PROMPT} <end> <user> s500 <end> <assistant> well then <end> "
        "<user> two <end> <assistant>"
    )


def test_a_question_asked_while_the_history_is_told_is_answered_after_it() -> None:
    bench = Bench()
    bench.engine.take(m.Open(1, history=(m.PastTurn(turn=1, said="one"),)))
    assert bench.answer("two", 2) == "one two"


def test_the_last_reply_of_a_history_is_cut_while_it_is_told() -> None:
    first = Bench().open()
    first.answer("one two three four", 1)
    first.engine.take(m.Cut(1, 1, 2 * FRAME_SAMPLES))
    steps = tuple(step for s in first.said if isinstance(s, m.Text | m.Sound) for step in s.steps)
    past = m.PastTurn(turn=1, said="one two three four", steps=steps, reply="one two three four")
    for num_steps in range(6):
        bench = Bench()
        bench.engine.take(m.Open(1, history=(m.PastTurn(turn=0, said="before"), past)))
        for _ in range(num_steps):
            bench.engine.step()
        bench.engine.take(m.Cut(1, 1, 2 * FRAME_SAMPLES))
        bench.run()
        cut = bench.last(m.WasCut)
        assert (cut.num_steps, cut.num_frames, cut.heard) == (4, 2, "one two")
        assert bench.history().endswith(first.history().removeprefix("<start>")[-60:])


def test_the_last_turn_of_a_history_is_discarded_while_it_is_told() -> None:
    past = tuple(m.PastTurn(turn=turn, said=word) for turn, word in enumerate(("one", "two"), 1))
    for num_steps in range(6):
        bench = Bench()
        bench.engine.take(m.Open(1, history=past))
        for _ in range(num_steps):
            bench.engine.step()
        bench.engine.take(m.Discard(1, 2))
        bench.ask("three", 2)
        bench.run()
        assert "Failed" not in bench.kinds()
        assert texts(bench.said) == "one three"


def test_a_question_cut_while_the_history_is_told_stays_in_it() -> None:
    bench = Bench()
    bench.engine.take(m.Open(1, history=(m.PastTurn(turn=1, said="one"),)))
    bench.ask("two", 2)
    bench.engine.take(m.Cut(1, 2, 0))
    bench.run()
    assert bench.answer("three", 3) == "one two three"


def long_talk(bench: Bench, num_turns: int) -> None:
    for turn in range(1, num_turns + 1):
        bench.answer(f"w{turn}", turn)
        bench.run()


def short_answers(fake: EngineFake) -> list[ScriptStep]:
    return [fake.said[-1], frame(), frame(2)]


def test_in_a_long_talk_the_oldest_turns_leave_and_the_system_prompt_stays() -> None:
    model = FakeEngineModel(short_answers)
    bench = Bench(model, EngineOptions(most_positions=100)).open()
    long_talk(bench, 50)
    trims = [message for message in bench.said if isinstance(message, m.Trimmed)]
    assert len(trims) > 3
    assert bench.engine._sessions[1].talk.num_positions <= 100
    history = bench.history()
    assert history.startswith(f"<start> <system> {SYSTEM_PROMPT} <end> <user> w4")
    assert history.endswith("<user> w50 <end> <assistant> [w50] (1) (2)")
    assert history.count("<user>") == len(bench.engine._sessions[1].talk.turns)
    bench.engine.take(m.Cut(1, 50, FRAME_SAMPLES))
    assert bench.last(m.WasCut).num_rolled_back == 1


def test_a_model_with_few_positions_makes_room_before_a_turn_that_needs_it() -> None:
    model = FakeEngineModel(short_answers, max_positions=80)
    bench = Bench(model, EngineOptions(most_positions=8192)).open()
    for turn in range(1, 40):
        bench.ask(f"w{turn}", turn)
        while bench.engine._sessions[1].reply is not None:
            bench.engine.step()
            bench.take_all()
        assert max(fake.num_positions for fake in model.conversations) <= 80
    assert bench.kinds().count("Ended") == 39
    assert "Trimmed" in bench.kinds()


def test_what_a_model_can_never_hold_fails() -> None:
    model = FakeEngineModel(short_answers, max_positions=60)
    bench = Bench(model).open()
    bench.answer("one", 1)
    bench.answer("word " * 100, 2)
    assert bench.last(m.Failed).code == "context_full"
    assert bench.answer("two", 2) == "two"


def test_no_session_ever_hears_of_another_over_a_thousand_interrupted_turns() -> None:
    bench = Bench(options=EngineOptions(most_positions=200)).open(1).open(2).open(3)
    rng = np.random.default_rng(5)
    for turn in range(1, 335):
        for session in (1, 2, 3):
            bench.ask(f"c{session}x{turn} c{session}y{turn}", turn, session)
        for _ in range(int(rng.integers(0, 40))):
            bench.engine.step()
        bench.take_all()
        for session in (1, 2, 3):
            if rng.random() < 0.3:
                bench.engine.take(m.Discard(session, turn))
            else:
                bench.engine.take(m.Cut(session, turn, int(rng.integers(0, 4)) * FRAME_SAMPLES))
    bench.run()
    made = [message for message in bench.said if isinstance(message, m.Text)]
    assert len(made) > 1000
    assert all(message.text.strip().startswith(f"c{message.session}") for message in made)
    for session in (1, 2, 3):
        others = {1, 2, 3} - {session}
        assert not any(f"c{other}" in bench.history(session) for other in others)
    assert "Failed" not in bench.kinds()
    assert bench.engine.num_jobs == 0
