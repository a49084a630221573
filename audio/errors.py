"""The root of every error of this project, and the errors of sound itself; see `voiced/errors.py` for the whole tree."""


class VoicedError(Exception):
    """An error whose message says what was expected, what came and what to do."""


class AudioError(VoicedError):
    """Sound that cannot be used as it is: unreadable, empty, not finite."""


class FormatError(AudioError):
    """A sample rate, a channel count or an encoding other than the one asked for."""


class OutputError(VoicedError):
    """A file or stream could not be written: no permission, no folder, no space."""


class DeviceError(VoicedError):
    """A sound device cannot be used: none is there, it is busy, it takes no usable rate, PortAudio is missing."""


class UnknownDeviceError(DeviceError):
    """A device was asked for by a number or a name that none has, or that several have."""
