"""Whether a window counts as a voice: the detector's opinion, against the noise of the place and the level of the speaker.

A detector alone errs in two ways. It takes what hums or babbles for a voice, now and then, so a window must also rise
above the noise, and where the background keeps the detector guessing it must be surer. And it hears everybody: the
television, and what an echo canceller leaves of the reply. So whoever goes on with a turn, or interrupts a reply, must
not be much quieter than the one who speaks.
"""

from collections import deque
from enum import Enum, auto

RATE_HZ = 16_000
WINDOW_SAMPLES = 512  # 32 ms, what the voice detector judges.

# A voice begins where the detector is as sure as VOICE_BEGINS and ends where it is less sure than VOICE_ENDS.
# Source: silero-vad's own defaults (threshold 0.5, 0.15 below it to end).
VOICE_BEGINS = 0.5
VOICE_ENDS = 0.35
# Over a reply a voice must be clearer. Costs a window: of 1,000 short words of espeak those over 200 ms reach it too.
OVER_REPLY = 0.7
# However unsure the background makes the detector, a voice that it is sure of is heard.
MOST_SURE = 0.85

# 3 dB above the noise: a voice as loud as the noise is heard, the noise itself is not (its windows differ by 1 dB).
ABOVE_NOISE = 2.0
# 20 dB below the voice so far. In connected speech of espeak 7 to 9 % of the windows are quieter, never five in a row.
BELOW_VOICE = 0.01
# Digital silence is no noise: a faint voice over it is heard down to -90 dB of full scale.
LEAST_NOISE = 1e-9

NOISE_WINDOWS = 5 * RATE_HZ // WINDOW_SAMPLES  # The quietest of 5 s: people breathe more often.
LEAST_NOISE_WINDOWS = (
    RATE_HZ // WINDOW_SAMPLES
)  # Before a second was heard, the noise is not known.
# Half a minute of voices sets the speaker's level, as for recordings.
SPEAKER_WINDOWS = 30 * RATE_HZ // WINDOW_SAMPLES


class Situation(Enum):
    """What a voice would mean now."""

    LISTENING = auto()  # Nobody speaks: it would begin a turn.
    SPEAKING = auto()  # It goes on with the turn,
    PAUSED = auto()  # or begins again in it.
    REPLYING = auto()  # The reply sounds: it would interrupt.
    INTERRUPTING = auto()  # The reply is on hold: it may be an interruption.


class VoiceActivity:
    """Judges windows of 32 ms one after the other; remembers the noise and the speaker."""

    def __init__(self) -> None:
        self._powers: deque[float] = deque(maxlen=NOISE_WINDOWS)
        self._background = (
            0.0  # Mean of the probabilities while nobody had the turn, over about 5 s.
        )
        self._noise_at_start = LEAST_NOISE  # Of the turn; what rises later is the speaker's doing.
        self._turn_power = 0.0  # Mean of the turn's voices; 0 before the first.
        self._num_turn_voices = 0
        self._speaker_power = (
            0.0  # Mean of all voices so far, the last half minute of them; 0 before the first.
        )
        self._num_speaker_voices = 0

    def forget_noise(self) -> None:
        """The microphone was closed: the place may have changed. The speaker's level is kept."""
        self._powers.clear()
        self._background = 0.0

    def begin_turn(self) -> None:
        """From now on voices are compared with this turn's."""
        self._noise_at_start = self._noise()
        self._turn_power, self._num_turn_voices = 0.0, 0

    def is_voice(self, power: float, probability: float, situation: Situation) -> bool:
        """Return whether a window counts as a voice; to be called once for each.

        Args:
            power: mean square of the window without its offset, finite.
            probability: the detector's, 0 to 1; NaN is no voice.
            situation: what a voice would mean.
        """
        if not probability >= MOST_SURE:  # What the detector is sure of is a voice and no noise.
            self._powers.append(power)
        if situation is Situation.LISTENING and probability <= 1:
            self._background += (probability - self._background) / NOISE_WINDOWS
        is_voice = probability >= self._surety(situation) and power >= self._level(situation)
        if is_voice and situation is Situation.SPEAKING:
            self._learn_speaker(power)
        return is_voice

    def _surety(self, situation: Situation) -> float:
        begins = min(VOICE_BEGINS + self._background, MOST_SURE)
        match situation:
            case Situation.SPEAKING:
                return begins - (VOICE_BEGINS - VOICE_ENDS)
            case Situation.REPLYING:
                return max(begins, OVER_REPLY)
            case _:
                return begins

    def _level(self, situation: Situation) -> float:
        match situation:
            case Situation.LISTENING:
                return ABOVE_NOISE * self._noise()
            case Situation.SPEAKING | Situation.PAUSED:
                return max(ABOVE_NOISE * self._noise_at_start, BELOW_VOICE * self._turn_power)
            case Situation.REPLYING | Situation.INTERRUPTING:
                return max(ABOVE_NOISE * self._noise(), BELOW_VOICE * self._speaker_power)

    def _noise(self) -> float:
        """Return the power of the noise: that of the quietest window lately, or the least while it is not known."""
        if len(self._powers) < LEAST_NOISE_WINDOWS:
            return LEAST_NOISE
        return max(min(self._powers), LEAST_NOISE)

    def _learn_speaker(self, power: float) -> None:
        self._num_turn_voices += 1
        self._turn_power += (power - self._turn_power) / self._num_turn_voices
        self._num_speaker_voices = min(self._num_speaker_voices + 1, SPEAKER_WINDOWS)
        self._speaker_power += (power - self._speaker_power) / self._num_speaker_voices
