"""What can go wrong with a model; see `voiced/errors.py` for the whole tree."""

from audio.errors import VoicedError


class ModelError(VoicedError):
    """A model cannot be loaded or cannot go on."""


class CheckpointError(ModelError):
    """A model folder is incomplete, damaged, or of another model."""


class RangeError(ModelError):
    """A token, code, position or length lies outside what the model was built for."""


class NonFiniteError(ModelError):
    """A weight or an activation is NaN or infinite; the message names the tensor."""
