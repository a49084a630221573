"""Sound to the speaker of a live assistant: replies that may be held, cut off, and asked how far they were played."""

import numpy as np

from audio.background import in_thread
from audio.chunk import AudioChunk, Samples
from audio.device_clock import CallbackNotes, DeviceClock
from audio.devices import Block, DeviceStream, Direction, SoundCard
from audio.events import PlayoutDropped, PlayoutUnderrun, SoundEvent
from audio.keeping import Background, StreamKeeper
from audio.live_resampling import LiveResampler
from audio.playout_buffer import PlayoutBuffer
from audio.reference import Reference
from audio.ring import SampleRing
from audio.watching import ClockS, OnTimedBlock

BUFFER_S = 4.0  # Of a reply that is ahead of the speaker; when it is full, `write` takes no more.
SPARE_SAMPLES = 64  # Room for what the resampler holds back.
PLAYED_S = 3.0  # Of played sound kept for the echo canceller; the oldest is overwritten.
AWAY_S = 2.0  # A reply waits so long for a speaker that went away; then it is dropped and counted.


class _Playing:
    """One opened stream: what its callback takes, and what it has played."""

    def __init__(self, stream: DeviceStream, buffer: PlayoutBuffer) -> None:
        self.rate_hz = stream.rate_hz
        self.clock = DeviceClock(stream.rate_hz)  # In samples played since the stream was opened.
        self.notes = CallbackNotes()
        self._buffer = buffer
        self._played = SampleRing(round(PLAYED_S * stream.rate_hz))
        self._references: dict[
            int, Reference
        ] = {}  # By the rate that is asked for; one in practice.

    def on_block(self, block: Block, now_s: float) -> None:
        """Fill `block`, remember it and note the time; called by the device's thread."""
        self._buffer.fill(block[:, 0])
        block[:, 1:] = block[:, :1]
        self.notes.add(now_s, self._played.end)
        self._played.write(block[:, :1])

    def reference(self, rate_hz: int) -> Reference:
        """Return the reader of what was played, at `rate_hz`."""
        if rate_hz not in self._references:
            self._references[rate_hz] = Reference(self._played, self.rate_hz, rate_hz)
        return self._references[rate_hz]


