"""The published models that voiced knows by a short name."""

from dataclasses import dataclass

STAND_IN = "random"
MINI = "voiced-mini"  # The demonstration model; comes with voiced.


@dataclass(frozen=True, slots=True)
class Published:
    """A model on the hub: `alias` is what a user types, `repository` where its authors keep it."""

    alias: str
    repository: str
    says: str


# The first is the default; the others stand in for it, in this order, when they are installed and it is not.
PUBLISHED = (
    Published("lfm2.5-audio", "LiquidAI/LFM2.5-Audio-1.5B", "English, the default"),
    Published("lfm2-audio", "LiquidAI/LFM2-Audio-1.5B", "English, the version before"),
    Published("lfm2.5-audio-jp", "LiquidAI/LFM2.5-Audio-1.5B-JP", "Japanese"),
)
DEFAULT = PUBLISHED[0]


def find_published(name: str) -> Published | None:
    """Return the model with this alias or repository, whatever the case of its letters."""
    for model in PUBLISHED:
        if name.lower() in (model.alias, model.repository.lower()):
            return model
    return None
