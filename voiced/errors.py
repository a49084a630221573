"""Every error of voiced, and who is expected to act.

    VoicedError
    ├── UsageError            the person at the keyboard: a wrong option, voice, text or name
    ├── NetworkError          the person at the keyboard: weights could not be fetched
    ├── OutputError           the person at the keyboard: a file could not be written
    ├── EngineError           the operator: the engine cannot be started, has died too often, or is closed
    │   └── EngineBusyError   the caller: more waits for the engine than is kept
    ├── ProtocolError         the peer: a message that cannot be read, or is too long
    ├── DeviceError           the person at the keyboard: a sound device is missing, busy, of no use
    │   └── UnknownDeviceError  a device was asked for that is not there, or by a name that several have
    ├── AudioError            the person at the keyboard: sound that cannot be read or used
    │   └── FormatError       the caller: rate, channels or type other than asked for
    └── ModelError            the operator
        ├── CheckpointError   a model folder is incomplete, damaged, or of another model
        ├── RangeError        a token, code, position or length out of range
        └── NonFiniteError    a weight or an activation is NaN or infinite; names the tensor

A message says what was expected, what came and what to do. Errors of libraries are translated once, at the edge.
"""

from audio.errors import (
    AudioError,
    DeviceError,
    FormatError,
    OutputError,
    UnknownDeviceError,
    VoicedError,
)
from models.errors import CheckpointError, ModelError, NonFiniteError, RangeError

__all__ = [
    "AudioError",
    "CheckpointError",
    "DeviceError",
    "EngineBusyError",
    "EngineError",
    "FormatError",
    "ModelError",
    "NetworkError",
    "NonFiniteError",
    "OutputError",
    "ProtocolError",
    "RangeError",
    "UnknownDeviceError",
    "UsageError",
    "VoicedError",
]


class UsageError(VoicedError):
    """The command line or the configuration asks for something that does not exist."""


class NetworkError(VoicedError):
    """Weights could not be fetched: no network, an interrupted transfer, a wrong digest."""


class EngineError(VoicedError):
    """The engine cannot be started, has died too often in a row, or is closed."""


class EngineBusyError(EngineError):
    """More waits for the engine than is kept."""


class ProtocolError(VoicedError):
    """A message of a peer that cannot be read, is too long, or says what cannot be."""
