"""Where to cut a long recording: into pieces as long as the model was trained for, at pauses, leaving silence out.

Pure: fed with windows of sound and the voice detector's opinion of each, gives pieces back as soon as they are final.

What is kept. A window is kept when the detector hears a voice in it. A detector errs, so a window is kept too when sound
has gone on around it for a second at a level that could be speech: not 15 dB below the voices heard so far, and above
-45 dB of full scale. So noise or music as loud as the speakers is transcribed rather than dropped. What is dropped
although it was not silent is counted in `num_skipped`, for the caller to report.

Where it is cut. At a pause, and the longer the piece is already, the shorter a pause suffices. When nobody pauses, at the
quietest place of the piece's second half. Every kept sample lies in exactly one piece, and pieces do not overlap.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
WINDOW_SAMPLES = 512  # 32 ms, what the voice detector judges.

# A voice begins where the detector is as sure as VOICE_BEGINS and ends where it is less sure than VOICE_ENDS.
# Source: silero-vad's own defaults (threshold 0.5, 0.15 below it to end).
VOICE_BEGINS = 0.5
VOICE_ENDS = 0.35
# Mean square without the offset; -45 dB of full scale. The noise of a quiet room lies below, speech far above.
SILENCE_POWER = 10**-4.5
LOUD_BELOW_SPEECH = (
    10**-1.5
)  # 15 dB below the voices heard so far: a quieter speaker, rather than the room.
LOUD_WINDOWS = 31  # A second: what counts as sound that goes on. Clicks and coughs are shorter.
SPEECH_WINDOWS = 1000  # Half a minute of voices sets the level of speech.

# All in windows of 32 ms.
MAX_WINDOWS = 937  # 29.98 s; the published models were trained on up to 30 s.
TARGET_WINDOWS = 625  # 20 s: from here on the shortest pause suffices.
FIRST_PAUSE_WINDOWS = 47  # 1.5 s end a piece that has just begun,
LAST_PAUSE_WINDOWS = 7  # 0.22 s one of the target's length, in between in proportion.
PADDING_WINDOWS = 9  # 0.29 s of silence are left around what is kept, where there is some.
SENTENCE_PAUSE_WINDOWS = (
    11  # 0.35 s: longer than the gaps between words, no longer than those between sentences.
)

# How long the longest piece may be: a cut where nobody pauses needs some room on both sides.
LEAST_LONGEST_S, MOST_LONGEST_S = 3, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long pieces become, in windows; without arguments, as suits the published models.

    Attributes:
        longest: a piece is cut at the latest at this length.
        target: from this length on `last_pause` ends a piece.
        first_pause: ends a piece that has just begun.
        last_pause: ends one of the target's length, in between in proportion.
    """

    longest: int = MAX_WINDOWS
    target: int = TARGET_WINDOWS
    first_pause: int = FIRST_PAUSE_WINDOWS
    last_pause: int = LAST_PAUSE_WINDOWS

    @classmethod
    def of_sentences(cls, longest_s: float) -> "Limits":
        """Return limits for a model that was trained on single sentences, the longest of `longest_s`, 3 to 30 s.

        The pause after a sentence ends a piece, however short it is.
        """
        longest = int(longest_s * RATE_HZ / WINDOW_SAMPLES)
        return cls(longest=longest, target=longest * 5 // 12, first_pause=SENTENCE_PAUSE_WINDOWS)

    def pause(self, num_windows: int) -> int:
        """Return how long a pause must be to end a piece that is `num_windows` long."""
        progress = min(1.0, num_windows / self.target)
        return round(self.first_pause + progress * (self.last_pause - self.first_pause))


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of the recording to be transcribed on its own.

    Attributes:
        start: index of its first sample in the recording.
        samples: mono float32 at 16 kHz.
        sound_start: index in the recording where what is kept begins, after the padding.
        sound_end: index in the recording where it ends.
    """

    start: int
    samples: NDArray[np.float32]
    sound_start: int
    sound_end: int

    @property
    def end(self) -> int:
        """Index in the recording of the sample after the last one."""
        return self.start + len(self.samples)


@dataclass(slots=True)
class _Window:
    samples: NDArray[np.float32]
    power: float  # Mean square without the offset.
    is_voice: bool
    is_kept: bool  # A voice, or loud enough to be one; may still become true for a second.


class Segmenter:
    """Takes a recording window by window and returns the pieces that become final.

    Holds at most as many windows as the longest piece has, 2 MB.

    Args:
        limits: how long pieces become.

    Attributes:
        heard_voice: whether the detector has heard a voice so far.
        num_skipped: samples left out so far although they were not silent.
    """

    def __init__(self, limits: Limits = Limits()) -> None:
        self.heard_voice = False
        self.num_skipped = 0
        self._limits = limits
        self._windows: list[_Window] = []  # Contiguous; neither in a piece nor dropped yet.
        self._start = 0  # Index in the recording of the first sample in `_windows`.
        self._voice_goes_on = False
        self._speech_power = 0.0  # Mean of the windows with a voice.
        self._num_voices = 0  # How many of them there were, up to SPEECH_WINDOWS.

    def push(self, samples: NDArray[np.float32], probability: float) -> list[Piece]:
        """Return the pieces that this window completes.

        Args:
            samples: the next 512 of the recording; only the last window may be shorter.
            probability: that somebody speaks in it, 0 to 1.
        """
        self._windows.append(self._judge(samples, probability))
        if len(self._windows) >= LOUD_WINDOWS:
            self._keep_what_goes_on()
        self._forget_silence()
        return list(self._cut())

    def flush(self) -> list[Piece]:
        """Return what is left at the end of the recording."""
        is_short_recording = self._start == 0 and len(self._windows) > 0
        if is_short_recording or len(self._windows) >= LOUD_WINDOWS // 4:
            self._keep_what_goes_on()
        pieces = []
        if self._last_kept() is not None:
            pieces.append(self._take(len(self._windows)))
        self._drop(len(self._windows))
        return pieces

    def _judge(self, samples: NDArray[np.float32], probability: float) -> _Window:
        is_voice = probability >= (VOICE_ENDS if self._voice_goes_on else VOICE_BEGINS)
        self._voice_goes_on = is_voice
        power = float(np.var(samples, dtype=np.float64))
        if is_voice:
            self.heard_voice = True
            self._num_voices = min(self._num_voices + 1, SPEECH_WINDOWS)
            self._speech_power += (power - self._speech_power) / self._num_voices
        return _Window(samples, power, is_voice, is_kept=is_voice)

    def _keep_what_goes_on(self) -> None:
        """Keep what is as loud as speech in the last second, when that is most of it."""
        last = self._windows[-LOUD_WINDOWS:]
        floor = max(SILENCE_POWER, self._speech_power * LOUD_BELOW_SPEECH)
        if sorted(window.power for window in last)[len(last) // 2] > floor:
            for window in last:
                window.is_kept = window.is_kept or window.power > floor

    def _forget_silence(self) -> None:
        """Drop what can no longer come into a piece: older than a second, and not the padding of what is kept."""
        num_old = len(self._windows) - LOUD_WINDOWS - PADDING_WINDOWS
        if num_old > 0:
            self._drop(min(num_old, self._num_leading()))

    def _cut(self) -> Iterator[Piece]:
        while (last := self._last_kept()) is not None:
            num_pause = len(self._windows) - 1 - last
            if num_pause >= self._limits.pause(last + 1):
                yield self._take(last + 1 + num_pause // 2)
            elif len(self._windows) >= self._limits.longest:
                yield self._take(self._quietest_place())
            else:
                return

    def _quietest_place(self) -> int:
        """Return how many windows to take so that the cut disturbs least: between voices if possible, where it is quiet."""
        num_windows = len(self._windows)

        def disturbance(place: int) -> tuple[int, float]:
            around = self._windows[place - 2 : place + 2]
            return sum(window.is_voice for window in around), sum(window.power for window in around)

        # The rest keeps a second, so that the next piece is not a mere syllable.
        return min(range(num_windows // 2, num_windows - LOUD_WINDOWS), key=disturbance)

    def _take(self, num_windows: int) -> Piece:
        """Return a piece of the first `num_windows`, without the silence at its ends beyond the padding."""
        num_leading = self._num_leading()
        self._drop(num_leading)
        taken = self._windows[: num_windows - num_leading]
        kept = [index for index, window in enumerate(taken) if window.is_kept]
        first, last = kept[0], kept[-1]
        taken = taken[: last + 1 + PADDING_WINDOWS]
        ends = self._start + np.cumsum([len(window.samples) for window in taken])
        piece = Piece(
            start=self._start,
            samples=np.concatenate([window.samples for window in taken]),
            sound_start=int(ends[first]) - len(taken[first].samples),
            sound_end=int(ends[last]),
        )
        self._start = piece.end
        del self._windows[: len(taken)]
        return piece

    def _drop(self, num_windows: int) -> None:
        for window in self._windows[:num_windows]:
            self._start += len(window.samples)
            if window.power > SILENCE_POWER:
                self.num_skipped += len(window.samples)
        del self._windows[:num_windows]

    def _num_leading(self) -> int:
        """Return how many windows lie before the padding of the first that is kept."""
        first = next(
            (i for i, window in enumerate(self._windows) if window.is_kept), len(self._windows)
        )
        return max(0, first - PADDING_WINDOWS)

    def _last_kept(self) -> int | None:
        indices = range(len(self._windows) - 1, -1, -1)
        return next((i for i in indices if self._windows[i].is_kept), None)
