"""Devices that go and come at every stage of a talk, in simulated time."""

from collections.abc import Awaitable, Callable

import pytest

from audio.devices import Device, Direction
from audio.echo import Cleaning
from protocols.events import TurnEnded
from tests.fake_sound import FakeSoundCard, microphone, speaker
from tests.voiced.live.test_on_devices import REPLY_S, Stage, run
from voiced.commands import EnterText, Interrupt, Quit, ToggleMute

pytest.importorskip("livekit.rtc", reason="the package livekit is not installed")

HEADSET = Device(0, "USB Headset", "Fake", 1, 2, 48_000, True, True)
Reach = Callable[[Stage], Awaitable[None]]


async def listening(stage: Stage) -> None:
    assert stage.state == "listening"


async def hearing(stage: Stage) -> None:
    stage.speak(3.0)
    await stage.until(lambda: stage.state == "hearing")


async def thinking(stage: Stage) -> None:
    stage.engine.is_busy = True
    stage.speak()
    await stage.until(lambda: stage.state == "thinking")
    stage.engine.is_busy = False


async def speaking(stage: Stage) -> None:
    await stage.ask()


async def held(stage: Stage) -> None:
    await stage.ask()
    await stage.let_pass(0.3)
    stage.speak(0.3)
    await stage.until(lambda: stage.is_silent)
    assert stage.state == "speaking"


async def muted(stage: Stage) -> None:
    stage.do(ToggleMute())
    await stage.until(lambda: stage.state == "muted")


STAGES = (listening, hearing, thinking, speaking, held)


async def settle(stage: Stage) -> None:
    """Let what goes on come to its end."""
    if stage.state == "thinking":
        stage.engine.answer(stage.engine.prepared[-1])
    await stage.until(lambda: stage.session.is_idle)


async def check_goes_on(stage: Stage) -> None:
    """Ask something and see that the whole reply to it is heard."""
    await stage.let_pass(1.0)
    before, num_replies = stage.seconds_heard(), len(stage.replies)
    await stage.ask()
    await stage.until(lambda: len(stage.replies) == num_replies + 1)
    assert stage.replies[-1].ended == "end"
    assert stage.seconds_heard() - before == pytest.approx(REPLY_S, rel=0.02)


@pytest.mark.parametrize("reach", STAGES)
@pytest.mark.parametrize("gone", ["USB Microphone", "USB Speaker"])
def test_a_device_goes_and_comes_back_at_every_stage(reach: Reach, gone: str) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        stage.card.unplug(gone)
        await stage.until(lambda: stage.num_told(f"{gone!r} is gone") == 1)
        await settle(stage)
        await stage.let_pass(8.0)
        stage.card.plug(microphone() if gone == "USB Microphone" else speaker())
        await stage.until(lambda: len(stage.open_streams()) == 2)
        await check_goes_on(stage)

    stage = run(scenario)
    assert stage.num_told(f"{gone!r} at 48000 Hz") == 2
    assert stage.num_told("is gone") == 1


@pytest.mark.parametrize("reach", STAGES)
def test_a_headset_goes_with_both_directions_and_comes_back_as_a_phone(reach: Reach) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        stage.card.unplug(HEADSET.name)
        await stage.until(lambda: stage.num_told("is gone") == 2)
        await settle(stage)
        stage.card.rates_hz[HEADSET.name] = 8_000
        stage.card.plug(HEADSET)
        await stage.until(lambda: stage.num_told("at 8000 Hz") == 2)
        await check_goes_on(stage)

    run(scenario, FakeSoundCard(HEADSET))


@pytest.mark.parametrize("reach", [thinking, speaking, held])
def test_a_microphone_that_goes_does_no_harm_to_the_reply(reach: Reach) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        stage.card.unplug("USB Microphone")
        await stage.until(lambda: stage.num_told("is gone") == 1)
        await settle(stage)

    stage = run(scenario)
    assert [reply.ended for reply in stage.replies] == ["end"]
    assert stage.seconds_heard() == pytest.approx(REPLY_S, rel=0.02)


def test_each_reply_that_a_missing_speaker_swallows_is_told_once() -> None:
    card = FakeSoundCard(microphone())

    async def scenario(stage: Stage) -> None:
        stage.engine.num_frames = 150  # 12 s: three times what the speaker takes at once.
        await stage.let_pass(3.0)
        for _ in range(2):
            stage.do(EnterText("hello"))
            await stage.until(lambda: stage.session.state == "thinking")
            await stage.until(lambda: stage.session.is_idle)

    stage = run(scenario, card)
    assert len(stage.replies) == 2
    assert stage.num_told("a reply was not played") == 2


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_a_speaker_that_is_back_soon_with_another_rate_plays_the_rest(rate_hz: int) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.let_pass(0.5)
        stage.card.unplug("USB Speaker")
        await stage.until(lambda: stage.num_told("is gone") == 1)
        stage.card.rates_hz["USB Speaker"] = rate_hz
        stage.card.plug(speaker())
        await stage.until(lambda: bool(stage.replies))
        await check_goes_on(stage)

    stage = run(scenario)
    assert stage.num_told(f"at {rate_hz} Hz") == 1
    # What the dead device was given for a moment is lost.
    assert stage.seconds_heard() == pytest.approx(2 * REPLY_S, rel=0.15)


