"""Every error of voiced, and who is expected to act.

    VoicedError
    ├── UsageError            the person at the keyboard: a wrong option, voice, text or name
    ├── NetworkError          the person at the keyboard: weights could not be fetched
    ├── OutputError           the person at the keyboard: a file could not be written
    ├── AudioError            the person at the keyboard: sound that cannot be read or used
    │   └── FormatError       the caller: rate, channels or type other than asked for
    └── ModelError            the operator
        ├── CheckpointError   a model folder is incomplete, damaged, or of another model
        ├── RangeError        a token, code, position or length out of range
        └── NonFiniteError    a weight or an activation is NaN or infinite; names the tensor

A message says what was expected, what came and what to do. Errors of libraries are translated once, at the edge.
"""

from audio.errors import AudioError, FormatError, OutputError, VoicedError
from models.errors import CheckpointError, ModelError, NonFiniteError, RangeError

__all__ = [
    "AudioError",
    "CheckpointError",
    "FormatError",
    "ModelError",
    "NetworkError",
    "NonFiniteError",
    "OutputError",
    "RangeError",
    "UsageError",
    "VoicedError",
]


class UsageError(VoicedError):
    """The command line or the configuration asks for something that does not exist."""


class NetworkError(VoicedError):
    """Weights could not be fetched: no network, an interrupted transfer, a wrong digest."""
