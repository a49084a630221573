"""What voiced-mini is examined on: sentences, dialogues and sounds that training never drew, from fixed seeds.

Asked for more of a kind, each function gives the same ones first.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from training.espeak import Espeak
from training.sound import (
    HEARD_HZ,
    NOISE_SLOPES,
    SPOKEN_HZ,
    augment,
    foreign_sound,
    question_sound,
    reply_sound,
    tones,
)
from training.voices import Speaker
from training.world import Exchange, World

Samples = NDArray[np.float32]

# Weights are chosen by another seed's sentences than those that they are measured on for the card.
SEED, CHOOSING_SEED = 4, 3
CLEAN_DB = 60.0  # Signal to noise of what counts as a quiet room.
NUM_TURNS = (2, 3)
PHRASES = 3  # Of each intent whose phrases are too few to be held out.
SUM_FORMS = ("what is {} plus {}", "how much is {} plus {}", "{} plus {} please")
DRAWS = 3000  # In which every intent that has held-out questions occurs.
DITHER = 1e-3
PADDING_S = 0.15  # Of a nearly silent room, before and after a reply that is heard back.

# Sentences of languages of which training heard others, and of languages of which it heard nothing.
OTHER_SENTENCES = (
    ("de", "der zug kommt erst am abend an"),
    ("de", "meine tante backt einen kuchen mit kirschen"),
    ("fr", "le train arrive toujours en retard"),
    ("fr", "elle cherche ses clefs depuis ce matin"),
    ("es", "mañana vamos a la playa con los niños"),
    ("es", "el perro duerme debajo de la mesa"),
    ("it", "il treno parte tra pochi minuti"),
    ("nl", "de kinderen spelen buiten in de regen"),
    ("sv", "barnen leker ute i snön hela dagen"),
    ("pt", "a minha irmã gosta de ler à noite"),
)
UNHEARD_LANGUAGES = (
    ("pl", "jutro pojedziemy nad morze z rodziną"),
    ("pl", "nie mam dzisiaj czasu na spacer"),
    ("fi", "huomenna menemme metsään kävelemään"),
    ("fi", "missä minun avaimeni ovat"),
    ("tr", "yarın sabah erken kalkmam lazım"),
    ("tr", "bu kitabı çok beğendim"),
    ("hu", "holnap reggel korán indul a vonat"),
    ("cs", "zítra ráno musím brzy vstávat"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """An exchange of the world, its question spoken.

    Attributes:
        exchange: the question, and what is right to answer.
        sound: of the question, 16 kHz.
        voice: of espeak-ng.
    """

    exchange: Exchange
    sound: Samples
    voice: str


@dataclass(frozen=True, slots=True, eq=False)
class Negative:
    """A sound, 16 kHz, in which nothing is said that the world knows.

    Attributes:
        kind: "silence", "noise", "tones", "foreign" or "unheard language".
        about: which.
    """

    kind: str
    about: str
    sound: Samples


class Exam:
    """Draws what is asked from a seed; the one espeak-ng of the process speaks it."""

    def __init__(self, seed: int = SEED) -> None:
        self.world, self.espeak, self.seed = World.load(), Espeak(), seed

    def sentences(self, num: int, name: str) -> list[Exchange]:
        """Return `num` different exchanges whose questions are held out; `name` draws others."""
        rng = self._rng(f"sentences/{name}")
        drawn: dict[str, Exchange] = {}
        while len(drawn) < num:
            exchange = self.world.draw(rng, held_out=True)
            drawn.setdefault(exchange.question, exchange)
        return list(drawn.values())

    def questions(
        self, num: int, name: str, speakers: Sequence[Speaker], *, snr_db: float = CLEAN_DB
    ) -> Iterator[Spoken]:
        """Yield `num` held-out questions, spoken by `speakers` in turn, with white noise at `snr_db`."""
        rng = self._rng(f"sounds/{name}")
        for index, exchange in enumerate(self.sentences(num, name)):
            yield self._speak(exchange, speakers[index % len(speakers)], rng, snr_db)

    def phrases(self, speakers: Sequence[Speaker]) -> Iterator[Spoken]:
        """Yield questions of those intents of which none is held out, such as greetings; training may have heard them."""
        rng = self._rng("phrases")
        held_out = {self.world.draw(rng, held_out=True).intent for _ in range(DRAWS)}
        wanted = {one.name: PHRASES for one in self.world.intents if one.name not in held_out}
        index = 0
        while any(wanted.values()):
            exchange = self.world.draw(rng)
            if wanted.get(exchange.intent):
                wanted[exchange.intent] -= 1
                yield self._speak(exchange, speakers[index % len(speakers)], rng, CLEAN_DB)
                index += 1

    def sums(self, speakers: Sequence[Speaker]) -> Iterator[Spoken]:
        """Yield every sum of the world once; training may have heard its question."""
        rng = self._rng("sums")
        slots = self.world.grammar.slots
        pairs = itertools.product(slots["number"], slots["step"])
        questions = (rng.choice(SUM_FORMS).format(*pair) for pair in pairs)
        exchanges = [found for asked in questions if (found := self.world.answer(asked))]
        for index, exchange in enumerate(exchanges):
            yield self._speak(exchange, speakers[index % len(speakers)], rng, CLEAN_DB)

    def dialogues(self, num_follow_ups: int, speakers: Sequence[Speaker]) -> Iterator[list[Spoken]]:
        """Yield dialogues of two or three turns, the last a follow-up, until that many follow-ups were in them."""
        rng, num, index = self._rng("dialogues"), 0, 0
        while num < num_follow_ups:
            dialogue = self.world.draw_dialogue(
                rng, NUM_TURNS[index % len(NUM_TURNS)], held_out=True
            )
            while dialogue and not dialogue[-1].is_follow_up:
                dialogue.pop()
            if dialogue:
                num += sum(exchange.is_follow_up for exchange in dialogue)
                speaker = speakers[index % len(speakers)]
                yield [self._speak(exchange, speaker, rng, CLEAN_DB) for exchange in dialogue]
                index += 1

    def negatives(self, num: int) -> Iterator[Negative]:
        """Yield `num` sounds that ask nothing, of each kind about as many."""
        rng = self._rng("negatives")
        kinds = ("silence", "noise", "tones", "foreign", "unheard language")
        for index in range(num):
            kind = kinds[index % len(kinds)]
            about, sound = self._negative(kind, rng)
            yield Negative(kind, about, sound)

    def reply_sound(self, text: str, voice: str) -> Samples:
        """Return what espeak-ng itself makes of a text to speak, 24 kHz: the best that the model could do."""
        return reply_sound(self.espeak, text, voice)

    def _rng(self, name: str) -> random.Random:
        return random.Random(f"exam/{self.seed}/{name}")

    def _speak(
        self, exchange: Exchange, speaker: Speaker, rng: random.Random, snr_db: float
    ) -> Spoken:
        sound = question_sound(self.espeak, exchange.question, speaker, rng)
        return Spoken(exchange, augment(sound, rng, snr_db=snr_db), speaker.voice)

    def _negative(self, kind: str, rng: random.Random) -> tuple[str, Samples]:
        num = int(rng.uniform(0.6, 3) * HEARD_HZ)
        match kind:
            case "silence":
                return "silence", augment(np.zeros(num, np.float32), rng, snr_db=CLEAN_DB)
            case "noise":
                slope, level = rng.choice(list(NOISE_SLOPES)), 10 ** rng.uniform(-2, -0.5)
                return f"{slope} noise", _noise(num, slope, level, rng)
            case "tones":
                return "tones", augment(tones(num, rng), rng, snr_db=30)
            case _:
                sentences = OTHER_SENTENCES if kind == "foreign" else UNHEARD_LANGUAGES
                language, text = rng.choice(sentences)
                sound = foreign_sound(self.espeak, text, language, rng)
                return f"{language}: {text}", augment(sound, rng, snr_db=CLEAN_DB)


def as_heard_back(sound: Samples) -> Samples:
    """Return a reply, 24 kHz, as a recogniser gets it: 16 kHz, a nearly silent room around it.

    The dither is needed: pocketsphinx hears a quarter of the words wrong in sound with digital silence.
    """
    resampled: Samples = soxr.resample(sound, SPOKEN_HZ, HEARD_HZ)
    padded = np.pad(resampled, round(PADDING_S * HEARD_HZ))
    dither = np.random.default_rng(SEED).normal(0, DITHER, len(padded))
    return (padded + dither).clip(-1, 1).astype(np.float32)


def _noise(num: int, slope: str, level: float, rng: random.Random) -> Samples:
    """Return noise of its own, not cut from what training cuts from, of power `level` squared."""
    generator = np.random.default_rng(rng.getrandbits(32))
    spectrum = np.fft.rfft(generator.standard_normal(num))
    frequencies = np.fft.rfftfreq(num, 1 / HEARD_HZ)
    spectrum *= np.maximum(frequencies, 20) ** -NOISE_SLOPES[slope]
    noise = np.fft.irfft(spectrum, num)
    return (level * noise / noise.std()).clip(-1, 1).astype(np.float32)
