"""The demonstration model that comes with voiced, and what is particular about a model of its kind.

A folder with a `demonstration.json` holds a small model that was trained for a small world: it has few voices, may know
only the words of its vocabulary, and may need other sampling than the published models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.errors import CheckpointError, UsageError
from voiced.published import DEFAULT
from voiced.segments import LEAST_LONGEST_S, MOST_LONGEST_S, Limits
from voiced.sentences import MAX_CHARS, MIN_CHARS
from voiced.speech_model import REPLY_SAMPLING, SPEECH_SAMPLING, AudioSampling
from voiced.voices import VOICES, voice_prompt

if TYPE_CHECKING:
    from models.lfm2_audio.tokenizer import TextTokenizer

FILE = "demonstration.json"
MINI_FOLDER = Path(__file__).parent / "mini"  # The weights that come with voiced.
WORLD = "docs/voiced-mini.md"  # Of the source: what the model that comes with voiced understands.
FULL_MODEL = f"{DEFAULT.repository} (3.3 GB) with 'voiced pull'"
MAX_WORDS_TOLD = 8
LEAST_TALK_POSITIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What `demonstration.json` says of a model.

    Attributes:
        name: what messages call it.
        voices: those of `VOICES` that it can speak with; the first is used where none is asked for.
        closed_vocabulary: whether it knows no words but those that are tokens of their own.
        prompt_words: tokens of their own that stand in system prompts alone, so that it cannot say them.
        reply: how the sound of a conversation is drawn.
        speech: how the sound of text to speak is drawn.
        max_piece_chars: of text to speak, at once.
        min_piece_chars: a shorter sentence is spoken together with the next one.
        longest_piece_s: of a recording to transcribe, at once, where it was trained on single sentences; None: as the
            published models have it.
        talk_positions: that a talk keeps to, where it was trained on short ones; None: as the published models have it.
    """

    name: str
    voices: tuple[str, ...] = tuple(VOICES)
    closed_vocabulary: bool = False
    prompt_words: tuple[str, ...] = ()
    reply: AudioSampling = REPLY_SAMPLING
    speech: AudioSampling = SPEECH_SAMPLING
    max_piece_chars: int = MAX_CHARS
    min_piece_chars: int = MIN_CHARS
    longest_piece_s: float | None = None
    talk_positions: int | None = None

    @property
    def limits(self) -> Limits:
        """How long the pieces of a recording to transcribe become."""
        return (
            Limits() if self.longest_piece_s is None else Limits.of_sentences(self.longest_piece_s)
        )

    def check_voice(self, voice: str) -> None:
        """Raise UsageError unless the model can speak with `voice`."""
        voice_prompt(voice)
        if voice not in self.voices:
            raise UsageError(
                f"voice {voice!r}: the demonstration model {self.name} has only {' and '.join(self.voices)}; "
                f"take one of them, or fetch {FULL_MODEL}"
            )

    def check_words(self, tokenizer: "TextTokenizer", text: str) -> None:
        """Raise UsageError if `text` has words that a model with a closed vocabulary does not know."""
        unknown = (
            tokenizer.find_unknown_words(text, unspoken=self.prompt_words)
            if self.closed_vocabulary
            else []
        )
        if unknown:
            told = ", ".join(repr(_shortened(word)) for word in unknown[:MAX_WORDS_TOLD])
            more = len(unknown) - MAX_WORDS_TOLD
            told += f" and {more} more" if more > 0 else ""
            raise UsageError(
                f"the demonstration model {self.name} does not know {told}: expected words of its small world, which "
                f"{WORLD} lists; say it in those, or fetch {FULL_MODEL}"
            )

    def check_instructions(self, instructions: str) -> None:
        """Raise UsageError if there are any: a model of a small world was trained with its own system prompt alone."""
        if instructions:
            raise UsageError(
                f"--system: the demonstration model {self.name} follows no instructions; leave it out, or fetch {FULL_MODEL}"
            )


def read_demonstration(folder: Path) -> Demonstration | None:
    """Return what `demonstration.json` of a model folder says; None where there is none, as with published models.

    Raises:
        CheckpointError: it is damaged, or says something that cannot be.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    from models.config import parse_section
    from models.folder import read_json

    demonstration: Demonstration = parse_section(
        Demonstration,
        read_json(path),
        str(path),
        sections={
            "name": _name,
            "voices": _voices,
            "prompt_words": _words,
            "longest_piece_s": _longest_piece_s,
            "talk_positions": _talk_positions,
            "reply": _sampling,
            "speech": _sampling,
        },
    )
    if demonstration.min_piece_chars > demonstration.max_piece_chars:
        raise CheckpointError(
            f"{path}: min_piece_chars is {demonstration.min_piece_chars}: "
            f"expected at most max_piece_chars, {demonstration.max_piece_chars}"
        )
    return demonstration


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise CheckpointError(f"{where} is {value!r}: expected a name")
    return value


def _voices(value: Any, where: str) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not value
        or any(voice not in tuple(VOICES) for voice in value)
    ):
        raise CheckpointError(
            f"{where} is {value!r}: expected a list of one or more of {', '.join(VOICES)}"
        )
    return tuple(value)


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise CheckpointError(f"{where} is {value!r}: expected a list of words")
    return tuple(value)


def _longest_piece_s(value: Any, where: str) -> float:
    from models.config import check_value

    longest_s: float = check_value(value, float, where)
    if not LEAST_LONGEST_S <= longest_s <= MOST_LONGEST_S:
        raise CheckpointError(
            f"{where} is {value!r}: expected {LEAST_LONGEST_S} to {MOST_LONGEST_S} seconds"
        )
    return longest_s


def _talk_positions(value: Any, where: str) -> int:
    from models.config import check_value

    positions: int = check_value(value, int, where)
    if positions < LEAST_TALK_POSITIONS:
        raise CheckpointError(
            f"{where} is {value!r}: expected at least {LEAST_TALK_POSITIONS}, room for a turn or two"
        )
    return positions


def _sampling(value: Mapping[str, Any], where: str) -> AudioSampling:
    from models.config import parse_section

    sampling: AudioSampling = parse_section(AudioSampling, value, where)
    if sampling.temperature < 0:
        raise CheckpointError(
            f"{where}: temperature is {sampling.temperature}: expected 0, the likeliest, or a number above it"
        )
    return sampling


def _shortened(word: str, most: int = 30) -> str:
    return word if len(word) <= most else f"{word[:most]}…"