class Playout:
    """Plays replies one after another: `begin`, `write` until all is taken, `finish`.

    The device runs on silence between replies, because the first callback of some comes a second after the start.

    Args:
        card: the devices.
        rate_hz: of what is written; positions are counted in it.
        wanted: number or part of a name of the device; None for the default.
        clock_s: monotonic, in seconds; see `StreamKeeper`.
        background: runs what may take long.

    Attributes:
        latency_s: from the callback to the air, as the device says.
    """

    def __init__(
        self,
        card: SoundCard,
        *,
        rate_hz: int,
        wanted: str | None = None,
        clock_s: ClockS,
        background: Background = in_thread,
    ) -> None:
        self._keeper = StreamKeeper(
            card,
            Direction.OUTPUT,
            wanted=wanted,
            rate_hz=rate_hz,
            connect=self._connect,
            clock_s=clock_s,
            background=background,
        )
        self._rate_hz = rate_hz
        self._clock_s = clock_s
        self._buffer = PlayoutBuffer(rate_hz, BUFFER_S)
        self._resampler = LiveResampler(rate_hz, rate_hz)
        self._playing: _Playing | None = None
        self._num_written = 0  # Of the reply.
        self._away_since_s: float | None = None  # The speaker is not open since then.
        self._underruns_told = 0
        self.latency_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the speaker runs."""
        return self._keeper.is_open

    @property
    def num_underruns(self) -> int:
        """How often the sound of a reply came too late."""
        return self._buffer.num_underruns

    @property
    def num_played(self) -> int:
        """Samples of the present reply that the device was given; heard `latency_s` later.

        An interruption does not take back what the device was given, so this is what will have been heard.
        """
        return self._in_reply(self._buffer.num_played)

    @property
    def is_finished(self) -> bool:
        """Whether the reply was written to its end and given to the device."""
        return self._buffer.is_complete and not self._buffer.num_held

    @property
    def clock(self) -> DeviceClock | None:
        """The device's clock, in samples since it was opened; None while it is not open."""
        return self._playing.clock if self._playing is not None else None

    def open(self) -> None:
        """Open the speaker and keep it open; `poll` tells when it runs."""
        self._keeper.open()

    def choose(self, wanted: str | None) -> None:
        """Play on another device from now on, a reply that sounds too; see `StreamKeeper.choose`."""
        self._keeper.choose(wanted)

    def close(self) -> None:
        """Give the speaker back, at once and whatever it was playing."""
        self._keeper.close()
        self._buffer.flush()
        self._playing = None

    def begin(self) -> None:
        """Begin a reply; what is left of the one before is still played."""
        self._resampler = LiveResampler(self._rate_hz, self._buffer.rate_hz)
        self._num_written = 0
        self._buffer.begin()

    def write(self, samples: Samples) -> int:
        """Take as many of `samples` as there is room for and return how many; never waits.

        While the speaker is away for longer than 2 s, all are taken and dropped.
        """
        room = self._buffer.num_free * self._rate_hz // self._buffer.rate_hz - SPARE_SAMPLES
        taken = samples[: max(0, room)]
        self._buffer.push(self._resampler.push(taken))
        self._num_written += len(taken)
        return len(taken)

    def finish(self) -> None:
        """Note that all of the reply was written."""
        self._buffer.push(self._resampler.flush())
        self._buffer.complete()

    def hold(self) -> None:
        """Stop the sound within a callback; `resume` goes on in the middle of the word."""
        self._buffer.hold()

    def resume(self) -> None:
        """Go on after `hold`."""
        self._buffer.resume()

    def flush(self) -> int:
        """End the reply and return how many of its samples were played; silence begins within a callback."""
        return self._in_reply(self._buffer.flush())

    def reference(self, chunk: AudioChunk, recorded: DeviceClock) -> Samples:
        """Return what was really played while `chunk` was recorded: as many samples, at its rate.

        Args:
            chunk: from the microphone.
            recorded: the microphone's clock.
        """
        if self._playing is None:
            return np.zeros(len(chunk.samples), np.float32)
        reader = self._playing.reference(chunk.rate_hz)
        return reader.during(chunk, self._playing.clock, recorded)

    def poll(self) -> list[SoundEvent]:
        """Notice what happened and return what there is to tell; never waits. To be called at least every 0.1 s."""
        events: list[SoundEvent] = [*self._keeper.poll()]
        if not self._keeper.is_open:
            self._playing = None
            events += self._wait_for_speaker()
        else:
            self._away_since_s = None
        if self._playing is not None:
            for now_s, position in self._playing.notes.take():
                self._playing.clock.follow(now_s, position)
        num_new = self._buffer.num_underruns - self._underruns_told
        self._underruns_told += num_new
        return [*events, PlayoutUnderrun(num_new)] if num_new else events

    def _connect(self, stream: DeviceStream) -> OnTimedBlock:
        if stream.rate_hz != self._buffer.rate_hz:
            self._buffer.change_rate(stream.rate_hz)
            self._resampler = LiveResampler(self._rate_hz, stream.rate_hz)
        self.latency_s = stream.latency_s
        self._playing = _Playing(stream, self._buffer)
        return self._playing.on_block

    def _wait_for_speaker(self) -> list[SoundEvent]:
        now_s = self._clock_s()
        if self._away_since_s is None:
            self._away_since_s = now_s
        if now_s - self._away_since_s < AWAY_S or not self._buffer.num_held:
            return []
        return [PlayoutDropped(self._to_written(self._buffer.drop()))]

    def _in_reply(self, num_played: int) -> int:
        """Return a number of samples of the device as a number of samples of the reply."""
        return min(self._num_written, self._to_written(num_played))

    def _to_written(self, num_samples: int) -> int:
        return round(num_samples * self._rate_hz / self._buffer.rate_hz)