def test_a_reply_is_cut_where_it_was_heard_on_two_devices() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.ask()
        await stage.let_pass(0.5)
        stage.card.unplug("USB Speaker")
        await stage.until(lambda: stage.num_told("is gone") == 1)
        stage.card.rates_hz["USB Speaker"] = 8_000
        stage.card.plug(speaker())
        await stage.until(lambda: stage.num_told("at 8000 Hz") == 1)
        await stage.let_pass(0.5)
        stage.do(Interrupt())
        await stage.until(lambda: bool(stage.replies))

    stage = run(scenario)
    ((_, heard_samples),) = stage.engine.cuts
    assert heard_samples / 24_000 == pytest.approx(stage.seconds_heard(), abs=0.03)


@pytest.mark.parametrize("gone", ["USB Microphone", "USB Speaker"])
def test_a_device_is_missing_at_first_and_comes_later(gone: str) -> None:
    there = {"USB Microphone": microphone(), "USB Speaker": speaker()}
    missing = there.pop(gone)

    async def scenario(stage: Stage) -> None:
        assert stage.num_told("cannot be used: no ") == 1
        stage.card.plug(missing)
        await stage.until(lambda: len(stage.open_streams()) == 2)
        await check_goes_on(stage)

    run(scenario, FakeSoundCard(*there.values()))


@pytest.mark.parametrize("reach", [*STAGES, muted])
def test_a_machine_that_sleeps_for_hours_goes_on_at_every_stage(reach: Reach) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        stage.sleep(3 * 3600.0)
        if stage.state == "muted":
            stage.do(ToggleMute())
        await stage.let_pass(1.0)
        await settle(stage)
        await stage.until(lambda: len(stage.open_streams()) == 2)
        await check_goes_on(stage)

    run(scenario)


def test_a_microphone_that_may_not_be_heard_is_told_once_each_time_it_is_opened() -> None:
    async def scenario(stage: Stage) -> None:
        stage.room_level = 0.0
        for _ in range(2):
            await muted(stage)
            stage.do(ToggleMute())
            await stage.until(lambda: stage.state == "listening")
            await stage.let_pass(20.0)
        assert stage.num_told("nothing but exact silence") == 2
        stage.room_level = 1e-4
        await check_goes_on(stage)
        stage.room_level = 0.0
        await stage.let_pass(20.0)

    stage = run(scenario, cleaning=Cleaning())
    assert stage.num_told("nothing but exact silence") == 2


# Muted


@pytest.mark.parametrize("reach", [thinking, speaking, held])
def test_muted_while_a_reply_is_made_or_sounds_it_is_heard_to_its_end(reach: Reach) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        await muted(stage)
        assert stage.open_streams() == [Direction.OUTPUT]
        if reach is thinking:
            stage.engine.answer(stage.engine.prepared[-1])
        await stage.until(lambda: bool(stage.replies))

    stage = run(scenario)
    assert [reply.ended for reply in stage.replies] == ["end"]
    assert stage.seconds_heard() == pytest.approx(REPLY_S, rel=0.02)


def test_muted_a_microphone_that_comes_back_stays_closed() -> None:
    async def scenario(stage: Stage) -> None:
        stage.card.unplug("USB Microphone")
        await stage.until(lambda: stage.num_told("is gone") == 1)
        await muted(stage)
        stage.card.plug(microphone())
        await stage.let_pass(10.0)
        assert stage.open_streams() == [Direction.OUTPUT]
        stage.do(ToggleMute())
        await stage.until(lambda: len(stage.open_streams()) == 2)
        await check_goes_on(stage)

    run(scenario)


def test_muted_and_open_again_at_once_it_hears() -> None:
    async def scenario(stage: Stage) -> None:
        for _ in range(6):
            stage.do(ToggleMute())
        await stage.until(lambda: len(stage.open_streams()) == 2)
        await check_goes_on(stage)

    run(scenario)


# How it ends


@pytest.mark.parametrize("reach", [*STAGES, muted])
def test_quit_at_every_stage_leaves_nothing_open(reach: Reach) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        stage.do(Quit())
        await stage.let_pass(60.0)
        raise AssertionError("it went on")

    run(scenario)  # Looks itself.


@pytest.mark.parametrize("reach", [thinking, speaking, held])
def test_drained_while_a_reply_is_made_or_sounds_it_ends_after_it(reach: Reach) -> None:
    async def scenario(stage: Stage) -> None:
        await reach(stage)
        stage.talk.drain()
        stage.do(ToggleMute())  # Comes too late to listen again.
        if reach is thinking:
            await stage.let_pass(5.0)
            stage.engine.answer(stage.engine.prepared[-1])
        await stage.let_pass(60.0)
        raise AssertionError("it went on")

    stage = run(scenario)
    assert [reply.ended for reply in stage.replies] == ["end"]
    assert stage.seconds_heard() == pytest.approx(REPLY_S, rel=0.02)
    microphones = [one for one in stage.card.streams if one.direction is Direction.INPUT]
    assert len(microphones) == 1


def test_drained_while_the_speaker_is_away_it_waits_no_longer_than_for_that() -> None:
    async def scenario(stage: Stage) -> None:
        await speaking(stage)
        stage.card.unplug("USB Speaker")
        await stage.until(lambda: stage.num_told("is gone") == 1)
        stage.talk.drain()
        await stage.let_pass(4.0)
        raise AssertionError("it went on")

    assert run(scenario).num_told("a reply was not played") == 1


def test_drained_in_a_pause_what_was_said_is_not_answered() -> None:
    async def scenario(stage: Stage) -> None:
        stage.speak(1.0)
        await stage.until(lambda: bool(stage.engine.prepared))
        assert stage.state == "hearing"
        stage.talk.drain()
        await stage.let_pass(60.0)
        raise AssertionError("it went on")

    stage = run(scenario)
    assert not any(isinstance(event, TurnEnded) for event in stage.events)
    assert stage.seconds_heard() == 0
