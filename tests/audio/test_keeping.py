"""A device that goes away is missed within half a second and opened again, by its name, when it is back."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from audio.background import at_once
from audio.devices import Direction
from audio.events import (
    DeviceClosed,
    DeviceEvent,
    DeviceLost,
    DeviceOpened,
    DeviceUnavailable,
    DeviceXrun,
)
from audio.keeping import StreamKeeper
from tests.fake_sound import FakeSoundCard, microphone, speaker

POLL_S = 0.05


class Kept:
    """A keeper, its simulated machine, and what it told when."""

    def __init__(self, card: FakeSoundCard, wanted: str | None = None, **options: object) -> None:
        self.card = card
        self.num_blocks = 0
        self.told: list[tuple[float, DeviceEvent]] = []
        self.keeper = StreamKeeper(
            card,
            Direction.INPUT,
            wanted=wanted,
            rate_hz=16_000,
            connect=lambda _: self._take,
            clock_s=card.clock_s,
            **{"background": at_once, **options},  # type: ignore[arg-type]  # One of each.
        )

    def _take(self, _block: object, _now_s: float) -> None:
        self.num_blocks += 1

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / POLL_S)):
            self.card.advance(POLL_S)
            self.told += [(self.card.now_s, event) for event in self.keeper.poll()]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for _, event in self.told]


@pytest.fixture
def card() -> FakeSoundCard:
    return FakeSoundCard()


def opened(card: FakeSoundCard, wanted: str | None = None) -> Kept:
    kept = Kept(card, wanted)
    kept.keeper.open()
    kept.run(1.0)
    assert kept.kinds() == ["DeviceOpened"]
    return kept


def test_an_opened_device_gives_blocks_and_says_what_it_is(card: FakeSoundCard) -> None:
    kept = opened(card)
    assert kept.told[0][1] == DeviceOpened(Direction.INPUT, "USB Microphone", 48_000, 2, 0.02)
    assert kept.num_blocks > 50


def test_an_unplugged_device_is_missed_within_half_a_second(card: FakeSoundCard) -> None:
    kept = opened(card)
    card.unplug("USB Microphone")
    unplugged_s = card.now_s
    kept.run(1.0)
    lost_s, event = kept.told[1]
    assert isinstance(event, DeviceLost)
    assert lost_s - unplugged_s <= 0.5
    assert not kept.keeper.is_open


def test_a_device_that_ends_its_stream_is_missed_at_once(card: FakeSoundCard) -> None:
    kept = opened(card)
    card.stream(Direction.INPUT).close()
    kept.run(POLL_S)
    event = kept.told[1][1]
    assert isinstance(event, DeviceLost)
    assert "ended" in event.reason


def test_a_device_is_opened_again_by_name_under_another_number(card: FakeSoundCard) -> None:
    kept = opened(card, wanted="0")
    card.unplug("USB Microphone")
    kept.run(20.0)
    assert kept.kinds() == ["DeviceOpened", "DeviceLost", "DeviceUnavailable"], "said once"
    card.plug(microphone())
    card.plug(microphone("Webcam"))
    back_s = card.now_s
    kept.run(6.0)
    again_s, event = kept.told[3]
    assert isinstance(event, DeviceOpened)
    assert event.name == "USB Microphone"
    assert again_s - back_s <= 5.2
    assert card.stream(Direction.INPUT).device.index == 1


def test_the_list_is_made_new_only_when_the_device_is_back(card: FakeSoundCard) -> None:
    kept = opened(card)
    card.unplug("USB Microphone")
    kept.run(20.0)
    assert card.num_refreshes == 0, "it would end the speaker's stream"
    card.plug(microphone("Webcam"))
    kept.run(6.0)
    assert card.num_refreshes == 0, "another device does not help"
    card.plug(microphone())
    kept.run(6.0)
    assert card.num_refreshes == 1


def test_a_busy_device_is_told_and_tried_until_it_is_free(card: FakeSoundCard) -> None:
    card.busy.add("USB Microphone")
    kept = Kept(card)
    kept.keeper.open()
    kept.run(10.0)
    (_, event) = kept.told[0]
    assert isinstance(event, DeviceUnavailable)
    assert "busy" in event.reason
    card.busy.clear()
    kept.run(6.0)
    assert kept.kinds() == ["DeviceUnavailable", "DeviceOpened"]
    assert card.num_refreshes == 0


def test_a_machine_without_microphone_says_so_and_waits_for_one() -> None:
    card = FakeSoundCard(speaker())
    kept = Kept(card)
    kept.keeper.open()
    kept.run(1.0)
    assert isinstance(kept.told[0][1], DeviceUnavailable)
    card.plug(microphone())
    kept.run(6.0)
    assert kept.kinds()[-1] == "DeviceOpened"


def test_a_closed_device_gives_no_block_and_says_when_it_is_given_back(card: FakeSoundCard) -> None:
    kept = opened(card)
    num_before = kept.num_blocks
    kept.keeper.close()
    assert not card.stream(Direction.INPUT).is_open
    kept.run(1.0)
    assert kept.num_blocks == num_before
    assert [event for _, event in kept.told[1:]] == [
        DeviceClosed(Direction.INPUT, "USB Microphone")
    ]
    kept.keeper.open()
    kept.run(1.0)
    assert kept.kinds()[-1] == "DeviceOpened"


@pytest.mark.parametrize("is_open_before", [False, True])
def test_a_device_closed_while_it_opens_is_given_back(
    card: FakeSoundCard, is_open_before: bool
) -> None:
    jobs: list[Callable[[], None]] = []

    def later(job: Callable[[], object]) -> Future[object]:
        future: Future[object] = Future()
        jobs.append(lambda: future.set_result(job()))
        return future

    kept = Kept(card, background=later)
    kept.keeper.open()
    kept.run(POLL_S)
    if is_open_before:
        jobs.pop()()
        kept.keeper.close()
        kept.run(POLL_S)
    else:
        kept.keeper.close()
    jobs.pop()()
    assert not card.stream(Direction.INPUT).is_open  # Also where nobody looks any more.
    kept.run(POLL_S)
    assert kept.kinds() == ["DeviceClosed"]
    assert kept.num_blocks == 0


def test_a_device_that_does_not_answer_is_told_and_holds_nobody_up(card: FakeSoundCard) -> None:
    kept = Kept(card, background=lambda _: Future())
    kept.keeper.open()
    kept.run(10.0)
    assert len(kept.told) == 1
    event = kept.told[0][1]
    assert isinstance(event, DeviceUnavailable)
    assert "does not answer" in event.reason


def test_after_a_long_sleep_the_device_is_opened_again(card: FakeSoundCard) -> None:
    kept = opened(card)
    for stream in card.streams:
        stream.next_s += 3600
    card.now_s += 3600
    kept.run(1.0)
    event = kept.told[1][1]
    assert isinstance(event, DeviceLost)
    assert "slept for 3600 s" in event.reason
    assert kept.kinds()[2] == "DeviceOpened"


def test_a_program_that_stood_still_does_not_blame_the_device(card: FakeSoundCard) -> None:
    kept = opened(card)
    for stream in card.streams:
        stream.next_s += 1.0
    card.now_s += 1.0  # Neither callbacks nor polls.
    kept.run(1.0)
    assert kept.kinds() == ["DeviceOpened"]


def test_a_device_whose_rate_changed_is_opened_again(card: FakeSoundCard) -> None:
    kept = opened(card)
    card.true_rates_hz["USB Microphone"] = 16_000  # A headset that changed its mode.
    kept.run(10.0)
    event = kept.told[1][1]
    assert isinstance(event, DeviceLost)
    assert event.reason.startswith("it runs at about 160")
    assert event.reason.endswith("and not at 48000 Hz")


def test_the_slow_start_of_a_device_is_no_loss(card: FakeSoundCard) -> None:
    kept = Kept(card)
    kept.keeper.open()
    kept.run(POLL_S)
    card.stream(Direction.INPUT).next_s += 2.0
    kept.run(4.0)
    assert kept.kinds() == ["DeviceOpened"]


def test_xruns_of_a_device_are_told(card: FakeSoundCard) -> None:
    kept = opened(card)
    card.stream(Direction.INPUT).num_xruns = 3
    kept.run(1.0)
    assert [event for _, event in kept.told[1:]] == [DeviceXrun(Direction.INPUT, 3)]


def test_a_wrong_choice_is_told_with_what_is_there(card: FakeSoundCard) -> None:
    kept = Kept(card, wanted="jabra")
    kept.keeper.open()
    kept.run(1.0)
    event = kept.told[0][1]
    assert isinstance(event, DeviceUnavailable)
    assert "found 0 'USB Microphone'" in event.reason


def test_closing_a_device_that_is_away_is_told_once_and_ends_the_search(
    card: FakeSoundCard,
) -> None:
    kept = opened(card)
    card.unplug("USB Microphone")
    kept.run(2.0)
    kept.keeper.close()
    kept.run(1.0)
    card.plug(microphone())
    kept.run(10.0)
    assert kept.kinds() == ["DeviceOpened", "DeviceLost", "DeviceUnavailable", "DeviceClosed"]


def test_another_device_is_opened_in_place_of_the_open_one(card: FakeSoundCard) -> None:
    card.plug(microphone("Desk", 5))
    kept = opened(card)
    kept.keeper.choose("desk")
    kept.run(1.0)
    assert [(stream.device.name, stream.is_open) for stream in card.streams] == [
        ("USB Microphone", False),
        ("Desk", True),
    ]
    assert DeviceLost not in [type(event) for _, event in kept.told]


def test_what_was_just_being_opened_is_given_back_for_another_choice(card: FakeSoundCard) -> None:
    card.plug(microphone("Desk", 5))
    jobs: list[Callable[[], object]] = []
    done: list[Future[object]] = []

    def later(job: Callable[[], object]) -> Future[object]:
        jobs.append(job)
        done.append(Future())
        return done[-1]

    kept = Kept(card, background=later)
    kept.keeper.open()
    kept.run(0.1)
    kept.keeper.choose("desk")
    for _ in range(4):
        while len(jobs) > sum(future.done() for future in done):
            index = sum(future.done() for future in done)
            done[index].set_result(jobs[index]())
        kept.run(0.1)
    assert [stream.device.name for stream in card.streams if stream.is_open] == ["Desk"]


def test_while_closed_another_choice_opens_nothing(card: FakeSoundCard) -> None:
    kept = opened(card)
    kept.keeper.close()
    kept.run(0.2)
    kept.keeper.choose(None)
    kept.run(1.0)
    assert not any(stream.is_open for stream in card.streams)
