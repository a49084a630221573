"""Who speaks: the voices that training hears, those that it never hears, and the two that voiced-mini speaks with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of espeak-ng and how it may be set.

    Attributes:
        voice: espeak-ng's name of it, accent and variant.
        rate_wpm: words a minute, least and most.
        pitch: 0 to 100, least and most.
        pitch_range: 0 to 100; used where a speaker always speaks alike.
    """

    voice: str
    rate_wpm: tuple[int, int] = (135, 195)
    pitch: tuple[int, int] = (30, 70)
    pitch_range: int = 50


TRAINING_SPEAKERS = tuple(
    map(
        Speaker,
        (
            "en-us",
            "en-us+m2",
            "en-us+m3",
            "en-us+m5",
            "en-us+f1",
            "en-us+f2",
            "en-us+f4",
            "en",
            "en+m1",
            "en+m4",
            "en+f2",
            "en+f3",
            "en-gb-scotland",
            "en-gb-x-rp",
            "en-gb-x-rp+f2",
            "en-029",
            "en-us-nyc",
        ),
    )
)
# Variants, and pairs of accent and variant, of which training hears nothing.
HELD_OUT_SPEAKERS = tuple(
    map(Speaker, ("en-us+m7", "en+f5", "en-gb-x-gbclan", "en-gb-scotland+f2"))
)
REPLY_SPEAKERS = {
    "us_male": Speaker("en-us", rate_wpm=(175, 175), pitch=(40, 40), pitch_range=25),
    "uk_female": Speaker("en+f2", rate_wpm=(175, 175), pitch=(55, 55), pitch_range=25),
}
REPLY_VOICE = "us_male"  # Of replies in conversation.
