"""Whether the microphone hears the speaker at all; with headphones it does not.

An echo canceller that has nothing to learn from takes the voice of whoever speaks over a reply for the echo, for seconds.
So its result is used only until it is certain that there is no echo: something was played, and in all the time in which
its echo may come the microphone heard no more than the room's own noise. Every reply has to show it anew.
"""

from collections import deque
from itertools import islice

FRAME_S = 0.01
DELAY_FRAMES = 30  # 300 ms: what was played has been heard by then.
PLAYED_FRAMES = 30  # So much of it is compared.
PLAYED_POWER = 10 ** (-50 / 10)  # Mean power of a reply that can be heard.
FAINT = 10 ** (-40 / 10)  # So far below what is played nothing is heard as a voice.
ABOVE_NOISE = (
    4.0  # 6 dB: the room's noise has not more than this times the power of its quietest frame.
)
NOISE_FRAMES = 300  # The quietest frame of 3 s is the noise.
REST_FRAMES = 50  # After so long without sound the next reply begins.


class EchoPresence:
    """Looks at frames of 10 ms.

    Attributes:
        is_absent: it is certain that this reply makes no echo.
    """

    def __init__(self) -> None:
        self.is_absent = False
        self._played: deque[float] = deque(maxlen=PLAYED_FRAMES + DELAY_FRAMES)
        self._recorded: deque[float] = deque(maxlen=NOISE_FRAMES)
        self._num_rest = 0

    def push(self, recorded_power: float, played_power: float) -> None:
        """Take in the powers of two frames of the same time, their mean squares."""
        self._recorded.append(recorded_power)
        self._played.append(played_power)
        self._num_rest = self._num_rest + 1 if self._played[-1] < PLAYED_POWER else 0
        if self._num_rest >= REST_FRAMES:
            self.is_absent = False
        elif not self.is_absent and len(self._played) == self._played.maxlen:
            self.is_absent = self._is_nothing_heard()

    def _is_nothing_heard(self) -> bool:
        """Whether something was played that must have been heard by now, and was not."""
        sent = sum(islice(self._played, PLAYED_FRAMES)) / PLAYED_FRAMES
        if sent < PLAYED_POWER:
            return False
        newest = len(self._recorded) - len(self._played)
        heard = sum(islice(self._recorded, newest, None)) / len(self._played)
        return heard < max(ABOVE_NOISE * min(self._recorded), FAINT * sent)
