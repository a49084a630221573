"""What turns audio frames into sound, whichever model does it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FrameDecoder(Protocol):
    """Turns the audio frames of one reply into sound at 24 kHz, one frame after the other.

    A decoder belongs to one stream of frames: it carries what the next frame's sound needs of those before it.
    Decoders of one model share its weights and nothing else. Begin each reply with a fresh or reset decoder.
    """

    def push(self, codes: Sequence[int]) -> NDArray[np.float32]:
        """Return the sound that this frame completes: 80 ms, or less at the start of a stream.

        Costs the same for every frame, however many came before it.

        Args:
            codes: 8 codes, one a codebook, each below its size. The frame that ends the audio (2048) is not for a decoder.

        Returns:
            float32 in about [-1, 1], up to 1920 samples, contiguous with the sound of the last call; the caller's own.

        Raises:
            RangeError: not 8 codes, or one outside its codebook; the decoder is as before and can go on.
        """
        ...

    def flush(self) -> NDArray[np.float32]:
        """Return the sound still held back, which may be none; afterwards the decoder is as new."""
        ...

    def reset(self) -> None:
        """Forget all frames: the next one begins a new stream."""
        ...
