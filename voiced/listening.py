"""From the microphone's chunks, of whatever length, to the turn machine's windows."""

from typing import Protocol

import numpy as np

from audio.chunk import AudioChunk, Samples
from voiced.errors import FormatError
from voiced.turns import SpeechEvent, TurnMachine
from voiced.voice_activity import RATE_HZ, WINDOW_SAMPLES

# A gap in the stream up to half a second is filled with silence; a longer one ends the turn.
LONGEST_GAP = RATE_HZ // 2


class Detector(Protocol):
    """What is needed of models.vad.VoiceDetector."""

    def reset(self) -> None: ...
    def push(self, window: Samples) -> float: ...


class WakeDetector(Protocol):
    """What is needed of models.wake_word.WakeWordDetector."""

    def reset(self) -> None: ...
    def push(self, window: Samples) -> bool: ...


class Listener:
    """Cuts sound into windows, asks the detectors about each, and hands all that to the turn machine.

    The events do not depend on how the sound was cut into chunks. Holds less than one window. Facts from outside go to the
    machine itself, except for those that close and open the microphone. The voice detector hears what is said asleep too, so
    that it misses nothing of what comes right after the wake word.

    Args:
        detector: says whether a window holds a voice.
        machine: decides whose turn it is.
        wake: says whether the wake word was said; None where none is asked for.
    """

    def __init__(
        self, detector: Detector, machine: TurnMachine, wake: WakeDetector | None = None
    ) -> None:
        self._detector = detector
        self._machine = machine
        self._wake = wake
        self._rest = np.zeros(0, np.float32)  # Sound that fills no window yet.
        self._num_filled = (
            0  # Samples of silence that ended the recording before; it may go on within them.
        )

    @property
    def position(self) -> int:
        """Index of the sample that comes next."""
        return self._machine.position + len(self._rest)

    def push(self, chunk: AudioChunk) -> list[SpeechEvent]:
        """Take the next sound and return the events that it causes, in order; muted, it is thrown away.

        Raises:
            FormatError: the rate is not 16 kHz, or the chunk begins before the end of the last one.
        """
        if chunk.rate_hz != RATE_HZ:
            raise FormatError(
                f"sample rate {chunk.rate_hz} Hz: expected {RATE_HZ} Hz; resample before push"
            )
        if self._machine.is_muted:
            return []
        if chunk.start < self.position - self._num_filled:
            raise FormatError(
                f"chunk begins at sample {chunk.start}: expected {self.position}; the microphone's time never goes back"
            )
        # In the place of the first of them there is silence already.
        samples = chunk.samples[max(0, self.position - chunk.start) :]
        if not len(samples):
            return []
        self._num_filled = 0
        gap = max(0, chunk.start - self.position)
        if gap > LONGEST_GAP:
            events = self.finish()
            self.unmute(chunk.start)
            return events + self._take(samples)
        return self._take(np.concatenate([np.zeros(gap, np.float32), samples]))

    def mute(self) -> list[SpeechEvent]:
        """Forget what was heard and take in nothing more: the microphone is closed."""
        self._rest = np.zeros(0, np.float32)
        return self._machine.mute()

    def unmute(self, position: int) -> None:
        """Listen again: the microphone is open, and its next sample has the index `position`.

        Raises:
            RangeError: `position` lies before what was heard.
        """
        self._machine.unmute(position)
        self._detector.reset()
        if self._wake is not None:
            self._wake.reset()
        self._rest = np.zeros(0, np.float32)
        self._num_filled = 0

    def finish(self) -> list[SpeechEvent]:
        """End what goes on: the recording is over, or broke off. Its last window is filled up with silence."""
        events = []
        if len(self._rest) and not self._machine.is_muted:
            self._num_filled = WINDOW_SAMPLES - len(self._rest)
            events = self._take(np.zeros(self._num_filled, np.float32))
        return events + self._machine.finish()

    def _take(self, samples: Samples) -> list[SpeechEvent]:
        held = np.concatenate([self._rest, samples])
        num_windows = len(held) // WINDOW_SAMPLES
        events: list[SpeechEvent] = []
        for window in held[: num_windows * WINDOW_SAMPLES].reshape(num_windows, WINDOW_SAMPLES):
            events += self._machine.push(window, self._detector.push(window))
            if self._wake is not None and self._wake.push(window):
                events += self._machine.heard_wake_word()
        self._rest = held[num_windows * WINDOW_SAMPLES :].copy()
        return events
