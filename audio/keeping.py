"""Keeping one device open: it is found by name, watched, and opened again when it went away."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from audio.background import in_thread
from audio.devices import Device, DeviceStream, Direction, SoundCard, choose_device
from audio.errors import DeviceError
from audio.events import (
    DeviceClosed,
    DeviceEvent,
    DeviceLost,
    DeviceOpened,
    DeviceUnavailable,
    DeviceXrun,
)
from audio.watching import ClockS, Gate, OnTimedBlock, Watch

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 5.0
ANSWER_S = 5.0  # A device that takes longer to open or close is said not to answer.

Opened = tuple[Device, DeviceStream]


class Background(Protocol):
    """Runs a job that may take long."""

    def __call__(self, job: "Callable[[], Opened | None]", /) -> "Future[Opened | None]": ...


@dataclass(slots=True)
class _Open:
    """A running stream and what is known of it."""

    device: Device
    stream: DeviceStream
    gate: Gate
    watch: Watch
    num_xruns: int = 0  # That were told.


class StreamKeeper:
    """Opens a stream, watches that it calls back, and opens it again by name with growing pauses.

    Args:
        card: the devices.
        direction: of the stream.
        wanted: number or part of a name; None for the default. From the first opening on, the name counts.
        rate_hz: asked of the device; it may have another.
        connect: given the rate and the channels of each stream that was opened, returns what takes its blocks.
        clock_s: monotonic, in seconds. One that goes on while the machine sleeps (Linux: CLOCK_BOOTTIME) finds that out.
        background: runs what may take long.
    """

    def __init__(
        self,
        card: SoundCard,
        direction: Direction,
        *,
        wanted: str | None,
        rate_hz: int,
        connect: Callable[[DeviceStream], OnTimedBlock],
        clock_s: ClockS,
        background: Background = in_thread,
    ) -> None:
        self._card = card
        self._direction = direction
        self._wanted = wanted
        self._rate_hz = rate_hz
        self._connect = connect
        self._clock_s = clock_s
        self._background = background
        self._name: str | None = None  # Of the device, from its first opening on.
        self._should_be_open = False
        self._open: _Open | None = None
        self._gate: Gate | None = None  # Of the stream that is being opened.
        # Opening, with its result, or closing, with None; one at a time.
        self._job: Future[Opened | None] | None = None
        self._job_since_s = 0.0
        self._retry_s = 0.0
        self._retry_at_s = 0.0
        self._has_complained = False
        self._has_failed = False  # The last attempt did; the list of devices may be old then.
        self._owes_closed = False  # `close` was called, and it was not yet told that it is done.

    @property
    def is_open(self) -> bool:
        """Whether blocks are coming or are expected to."""
        return self._open is not None

    def open(self) -> None:
        """Open the device and keep it open; `poll` tells when it is."""
        self._should_be_open, self._owes_closed = True, False
        self._retry_s = self._retry_at_s = 0.0

    def close(self) -> None:
        """Give the device back and leave it so; no block reaches the consumer from now on, `poll` tells when it is done."""
        self._owes_closed = self._owes_closed or self._should_be_open
        self._should_be_open = False
        if self._open is not None:
            self._end(self._open)

    def choose(self, wanted: str | None) -> None:
        """Use another device from now on, by number or part of a name; None for the default. One that is open is given back."""
        self._wanted, self._name = wanted, None
        self._gate = None  # What is just being opened is not wanted any more.
        self._retry_s = self._retry_at_s = 0.0
        self._has_complained = False
        if self._open is not None:
            self._end(self._open)

    def poll(self) -> list[DeviceEvent]:
        """Notice what happened, begin what is to be done, and return what there is to tell; never waits.

        To be called at least every 0.1 s.
        """
        now_s = self._clock_s()
        events = self._finish_job(now_s)
        if self._open is not None:
            events += self._watch(self._open, now_s)
        if self._job is None and self._open is None:
            if self._should_be_open:
                self._begin_opening(now_s)
            elif self._owes_closed:
                self._owes_closed = False
                events.append(DeviceClosed(self._direction, self._name or self._wanted or ""))
        return events

    def _begin_opening(self, now_s: float) -> None:
        if now_s < self._retry_at_s:
            return
        gate = self._gate = Gate(self._direction, self._clock_s)
        looks_again = self._has_failed

        def job() -> Opened | None:
            device = self._find(looks_again=looks_again)
            stream = self._card.open(device, self._direction, rate_hz=self._rate_hz, on_block=gate)
            try:
                stream.start()
            except BaseException:
                stream.close()
                raise
            if self._gate is not gate or not self._should_be_open:
                stream.close()  # Nobody may be there any more to give it back.
                return None
            return device, stream

        self._job, self._job_since_s = self._background(job), now_s

    def _find(self, *, looks_again: bool) -> Device:
        """Return the device as it is listed now; makes the list new only where that can help."""
        devices = self._card.list_devices()
        if looks_again or not self._is_among(devices):
            present = self._card.look_again()
            if present != devices and self._is_among(present):
                self._card.refresh()
                devices = self._card.list_devices()
            elif not self._is_among(present):
                devices = present  # For the message.
        return self._choose(devices)

    def _is_among(self, devices: Sequence[Device]) -> bool:
        try:
            self._choose(devices)
        except DeviceError:
            return False
        return True

    def _choose(self, devices: Sequence[Device]) -> Device:
        if self._name is None:
            return choose_device(devices, self._direction, self._wanted)
        for device in devices:
            if device.name == self._name and device.num_channels(self._direction):
                return device
        raise DeviceError(
            f"{self._direction.value} device {self._name!r} is not there: plug it in again, or choose another one"
        )

    def _finish_job(self, now_s: float) -> list[DeviceEvent]:
        job = self._job
        if job is None:
            return []
        if not job.done():
            if now_s - self._job_since_s > ANSWER_S:
                return self._complain("it does not answer; plug it out and in again")
            return []
        self._job = None
        error = job.exception()
        if error is not None:
            return self._fail(error, now_s)
        result = job.result()
        if result is None:
            return []
        device, stream = result
        gate, self._gate = self._gate, None
        if gate is None or not self._should_be_open:
            self._give_back(stream)
            return []
        self._name = device.name
        self._open = _Open(device, stream, gate, Watch(stream, gate, now_s))
        gate.consumer = self._connect(stream)
        self._retry_s = self._retry_at_s = 0.0
        self._has_complained = self._has_failed = False
        return [
            DeviceOpened(
                self._direction, device.name, stream.rate_hz, stream.num_channels, stream.latency_s
            )
        ]

    def _fail(self, error: BaseException, now_s: float) -> list[DeviceEvent]:
        if not isinstance(error, DeviceError):
            raise error
        self._has_failed = True
        self._retry_s = min(LAST_RETRY_S, max(FIRST_RETRY_S, 2 * self._retry_s))
        self._retry_at_s = now_s + self._retry_s
        return self._complain(str(error))

    def _complain(self, reason: str) -> list[DeviceEvent]:
        if self._has_complained or not self._should_be_open:
            return []
        self._has_complained = True
        return [DeviceUnavailable(self._direction, reason)]

    def _watch(self, running: _Open, now_s: float) -> list[DeviceEvent]:
        reason = running.watch.reason_of_loss(now_s)
        if reason is not None:
            self._end(running)
            return [DeviceLost(self._direction, running.device.name, reason)]
        num_new = running.stream.num_xruns - running.num_xruns
        running.num_xruns += num_new
        return [DeviceXrun(self._direction, num_new)] if num_new else []

    def _end(self, running: _Open) -> None:
        running.gate.consumer = None
        self._open = None
        self._give_back(running.stream)

    def _give_back(self, stream: DeviceStream) -> None:
        assert self._job is None

        def job() -> None:
            stream.close()

        self._job, self._job_since_s = self._background(job), self._clock_s()
