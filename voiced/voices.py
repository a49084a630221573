"""The voices that a speech model was trained to speak with."""

import difflib
from typing import Final

from voiced.errors import UsageError

# The prompts are part of the model. Source: model card of LiquidAI/LFM2-Audio-1.5B.
VOICES: Final = {
    "us_male": "Perform TTS. Use the US male voice.",
    "us_female": "Perform TTS. Use the US female voice.",
    "uk_male": "Perform TTS. Use the UK male voice.",
    "uk_female": "Perform TTS. Use the UK female voice.",
}
DEFAULT_VOICE: Final = "us_male"


def voice_prompt(voice: str) -> str:
    """Return the system prompt that makes a model speak with `voice`.

    Raises:
        UsageError: there is no such voice; names those there are and suggests the nearest.
    """
    if voice in VOICES:
        return VOICES[voice]
    spelled = voice.strip().lower().replace("-", "_").replace(" ", "_")
    nearest = difflib.get_close_matches(spelled, VOICES, n=1, cutoff=0.5)
    suggestion = f"; did you mean {nearest[0]}?" if nearest else ""
    raise UsageError(f"unknown voice {voice!r}: expected one of {', '.join(VOICES)}{suggestion}")
