"""A speaker at the other end of a connection: what it is sent, and how far it has played.

It is sent at most two seconds ahead of what it has played, so that an interruption leaves little to throw away there, and a
reader that stalls does not fill memory. How far it has played is what it reports; between reports, and where it reports
nothing, time tells: sound goes on from where it was known to be, at its rate, unless it is held or nothing more was sent.
"""

from collections.abc import Callable
from typing import Final, Protocol

from audio.chunk import Samples
from voiced.speech_model import SOUND_RATE_HZ

LEAD_S: Final = 2.0


class Outlet(Protocol):
    """Tells the other end what to play; nothing of it waits."""

    def begin(self) -> None:
        """Another reply begins, at position 0."""

    def sound(self, position: int, samples: Samples) -> None:
        """Play these, float32 at 24 kHz, which begin at this sample of the reply."""

    def hold(self) -> None:
        """Fall silent and keep what is left."""

    def resume(self) -> None:
        """Go on where the sound was held."""

    def stop(self) -> None:
        """Fall silent and throw away what is left."""

    def end(self) -> None:
        """All of the reply was sent."""


class RemoteSpeaker:
    """Plays replies at the other end; see voiced.live.session.Speaker."""

    def __init__(self, outlet: Outlet, now_s: Callable[[], float]) -> None:
        """Begin silent.

        Args:
            outlet: the connection.
            now_s: seconds on a clock that does not go back.
        """
        self._outlet = outlet
        self._now_s = now_s
        self._num_sent = 0  # Of the reply.
        self._is_complete = True
        self._is_on_hold = False
        self._known = 0.0  # Samples of the reply that were played,
        self._known_s = 0.0  # at this time.

    @property
    def num_played(self) -> int:
        """Samples of the present reply that were played, as far as is known."""
        return int(self._played())

    @property
    def is_finished(self) -> bool:
        """Whether all of the reply was sent and played."""
        return self._is_complete and self.num_played >= self._num_sent

    def report(self, num_played: int) -> None:
        """Learn from the other end how many samples of the present reply it has played."""
        self._known, self._known_s = float(min(max(0, num_played), self._num_sent)), self._now_s()

    def begin(self) -> None:
        """Begin a reply."""
        self._num_sent, self._is_complete, self._is_on_hold = 0, False, False
        self._known, self._known_s = 0.0, self._now_s()
        self._outlet.begin()

    def write(self, samples: Samples) -> int:
        """Send as many of `samples` as may be on their way, and return how many."""
        room = round(LEAD_S * SOUND_RATE_HZ) - (self._num_sent - self.num_played)
        taken = samples[: max(0, room)]
        if len(taken):
            self._settle()  # What was not there could not be played: time counts from now on.
            self._outlet.sound(self._num_sent, taken)
            self._num_sent += len(taken)
        return len(taken)

    def finish(self) -> None:
        """Note that all of the reply was sent."""
        self._is_complete = True
        self._outlet.end()

    def hold(self) -> None:
        """Have it fall silent and keep what is left."""
        self._settle()
        self._is_on_hold = True
        self._outlet.hold()

    def resume(self) -> None:
        """Have it go on after `hold`."""
        self._settle()
        self._is_on_hold = False
        self._outlet.resume()

    def flush(self) -> int:
        """End the reply; return how many of its samples were played, as far as is known."""
        num_played = self.num_played
        self._is_complete, self._is_on_hold = True, False
        self._num_sent = num_played
        self._known, self._known_s = float(num_played), self._now_s()
        self._outlet.stop()
        return num_played

    def _played(self) -> float:
        if self._is_on_hold:
            return self._known
        gone = (self._now_s() - self._known_s) * SOUND_RATE_HZ
        return min(float(self._num_sent), self._known + gone)

    def _settle(self) -> None:
        self._known, self._known_s = self._played(), self._now_s()
