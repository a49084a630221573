"""Mimi, the codec of LFM2-Audio's audio frames: 24 kHz sound to 12.5 frames a second of 8 codes, and back."""

from models.mimi.codec import Mimi
from models.mimi.dims import DIMS_FILE, MimiDims
from models.mimi.streaming import MimiStreamDecoder, MimiStreamEncoder
from models.mimi.weights import WEIGHTS_FILE, random_weights

__all__ = [
    "DIMS_FILE",
    "WEIGHTS_FILE",
    "Mimi",
    "MimiDims",
    "MimiStreamDecoder",
    "MimiStreamEncoder",
    "random_weights",
]
