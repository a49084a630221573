"""Sound from the microphone: mono at 16 kHz, whatever the device has, each sample at its place in time."""

import numpy as np

from audio.background import in_thread
from audio.chunk import AudioChunk
from audio.device_clock import CallbackNotes, DeviceClock
from audio.devices import Block, DeviceStream, Direction, SoundCard
from audio.events import CaptureLost, SoundEvent
from audio.keeping import Background, StreamKeeper
from audio.live_resampling import LiveResampler
from audio.ring import SampleRing
from audio.watching import ClockS, OnTimedBlock

RATE_HZ = 16_000  # What the voice detector and the model's front end hear.
RING_S = 2.0  # Of recorded sound that nobody took; when it is full, the oldest goes and is counted. Older sound is stale.


class _Recording:
    """One opened stream: what its callback writes, and how its frames map to positions of the chunks."""

    def __init__(self, stream: DeviceStream) -> None:
        self.rate_hz = stream.rate_hz
        self._num_channels = stream.num_channels
        self.ring = SampleRing(round(RING_S * stream.rate_hz), stream.num_channels)
        self.notes = CallbackNotes()
        # When the first frame was recorded; known from the first callback on.
        self.first_s: float | None = None
        self.base: int | None = None  # Position of that frame; set by the reader.
        self.num_read = 0  # Frames taken from the ring.
        self.resampler = LiveResampler(stream.rate_hz, RATE_HZ)

    def on_block(self, block: Block, now_s: float) -> None:
        """Copy `block` and note the time; called by the device's thread."""
        if self.first_s is None:
            self.first_s = now_s - len(block) / self.rate_hz
        self.ring.write(block)
        self.notes.add(now_s, self.ring.end)


class Microphone:
    """Records; open from `open` to `close`, and muted means closed.

    Positions count from the first sample that was recorded and go on while nothing is: what was lost, muted or slept through
    is a gap between two chunks, as long as it took, and never invented silence.

    Args:
        card: the devices.
        wanted: number or part of a name of the device; None for the default.
        clock_s: monotonic, in seconds; see `StreamKeeper`.
        background: runs what may take long.

    Attributes:
        clock: the device's clock, in positions of the chunks; begins anew with every opening.
        latency_s: from the air to the callback, as the device says.
        num_lost: samples that were recorded and overwritten before they were read.
    """

    def __init__(
        self,
        card: SoundCard,
        *,
        wanted: str | None = None,
        clock_s: ClockS,
        background: Background = in_thread,
    ) -> None:
        self._keeper = StreamKeeper(
            card,
            Direction.INPUT,
            wanted=wanted,
            rate_hz=RATE_HZ,
            connect=self._connect,
            clock_s=clock_s,
            background=background,
        )
        self._recording: _Recording | None = None
        self._origin_s: float | None = None  # When the very first sample was recorded.
        self._end = 0  # Position after the newest chunk.
        self.clock = DeviceClock(RATE_HZ)
        self.latency_s = 0.0
        self.num_lost = 0

    @property
    def is_open(self) -> bool:
        """Whether it records; False while muted, and while the device is away."""
        return self._keeper.is_open

    def open(self) -> None:
        """Record; `poll` tells when the device runs, and opens it again when it went away."""
        self._keeper.open()

    def choose(self, wanted: str | None) -> None:
        """Record from another device from now on; see `StreamKeeper.choose`."""
        self._keeper.choose(wanted)

    def close(self) -> None:
        """Mute: nothing that is recorded from now on is heard, and the device is given back; `poll` tells when."""
        self._keeper.close()
        self._recording = None

    def poll(self) -> tuple[list[AudioChunk], list[SoundEvent]]:
        """Return what was recorded since the last call, and what happened; never waits.

        To be called at least every 0.1 s; what is not taken within 2 s is lost.
        """
        chunks: list[AudioChunk] = []
        events: list[SoundEvent] = []
        recording = self._recording  # Before it is replaced, what is left in it is taken.
        if recording is not None and recording.first_s is not None:
            self._take(recording, chunks, events)
        events += self._keeper.poll()
        if not self._keeper.is_open:
            self._recording = None
        return chunks, events

    def _connect(self, stream: DeviceStream) -> OnTimedBlock:
        self._recording = _Recording(stream)
        self.latency_s = stream.latency_s
        self.clock = DeviceClock(RATE_HZ)
        return self._recording.on_block

    def _take(
        self, recording: _Recording, chunks: list[AudioChunk], events: list[SoundEvent]
    ) -> None:
        base = self._place(recording)
        for now_s, frame in recording.notes.take():
            self.clock.follow(now_s, base + frame * RATE_HZ / recording.rate_hz)
        start, samples = recording.ring.read(recording.num_read, recording.ring.end)
        if start > recording.num_read:  # Overwritten; what the resampler held back goes with it.
            recording.resampler = LiveResampler(recording.rate_hz, RATE_HZ, first_sample=start)
            num_lost = base + recording.resampler.position - self._end
            self.num_lost += num_lost
            events.append(CaptureLost(self._end, num_lost))
        recording.num_read = start + len(samples)
        position = base + recording.resampler.position
        converted = recording.resampler.push(np.ascontiguousarray(samples))
        if len(converted):
            chunks.append(AudioChunk(converted, RATE_HZ, position))
            self._end = position + len(converted)

    def _place(self, recording: _Recording) -> int:
        """Return the position of the recording's first frame."""
        if recording.base is None:
            assert recording.first_s is not None
            if self._origin_s is None:
                self._origin_s = recording.first_s
            elapsed = round((recording.first_s - self._origin_s) * RATE_HZ)
            recording.base = max(self._end, elapsed)
        return recording.base
