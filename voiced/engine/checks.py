"""What can be sent to the engine, checked where it is asked: an engine that is sent what cannot be read has to end."""

from typing import Final

import numpy as np

from audio.chunk import Samples
from voiced.engine import messages as m
from voiced.errors import AudioError, RangeError
from voiced.speech_model import HEARING_RATE_HZ

LEAST_SAMPLES: Final = HEARING_RATE_HZ // 50  # 20 ms.


def checked_text(text: str) -> str:
    """Return `text` if it can be sent.

    Raises:
        RangeError: it is too long, or no Unicode text.
    """
    if len(text) > m.MOST_TEXT_CHARS:
        raise RangeError(
            f"text of {len(text)} characters: expected at most {m.MOST_TEXT_CHARS}; shorten it"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RangeError(
            f"text with half a character at {error.start}: expected Unicode text; leave it out"
        ) from error
    return text


def packed(samples: Samples) -> bytes:
    """Return sound as it travels to the engine.

    Raises:
        RangeError: shorter than 20 ms or longer than 60 s.
        AudioError: not one dimension of finite float32 samples.
    """
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise AudioError(
            f"samples of shape {samples.shape} and type {samples.dtype}: expected one dimension of float32"
        )
    most = m.MOST_TURN_S * HEARING_RATE_HZ
    if not LEAST_SAMPLES <= len(samples) <= most:
        raise RangeError(
            f"{len(samples)} samples of sound: expected {LEAST_SAMPLES} (20 ms) to {most} ({m.MOST_TURN_S} s) at "
            f"{HEARING_RATE_HZ} Hz; end the turn sooner"
        )
    if not np.isfinite(samples).all():
        raise AudioError(
            f"sample {int(np.argmin(np.isfinite(samples)))} is NaN or infinite: expected finite numbers"
        )
    return m.pack_samples(samples)
