"""Whether the wake word was said: microWakeWord's small networks, one for each word.

Importing this fails where the package pymicro-wakeword, an extra of voiced, is not installed.
"""

import numpy as np
from numpy.typing import NDArray
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

from models.errors import CheckpointError

RATE_HZ = 16_000
WAKE_WORDS = tuple(model.value.replace("_", " ") for model in Model)
# What it compares with its threshold is a mean, which stays above it for up to 1.3 s (espeak's "hey mycroft").
DEAF_SAMPLES = 2 * RATE_HZ


class WakeWordDetector:
    """Hears one of `WAKE_WORDS`, each time it is said; remembers the sound before.

    Costs about 0.09 ms a window of 512 samples, on the caller's thread; has none of its own, opens no socket and writes no file.
    Source: package pymicro-wakeword 2.5, its networks "version 2" and the threshold that comes with each.

    Raises:
        CheckpointError: the package is damaged, or has nothing for this machine.
    """

    def __init__(self, word: str) -> None:
        model = Model(word.replace(" ", "_"))
        try:
            self._network = MicroWakeWord.from_builtin(model)
        except (OSError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"the wake word's network cannot be loaded ({error}): install the package pymicro-wakeword anew"
            ) from error
        self._features = MicroWakeWordFeatures()
        self._num_deaf = 0  # Samples until the word can be recognised again.

    def reset(self) -> None:
        """Forget everything heard; the next sound begins a new recording."""
        self._network.reset()
        self._features.reset()
        self._num_deaf = 0

    def push(self, window: NDArray[np.float32]) -> bool:
        """Return whether the word was recognised in this window; once each time it is said.

        It is recognised 0.1 to 0.4 s after its end, "hey mycroft" from 0.15 s before it on. Then nothing is for 2 s.

        Args:
            window: samples at 16 kHz, any number, nominally in [-1, 1]; what lies beyond is clipped.
        """
        finite = np.nan_to_num(np.clip(window, -1, 1), copy=False)
        pcm = (finite * np.float32(32767)).astype("<i2").tobytes()
        is_above = [
            self._network.process_streaming(f) for f in self._features.process_streaming(pcm)
        ]
        if self._num_deaf > 0:
            self._num_deaf -= len(window)
            return False
        if any(is_above):
            self._num_deaf = DEAF_SAMPLES
            return True
        return False
