"""Where a reply ends that was interrupted: which of its steps stay, and which of its words were heard. Pure.

A reply is its steps in order, each with the text that it adds. Steps stay up to the last frame of which half or more was
heard, so that model and listener part by 40 ms at most. Text runs ahead of the sound that says it: six tokens stand before
the twelve frames in which they begin to be spoken. The steps that stay therefore hold more words than were heard. What
was heard of them is an estimate: in proportion to the sound where the whole reply is known, else by an ordinary pace.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from voiced.engine.messages import Step, is_sound
from voiced.speech_model import FRAME_SAMPLES, SOUND_RATE_HZ

# Of a letter, spoken at an ordinary pace; see `voiced/speech.py`.
LETTER_S = 0.065


@dataclass(frozen=True, slots=True)
class MadeStep:
    """A step of a reply and the text that it adds, which is often none."""

    step: Step
    text: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether a decoder makes sound of it."""
        return is_sound(self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reply is cut.

    Attributes:
        num_steps: that stay.
        num_frames: of sound among them.
        kept: their words.
        heard: the words that were heard, estimated.
        is_whole: nothing was cut: the reply had ended, and all of it was heard.
    """

    num_steps: int
    num_frames: int
    kept: str
    heard: str
    is_whole: bool

    @property
    def num_samples(self) -> int:
        """Of sound at 24 kHz that stay."""
        return self.num_frames * FRAME_SAMPLES


def place_of_cut(steps: Sequence[MadeStep], heard_samples: int, *, has_ended: bool) -> Place:
    """Return where a reply is cut of which `heard_samples` at 24 kHz were heard.

    Args:
        steps: made so far.
        heard_samples: more than was made counts as all.
        has_ended: no more steps would have come.
    """
    frames = [index for index, made in enumerate(steps) if made.is_sound]
    num_frames = min((heard_samples + FRAME_SAMPLES // 2) // FRAME_SAMPLES, len(frames))
    # A reply without sound was read, not heard: all of it counts.
    is_whole = has_ended and num_frames == len(frames)
    num_steps = frames[num_frames - 1] + 1 if num_frames else 0
    if is_whole:
        num_steps = len(steps)
    kept = "".join(made.text for made in steps[:num_steps])
    whole = "".join(made.text for made in steps) if has_ended else None
    return Place(
        num_steps=num_steps,
        num_frames=num_frames,
        kept=kept,
        heard=kept if is_whole else _heard_words(kept, whole, num_frames, len(frames)),
        is_whole=is_whole,
    )


def _heard_words(kept: str, whole: str | None, num_frames: int, num_made: int) -> str:
    """Return the words at the beginning of `kept` that so many of `num_made` frames say."""
    if whole is not None and num_made:
        num_chars = len(whole) * num_frames / num_made
    else:
        num_chars = num_frames * FRAME_SAMPLES / SOUND_RATE_HZ / LETTER_S
    return _whole_words(kept, round(num_chars))


def _whole_words(text: str, num_chars: int) -> str:
    """Return the words of `text` of which more than half lies before `num_chars`."""
    if num_chars >= len(text):
        return text
    end = 0
    begin = 0
    for word in text.split(" "):
        if 2 * num_chars <= 2 * begin + len(word):
            break
        end = begin + len(word)
        begin = end + 1
    return text[:end]
