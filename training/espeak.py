"""espeak-ng through its C library: hundreds of utterances a second, with the place of each word.

The library is found by its name, or at ESPEAK_LIBRARY; its data where it was built to look, or in ESPEAK_DATA_PATH.
Source of the constants and of the event's layout: espeak-ng 1.51, speak_lib.h.
"""

import ctypes
import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

SYNCHRONOUS, UTF8, CHARACTERS = 2, 1, 1
RATE, PITCH, PITCH_RANGE = 1, 3, 4
WORD_EVENT = 1
LIST_END = 0


class EspeakError(Exception):
    """espeak-ng is missing, does not start, or was asked for something that it does not have."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What espeak-ng made of a text.

    Attributes:
        samples: at `Espeak.rate_hz`, in [-1, 1], with digital silence at the end.
        word_starts: where each word begins, in samples; words that the voice runs together count as one.
    """

    samples: NDArray[np.float32]
    word_starts: list[int]


class Espeak:
    """The espeak-ng of a process; use it from one thread.

    Its state is global in the library, so all objects of this class share it: making another starts it anew.
    The same text need not give the same samples bit by bit after another text: the library carries over the phase of
    the voice, and an utterance may become some samples longer or shorter.
    """

    _shared_voice: ClassVar[str | None] = None  # What the library was last told, by any object.

    def __init__(self) -> None:
        """Start the library.

        Raises:
            EspeakError: there is no library, or it does not find its data.
        """
        name = os.environ.get("ESPEAK_LIBRARY", "libespeak-ng.so.1")
        data_path = os.environ.get("ESPEAK_DATA_PATH")
        try:
            self._library = ctypes.CDLL(name)
        except OSError as error:
            raise EspeakError(
                f"espeak-ng's library {name!r} cannot be loaded: {error}; install the package espeak-ng, "
                "or name the file in ESPEAK_LIBRARY"
            ) from error
        self._pieces: list[NDArray[np.int16]] = []
        self._word_starts: list[int] = []
        self.rate_hz: int = self._library.espeak_Initialize(
            SYNCHRONOUS, 0, data_path.encode() if data_path else None, 0
        )
        if self.rate_hz <= 0:
            raise EspeakError(
                f"espeak-ng does not start, code {self.rate_hz}: expected its data in "
                f"{data_path or 'its own folder'}; name the folder above espeak-ng-data in ESPEAK_DATA_PATH"
            )
        # The library calls it for as long as it lives, so it must not be collected.
        self._callback = _CALLBACK(self._receive)
        Espeak._shared_voice = None

    def say(
        self, text: str, voice: str, *, rate_wpm: int = 170, pitch: int = 50, pitch_range: int = 50
    ) -> Spoken:
        """Return `text` spoken; 2 to 3 ms an utterance of two seconds.

        Args:
            text: words.
            voice: language or accent, and variant if any: "en-us", "en+f2"; British is "en".
            rate_wpm: words a minute, 80 to 450.
            pitch: 0 to 100.
            pitch_range: 0 to 100; 0 is a monotone.

        Raises:
            EspeakError: no such voice. A variant that does not exist goes unnoticed by the library.
        """
        if voice != Espeak._shared_voice:
            if self._library.espeak_SetVoiceByName(voice.encode()):
                raise EspeakError(
                    f"espeak-ng has no voice {voice!r}; see 'espeak-ng --voices' and '--voices=variant'"
                )
            Espeak._shared_voice = voice
        for parameter, value in ((RATE, rate_wpm), (PITCH, pitch), (PITCH_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_SetSynthCallback(self._callback)
        self._pieces.clear()
        self._word_starts.clear()
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, CHARACTERS, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate([np.zeros(0, np.int16), *self._pieces])
        return Spoken(samples.astype(np.float32) / np.float32(32768), list(self._word_starts))

    def _receive(self, wave: Any, num_samples: int, events: Any) -> int:
        if wave and num_samples > 0:
            self._pieces.append(np.ctypeslib.as_array(wave, (num_samples,)).copy())
        index = 0
        while events[index].type != LIST_END:
            # One of length zero belongs to the silence at the end.
            if events[index].type == WORD_EVENT and events[index].length:
                self._word_starts.append(events[index].sample)
            index += 1
        return 0  # Go on.
