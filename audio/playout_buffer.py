"""Sound on its way to the speaker: written in bursts, taken in blocks, held and dropped between two blocks."""

import threading

import numpy as np

from audio.chunk import Samples
from audio.live_resampling import LiveResampler

FADE_S = 0.0025  # Sound that is cut is faded out, and in again where it goes on, so that it does not click.
# Sound held before a reply begins, or goes on after an underrun: nothing at first, so that nothing is delayed; from the first
# underrun on as much as it takes.
FIRST_LEAD_S, MOST_LEAD_S = 0.08, 0.64
CALM_REPLIES = 5  # After so many replies without an underrun the lead is halved.


class PlayoutBuffer:
    """A ring between a writer, who is told how much was taken, and a device's callback, which never waits for sound.

    The lock is held for as long as copying a block takes; the callback needs Python's own lock anyway.

    Args:
        rate_hz: of the samples.
        capacity_s: when so much is held, `push` takes no more.

    Attributes:
        num_underruns: how often the sound of a reply came too late.
        num_missing: samples of silence that this put into replies.
    """

    def __init__(self, rate_hz: int, capacity_s: float) -> None:
        self.rate_hz = rate_hz
        self._ring = np.zeros(round(capacity_s * rate_hz), np.float32)
        self._fade = _fade(rate_hz)
        self._lock = threading.Lock()
        self._num_written = 0
        self._num_read = 0
        self._reply_start = 0  # Where in the stream of all samples the present reply begins.
        self._is_complete = True  # Nothing more of the reply will come.
        self._is_held = False
        self._is_playing = False  # The callback takes sound; it waits for the lead otherwise.
        self._fades_in = False  # At the next sample that is taken.
        self._tail = np.zeros(
            0, np.float32
        )  # What is cut off, faded out; goes before anything else.
        self._lead = 0
        self._num_calm = 0
        self._underruns_before = 0  # As the reply began.
        self.num_underruns = 0
        self.num_missing = 0

    @property
    def num_held(self) -> int:
        """Samples written and not yet played."""
        return self._num_written - self._num_read

    @property
    def num_free(self) -> int:
        """Samples that `push` would take."""
        return len(self._ring) - self.num_held

    @property
    def num_played(self) -> int:
        """Samples of the present reply that the device was given."""
        return max(0, self._num_read - self._reply_start)

    @property
    def lead_s(self) -> float:
        """How much sound is waited for before a reply begins."""
        return self._lead / self.rate_hz

    @property
    def is_complete(self) -> bool:
        """Whether all of the reply was written."""
        return self._is_complete

    @property
    def is_held(self) -> bool:
        """Whether the sound was stopped to go on later."""
        return self._is_held

    def begin(self) -> None:
        """Begin a reply behind what was written before."""
        with self._lock:
            self._adapt()
            self._reply_start = self._num_written
            self._is_complete = False

    def complete(self) -> None:
        """Note that all of the reply was written: what is held plays to its end, however little it is."""
        self._is_complete = True

    def push(self, samples: Samples) -> int:
        """Take as many of `samples` as there is room for and return how many; never waits for the device."""
        with self._lock:
            num_taken = min(len(samples), self.num_free)
            first = self._num_written % len(self._ring)
            head = min(num_taken, len(self._ring) - first)
            self._ring[first : first + head] = samples[:head]
            self._ring[: num_taken - head] = samples[head:num_taken]
            self._num_written += num_taken
            return num_taken

    def fill(self, out: Samples) -> None:
        """Fill `out` with the next samples, and with silence where there are none or they are held."""
        with self._lock:
            num_tail = min(len(self._tail), len(out))
            out[:num_tail] = self._tail[:num_tail]
            self._tail = self._tail[num_tail:]
            num_given = self._give(out[num_tail:])
            out[num_tail + num_given :] = 0

    def hold(self) -> None:
        """Stop the sound within a callback, in the middle of a word; `resume` goes on with the very next sample."""
        with self._lock:
            if not self._is_held:
                self._cut()
                self._is_held = True

    def resume(self) -> None:
        """Go on after `hold`."""
        with self._lock:
            self._is_held = False

    def flush(self) -> int:
        """Drop what was not played and return how many samples of the reply were; silence begins within a callback.

        Not counted: the 2.5 ms in which the sound fades.
        """
        with self._lock:
            if not self._is_held:
                self._cut()
            num_played = self.num_played
            self._num_read = self._num_written
            self._reply_start = self._num_written
            self._is_complete = True
            self._is_held = self._is_playing = self._fades_in = False
            return num_played

    def drop(self) -> int:
        """Throw away what is held, without counting it as played, and return how much it was."""
        with self._lock:
            num_held, num_played = self.num_held, self.num_played
            self._num_read = self._num_written
            self._reply_start = self._num_written - num_played
            self._is_playing = False
            return num_held

    def change_rate(self, rate_hz: int) -> None:
        """Go on at another rate of the device, with what is held and what was counted."""
        with self._lock:
            held = self._peek(self.num_held)
            converter = LiveResampler(self.rate_hz, rate_hz)
            held = np.concatenate([converter.push(held), converter.flush()])
            share = rate_hz / self.rate_hz
            self._reply_start = round((self._reply_start - self._num_read) * share)
            self._num_read, self._num_written = 0, len(held)
            self._lead = round(self._lead * share)
            self._ring = np.zeros(round(len(self._ring) * share), np.float32)
            num_kept = min(len(held), len(self._ring))
            self._ring[:num_kept] = held[:num_kept]
            self._fade = _fade(rate_hz)
            self._tail = np.zeros(0, np.float32)
            self.rate_hz = rate_hz

    def _give(self, out: Samples) -> int:
        """Fill the beginning of `out` as far as sound may be given, and return how far."""
        if self._is_held:
            return 0
        if not self._is_playing:
            has_lead = self.num_held > 0 and (self.num_held >= self._lead or self._is_complete)
            if not has_lead:
                self.num_missing += 0 if self._is_complete or not self.num_played else len(out)
                return 0
            self._is_playing = True
        num_given = min(len(out), self.num_held)
        out[:num_given] = self._peek(num_given)
        if self._fades_in and num_given:
            num_faded = min(num_given, len(self._fade))
            out[:num_faded] *= self._fade[::-1][:num_faded]
            self._fades_in = False
        self._num_read += num_given
        if num_given < len(out):
            self._is_playing = False
            if not self._is_complete and self.num_played:
                self._underrun(len(out) - num_given)
        return num_given

    def _underrun(self, num_missing: int) -> None:
        self.num_underruns += 1
        self.num_missing += num_missing
        most, first = round(MOST_LEAD_S * self.rate_hz), round(FIRST_LEAD_S * self.rate_hz)
        self._lead = min(most, max(first, 2 * self._lead))

    def _adapt(self) -> None:
        """Make the lead shorter after some calm replies; a lead below the first one is none."""
        is_calm = self.num_underruns == self._underruns_before
        self._num_calm = self._num_calm + 1 if is_calm else 0
        self._underruns_before = self.num_underruns
        if self._num_calm >= CALM_REPLIES:
            self._num_calm = 0
            self._lead //= 2
            if self._lead < round(FIRST_LEAD_S * self.rate_hz):
                self._lead = 0

    def _cut(self) -> None:
        """Let what is playing fade out without taking it."""
        if self._is_playing:
            tail = self._peek(min(self.num_held, len(self._fade)))
            self._tail = tail * self._fade[: len(tail)]
            self._fades_in = True

    def _peek(self, num_samples: int) -> Samples:
        first = self._num_read % len(self._ring)
        head = min(num_samples, len(self._ring) - first)
        return np.concatenate([self._ring[first : first + head], self._ring[: num_samples - head]])


def _fade(rate_hz: int) -> Samples:
    return np.linspace(1, 0, round(FADE_S * rate_hz), dtype=np.float32)
