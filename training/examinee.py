"""A model folder under examination, asked through the same code as the product's commands ask it."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import ModelError
from models.lfm2_audio import Lfm2Audio
from training.figures import Trial
from voiced.demonstration import Demonstration, read_demonstration
from voiced.dialogue import Dialogue, ReplyEnded, ReplySound, ReplyText
from voiced.speech import speak
from voiced.transcription import Ending, transcribe_piece

Samples = NDArray[np.float32]

LONGEST_REPLY_S = 15.0  # Three times the longest answer; what goes on has not found its end.


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reply:
    """What a model said.

    Attributes:
        text: of the reply.
        sound: 24 kHz.
        first_sound_s: from the question's end to the first sound; the reply's length in time where it has none.
        total_s: from the question's end to the reply's, all computed.
    """

    text: str
    sound: Samples
    first_sound_s: float
    total_s: float


class Examinee:
    """A loaded model; it notes of every turn whether it ended by itself."""

    def __init__(self, folder: Path, *, longest_reply_s: float = LONGEST_REPLY_S) -> None:
        """Load the model to compute in float32 on the CPU.

        Args:
            folder: of the model.
            longest_reply_s: of sound; a reply is cut off there, and has not ended by itself.

        Raises:
            CheckpointError: the folder is incomplete, damaged or of another model.
        """
        self.model = Lfm2Audio.load(folder, dtype=torch.float32)
        self.demonstration = read_demonstration(folder) or Demonstration(name=folder.name)
        self.longest_reply_s = longest_reply_s
        self.endings: list[Trial] = []

    def transcribe(self, samples: Samples) -> str:
        """Return what the model writes down of a sound at 16 kHz."""
        pieces, steps = [], transcribe_piece(self.model, samples)
        while True:
            try:
                pieces.append(next(steps))
            except StopIteration as stop:
                text = "".join(pieces).strip()
                self._note("transcription", text, has_ended=stop.value is Ending.COMPLETE)
                return text

    def dialogue(self) -> Dialogue:
        """Return a new conversation."""
        return Dialogue(self.model, sampling=self.demonstration.reply)

    def reply(self, dialogue: Dialogue, samples: Samples) -> Reply:
        """Return the reply to a sound at 16 kHz; the conversation remembers both."""
        texts, sounds = [], [np.zeros(0, np.float32)]
        has_ended, first_sound_s = False, None
        begun_at = time.perf_counter()
        for part in dialogue.reply(samples, max_reply_s=self.longest_reply_s):
            match part:
                case ReplyText(text=text):
                    texts.append(text)
                case ReplySound(samples=sound):
                    first_sound_s = first_sound_s or time.perf_counter() - begun_at
                    sounds.append(sound)
                case ReplyEnded(ended=ended):
                    has_ended = ended == "end"
        total_s = time.perf_counter() - begun_at
        text = "".join(texts).strip()
        self._note("conversation", text, has_ended=has_ended)
        return Reply(
            text=text,
            sound=np.concatenate(sounds),
            first_sound_s=first_sound_s or total_s,
            total_s=total_s,
        )

    def speak(self, text: str, voice: str) -> Samples:
        """Return a text's sound, 24 kHz; empty when the model makes none."""
        settings, warnings = self.demonstration, list[str]()
        sounds = [np.zeros(0, np.float32)]
        try:
            sounds += speak(
                self.model,
                text,
                voice=voice,
                sampling=settings.speech,
                max_piece_chars=settings.max_piece_chars,
                min_piece_chars=settings.min_piece_chars,
                warn=warnings.append,
            )
        except ModelError as error:
            warnings.append(str(error))
        self._note(f"speech, {voice}", text, has_ended=not warnings)
        return np.concatenate(sounds)

    def _note(self, mode: str, text: str, *, has_ended: bool) -> None:
        self.endings.append(
            Trial(about=mode, wanted="an end", got=text, errors=int(not has_ended), words=1)
        )
