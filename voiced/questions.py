"""What the user says in one turn: text, or a recording that is read here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.chunk import Samples
from audio.reading import open_audio
from voiced.errors import AudioError
from voiced.speech_model import HEARING_RATE_HZ

SHORTEST_S = 0.02  # Two windows of the front end.
LONGEST_S = 120.0  # The encoder's memory grows with the square of it, and no model was trained on nearly as much.


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the user says in one turn.

    Attributes:
        text: what was written; empty for sound.
        samples: mono sound at 16 kHz, or None for text.
        path: the recording that holds the sound.
    """

    text: str = ""
    samples: Samples | None = None
    path: Path | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds; text has none."""
        return 0.0 if self.samples is None else len(self.samples) / HEARING_RATE_HZ


def read_question(path: Path) -> Said:
    """Return what is said in a recording of any rate and number of channels.

    Raises:
        AudioError: missing, not a recording, damaged, shorter than 20 ms or longer than two minutes.
        FormatError: a sample rate that no recording has.
    """
    parts: list[Samples] = []
    num_samples = 0
    with open_audio(path, rate_hz=HEARING_RATE_HZ) as reader:
        for chunk in reader:
            parts.append(chunk.samples)
            num_samples += len(chunk.samples)
            if num_samples > LONGEST_S * HEARING_RATE_HZ:
                raise AudioError(
                    f"{path} lasts longer than {LONGEST_S:.0f} s: too long for one turn; "
                    "cut it, or transcribe it with 'voiced asr'"
                )
    if num_samples < SHORTEST_S * HEARING_RATE_HZ:
        raise AudioError(
            f"{path} lasts {1000 * num_samples / HEARING_RATE_HZ:.1f} ms: expected at least {1000 * SHORTEST_S:.0f} ms"
        )
    return Said(samples=np.concatenate(parts), path=path)
