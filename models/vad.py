"""Whether somebody speaks: the silero voice detector, window by window."""

import importlib.util
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError, RangeError

# onnxruntime 1.32 reports its use to its makers: it keeps a device id in the cache folder and looks up a host of theirs.
# The variable is read when the library loads, so it stands before the import; disable_telemetry_events() does not help.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

RATE_HZ = 16_000
WINDOW_SAMPLES = 512  # 32 ms; the published model takes no other size at 16 kHz.
CONTEXT_SAMPLES = 64  # The end of the previous window, put before each.
STATE_SHAPE = (2, 1, 128)


class VoiceDetector:
    """Estimates for each window of 32 ms how likely it holds a voice; remembers the windows before it.

    Costs about 0.1 ms a window on one thread. Its thread pool is its own, so it does not disturb torch's.
    Source: package silero-vad 6.2, `silero_vad_16k_op15.onnx` and the calling convention of its `utils_vad.py`.

    Raises:
        CheckpointError: the package silero-vad is not installed or its model file is missing or damaged.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = _model_path()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a class of its own for each fault.
            raise CheckpointError(
                f"the voice detector in {path} cannot be loaded ({error}): install the package silero-vad anew"
            ) from error
        self.reset()

    def reset(self) -> None:
        """Forget everything heard; the next window begins a new recording."""
        self._state = np.zeros(STATE_SHAPE, np.float32)
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)

    def push(self, window: NDArray[np.float32]) -> float:
        """Return the probability, 0 to 1, that somebody speaks in `window`.

        Args:
            window: 512 samples at 16 kHz, nominally in [-1, 1]; what lies beyond is clipped, for the detector only.

        Raises:
            RangeError: another number of samples.
        """
        if window.shape != (WINDOW_SAMPLES,):
            raise RangeError(
                f"voice detector's window has shape {window.shape}: expected ({WINDOW_SAMPLES},), 32 ms at 16 kHz; "
                "fill up the last one with zeros"
            )
        clipped = np.clip(window, -1, 1).astype(np.float32)
        inputs = {
            "input": np.concatenate([self._context, clipped])[None],
            "state": self._state,
            "sr": np.array(RATE_HZ, np.int64),
        }
        probability, self._state = self._session.run(None, inputs)
        self._context = clipped[-CONTEXT_SAMPLES:]
        return float(probability[0, 0])


def _model_path() -> Path:
    """Return where the package keeps its model; importing the package would import torch's jit with it."""
    found = importlib.util.find_spec("silero_vad")
    folders = (found.submodule_search_locations if found else None) or []
    for folder in folders:
        path = Path(folder) / "data" / "silero_vad_16k_op15.onnx"
        if path.is_file():
            return path
    raise CheckpointError(
        "the voice detector's model is missing: expected the package silero-vad 6 with "
        "data/silero_vad_16k_op15.onnx; install it with 'pip install silero-vad'"
    )
