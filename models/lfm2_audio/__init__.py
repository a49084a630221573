"""LFM2-Audio: continuous sound in, interleaved text and discrete audio frames out."""

from models.lfm2_audio.conversation import Conversation
from models.lfm2_audio.model import Lfm2Audio
from models.lfm2_audio.steps import AudioFrame, EndOfTurn, Mode, Step, TextToken
from models.sampling import Sampling

__all__ = [
    "AudioFrame",
    "Conversation",
    "EndOfTurn",
    "Lfm2Audio",
    "Mode",
    "Sampling",
    "Step",
    "TextToken",
]
