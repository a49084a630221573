"""Speak text: each piece of it in a conversation of its own, its sound passed on frame by frame."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from audio.chunk import Samples
from models.errors import ModelError
from models.lfm2_audio import AudioFrame, EndOfTurn, Mode, Sampling
from voiced.errors import UsageError
from voiced.seeds import derived_seed
from voiced.sentences import MAX_CHARS, MIN_CHARS, is_speakable, pieces
from voiced.speech_model import (
    FRAMES_PER_S,
    SOUND_RATE_HZ,
    SPEECH_SAMPLING,
    AudioSampling,
    SpeechModel,
)
from voiced.voices import DEFAULT_VOICE, voice_prompt

PAUSE_S = 0.2  # Of silence between two pieces.

# The longest that a piece may last. A speaker needs about 0.065 s for a letter of English; a digit, a symbol or a
# Japanese character can stand for a whole word. Twice that and more is a model that does not find the end.
START_S, LETTER_S, OTHER_S = 3.0, 0.15, 0.5
SPARE_STEPS = 16  # For text tokens around the sound.


def speak(
    model: SpeechModel,
    text: str,
    *,
    voice: str = DEFAULT_VOICE,
    seed: int = 0,
    sampling: AudioSampling = SPEECH_SAMPLING,
    max_piece_chars: int = MAX_CHARS,
    min_piece_chars: int = MIN_CHARS,
    warn: Callable[[str], None],
) -> Iterator[Samples]:
    """Return the sound of `text`, mono float32 at 24 kHz, each part yielded as soon as the model has made it.

    Args:
        model: generates and decodes; both happen between two parts.
        text: of any length; cut at sentences, with a short silence between the pieces.
        voice: a name in `VOICES`.
        seed: the same seed gives the same sound on the same machine; another seed, another reading.
        sampling: of the sound.
        max_piece_chars: a longer sentence is cut.
        min_piece_chars: a shorter sentence is spoken together with the next.
        warn: called with a sentence when a piece gave no sound or was cut off.

    Raises:
        UsageError: at once, when the voice is unknown or the text has nothing to speak.
        ModelError: at the end, when there was no sound at all.
    """
    prompt = voice_prompt(voice)
    cut = pieces(text, max_chars=max_piece_chars, min_chars=min_piece_chars)
    to_speak = [piece for piece in cut if is_speakable(piece)]
    if not to_speak:
        raise UsageError(
            f"nothing to speak in {shortened(text)!r}: expected text with at least one letter or digit"
        )
    return _speak(model, to_speak, prompt, seed, sampling, warn)


def max_steps(piece: str) -> int:
    """Return how many steps a reply may take that speaks `piece`."""
    longest_s = START_S + sum(
        LETTER_S if c.isascii() and (c.isalpha() or c == " ") else OTHER_S for c in piece
    )
    return math.ceil(longest_s * FRAMES_PER_S) + SPARE_STEPS


def shortened(text: str, max_chars: int = 40) -> str:
    """Return the beginning of `text` for a message, on one line."""
    line = " ".join(text[: 4 * max_chars].split())
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"


def _speak(
    model: SpeechModel,
    to_speak: list[str],
    prompt: str,
    seed: int,
    sampling: AudioSampling,
    warn: Callable[[str], None],
) -> Iterator[Samples]:
    num_samples = 0
    for index, piece in enumerate(to_speak):
        num_before = num_samples
        drawn = Sampling(
            audio_temperature=sampling.temperature,
            audio_top_k=sampling.top_k,
            seed=derived_seed(seed, index),
        )
        remedy = "say it in other words" if sampling.is_greedy else "try another --seed"
        for sound in _speak_piece(model, piece, prompt, drawn, remedy, warn):
            if num_samples == num_before > 0:
                yield np.zeros(round(PAUSE_S * SOUND_RATE_HZ), np.float32)
            num_samples += len(sound)
            yield sound
        if num_samples == num_before:
            warn(
                f"the model made no sound of {shortened(piece)!r}; try other words or another --voice"
            )
    if not num_samples:
        raise ModelError(
            f"the model made no sound of any of the {len(to_speak)} pieces of the text: expected audio frames in its "
            "replies; try another --voice, or check the model with 'voiced doctor'"
        )


def _speak_piece(
    model: SpeechModel,
    piece: str,
    prompt: str,
    sampling: Sampling,
    remedy: str,
    warn: Callable[[str], None],
) -> Iterator[Samples]:
    """Yield the sound of a piece; `remedy` is what to do where the model does not find its end."""
    conversation = model.conversation()
    conversation.begin_turn("system")
    conversation.append_text(prompt)
    conversation.end_turn()
    conversation.begin_turn("user")
    conversation.append_text(piece)
    conversation.end_turn()
    conversation.begin_turn("assistant")
    decoder = model.decoder()
    for step in conversation.generate(
        Mode.SEQUENTIAL, max_steps=max_steps(piece), sampling=sampling
    ):
        if isinstance(step, AudioFrame) and step.is_sound:
            sound = decoder.push(step.codes)
        elif isinstance(step, EndOfTurn):
            if step.reason != "end":
                warn(
                    f"the model did not find the end of {shortened(piece)!r} ({step.reason}); {remedy}"
                )
            sound = decoder.flush()
        else:
            continue
        if len(sound):
            yield sound
