"""How long a silence must be until a turn is over: longer for who pauses long, and when the words lead on.

A fixed wait is wrong for somebody: half a second cuts off whoever thinks while speaking, two seconds make an assistant
slow for all others. So the wait follows the speaker's own pauses. It grows at once and shrinks slowly, for being cut off
is worse than waiting.
"""

from voiced.cues import sounds_unfinished
from voiced.voice_activity import RATE_HZ

LEAST_SILENCE = 3 * RATE_HZ // 10  # 0.3 s: longer than the gaps inside and between words.
MOST_SILENCE = 2 * RATE_HZ
# 0.6 s at first. Peers wait a fixed 0.5 s (OpenAI's server_vad, livekit), 0.55 s (speaches), 0.6 s (Hugging Face).
FIRST_SILENCE = 6 * RATE_HZ // 10
# Words that lead on are worth a second more, so 3 s at most: where livekit and pipecat give up too.
UNFINISHED_SILENCE = RATE_HZ

# The wait is a third longer than the pauses to be expected.
_MARGIN = 4 / 3
_GROWTH = 0.5  # How much of the way towards a longer pause is gone at once,
_DECAY = 0.2  # and towards a shorter one, a turn.
# Turns shorter than this ("yes", "stop the music") say nothing about how long somebody pauses.
_TELLING_TURN = 2 * RATE_HZ


class Patience:
    """Learns from the pauses of whoever speaks how long to wait; all in samples at 16 kHz."""

    def __init__(self) -> None:
        self._expected_pause = FIRST_SILENCE / _MARGIN
        self._longest_pause = 0  # In the turn that goes on.

    def silence(self, words: str | None) -> int:
        """Return after how many samples of silence the turn is over, when `words` were said, or nobody knows which."""
        usual = round(_MARGIN * self._expected_pause)
        silence = min(max(usual, LEAST_SILENCE), MOST_SILENCE)
        return silence + UNFINISHED_SILENCE if words and sounds_unfinished(words) else silence

    def went_on(self, pause: int) -> None:
        """Learn that the speaker was silent for `pause` samples and then went on."""
        self._longest_pause = max(self._longest_pause, pause)
        if pause > self._expected_pause:
            reached = self._expected_pause + _GROWTH * (pause - self._expected_pause)
            self._expected_pause = min(reached, MOST_SILENCE / _MARGIN)

    def ended(self, duration: int) -> None:
        """Learn that a turn of `duration` samples is over, and that it held no other pauses than those told."""
        if duration >= _TELLING_TURN and self._longest_pause < self._expected_pause:
            self._expected_pause += _DECAY * (self._longest_pause - self._expected_pause)
        self._longest_pause = 0
