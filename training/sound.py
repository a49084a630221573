"""Made sound: questions as people of many voices might say them, replies as voiced-mini says them, and what is neither.

Everything is drawn from the generator that is passed in; the same draws give the same sound.
"""

import io
import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from training.espeak import Espeak
from training.voices import REPLY_SPEAKERS, Speaker

Samples = NDArray[np.float32]

HEARD_HZ, SPOKEN_HZ = 16_000, 24_000
FRAME_SAMPLES = 1920  # The model's 80 ms at 24 kHz.
FADE_SAMPLES = 48
QUIET = 1e-3  # What espeak-ng leaves at the ends of an utterance is below this.
NOISE_S = 60  # Of each kind of noise are made once, and cut from.
# Amplitude falls with frequency to this power.
NOISE_SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
# Without dither, as a file from a speech synthesizer: its silence is exactly zero.
DIGITAL_PART = 0.1
NOISE_PART, ROOM_PART, BAND_PART, HUM_PART, CODEC_PART = 0.6, 0.2, 0.15, 0.05, 0.1
# As telephones, recorders and messengers keep sound, at their strongest compression; 1 to 12 ms for two seconds.
CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "GSM610"), ("WAV", "ULAW"))

# Languages of which training hears something, so that it learns to understand nothing.
FOREIGN = (
    ("de", "guten morgen wie geht es dir heute"),
    ("de", "das wetter ist heute sehr schlecht"),
    ("de", "ich suche den bahnhof und eine karte"),
    ("de", "wir haben gestern lange gearbeitet"),
    ("fr", "bonjour je voudrais un verre d'eau"),
    ("fr", "il fait beau ce matin dans le jardin"),
    ("fr", "nous allons manger chez ma grand mere"),
    ("es", "donde esta la biblioteca por favor"),
    ("es", "mi hermano vive en una casa grande"),
    ("es", "hace mucho calor en el verano"),
    ("it", "buongiorno vorrei un caffe grazie"),
    ("it", "domani partiamo per la montagna"),
    ("nl", "ik heb vandaag geen tijd voor jou"),
    ("nl", "waar is de sleutel van de fiets"),
    ("sv", "jag vill gärna ha en kopp kaffe"),
    ("pt", "o menino perdeu o chapéu na praia"),
    ("de", "mein bruder hat sein fahrrad verkauft"),
    ("de", "bitte geben sie mir noch ein stück brot"),
    ("de", "im winter liegt hier oft schnee"),
    ("de", "warum hast du mich nicht angerufen"),
    ("fr", "mon voisin joue du violon le soir"),
    ("fr", "il n'y a plus de pain à la maison"),
    ("fr", "quand est-ce que tu reviens de paris"),
    ("es", "mañana tengo que trabajar muy temprano"),
    ("es", "los niños juegan en la calle"),
    ("es", "no encuentro mis zapatos nuevos"),
    ("it", "la mia sorella studia medicina a roma"),
    ("it", "quanto costa questo libro rosso"),
    ("it", "non ho ancora letto il giornale"),
    ("nl", "mijn vader werkt in een groot kantoor"),
    ("nl", "morgen gaan wij naar het strand"),
    ("nl", "de hond slaapt onder de tafel"),
    ("sv", "vi åker till havet på sommaren"),
    ("sv", "var ligger närmaste affären"),
    ("pt", "amanhã vou visitar os meus avós"),
    ("pt", "onde fica a estação de comboios"),
    ("pt", "ela comprou um vestido azul"),
    ("da", "min ven bor i en lille by"),
    ("da", "jeg kan ikke finde mine briller"),
    ("nb", "vi skal reise til fjellet i morgen"),
    ("ro", "bunica mea face o prăjitură cu mere"),
    ("ru", "завтра мы едем за город"),
    ("ru", "моя сестра любит читать вечером"),
    ("hr", "sutra idemo na more s prijateljima"),
    ("id", "adik saya suka bermain bola di taman"),
    ("sw", "watoto wanacheza mpira uwanjani leo"),
)


def question_sound(espeak: Espeak, text: str, speaker: Speaker, rng: random.Random) -> Samples:
    """Return `text` as a speaker says it, 16 kHz, without silence at its ends."""
    spoken = espeak.say(
        text,
        speaker.voice,
        rate_wpm=rng.randint(*speaker.rate_wpm),
        pitch=rng.randint(*speaker.pitch),
        pitch_range=rng.randint(30, 70),
    )
    return _resampled(_trimmed(spoken.samples), espeak.rate_hz, HEARD_HZ)


def sentences_sound(
    espeak: Espeak, texts: Sequence[str], speaker: Speaker, rng: random.Random
) -> Samples:
    """Return sentences as a speaker says them one after the other, 16 kHz, with pauses of 0.15 to 0.6 s."""
    pieces = [question_sound(espeak, texts[0], speaker, rng)]
    for text in texts[1:]:
        pieces.append(np.zeros(int(rng.uniform(0.15, 0.6) * HEARD_HZ), np.float32))
        pieces.append(question_sound(espeak, text, speaker, rng))
    return np.concatenate(pieces)


def reply_sound(espeak: Espeak, text: str, voice: str) -> Samples:
    """Return `text` as a reply says it, 24 kHz, every word beginning at a multiple of 1920 samples.

    The same word then gives nearly the same codes wherever it stands, which a small model can learn.
    """
    speaker = REPLY_SPEAKERS[voice]
    spoken = espeak.say(
        text,
        speaker.voice,
        rate_wpm=speaker.rate_wpm[0],
        pitch=speaker.pitch[0],
        pitch_range=speaker.pitch_range,
    )
    samples = _resampled(spoken.samples, espeak.rate_hz, SPOKEN_HZ, quality="HQ")
    starts = [start * SPOKEN_HZ // espeak.rate_hz for start in spoken.word_starts]
    words = []
    for start, end in zip(starts, [*starts[1:], len(samples)], strict=True):
        word = samples[start:end].copy()
        if end == len(samples):
            loud = np.flatnonzero(np.abs(word) > QUIET)
            word = word[: loud[-1] + 1] if len(loud) else word[:1]
        fade = min(FADE_SAMPLES, len(word) // 2)
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        word[:fade] *= ramp
        word[len(word) - fade :] *= ramp[::-1]
        words.append(np.pad(word, (0, -len(word) % FRAME_SAMPLES)))
    return np.concatenate(words) if words else np.zeros(FRAME_SAMPLES, np.float32)


def reply_sound_16k(espeak: Espeak, text: str, voice: str) -> Samples:
    """Return a reply's sound as the model's own ears get it."""
    return _resampled(reply_sound(espeak, text, voice), SPOKEN_HZ, HEARD_HZ)


def augment(
    samples: Samples, rng: random.Random, *, snr_db: float | None = None, roughness: float = 1.0
) -> Samples:
    """Return a sound, 16 kHz, as a microphone in a room might give it.

    Always: silence before and after, gain. Nearly always: dither. Now and then: noise, a room's echo, a narrow band,
    mains hum, a lossy codec.

    Args:
        samples: clean sound.
        rng: what all is drawn from.
        roughness: 0 to 1, how often there is noise, echo and the like; 1 is as often as it comes.
        snr_db: white noise at exactly this ratio to the sound, and nothing else but silence, gain and dither.
    """
    power = float(np.sqrt(np.mean(samples**2))) + 1e-6
    lead = int(rng.uniform(0.05, 0.5) * HEARD_HZ)
    trail = int((0.05 + 1.15 * rng.random() ** 3) * HEARD_HZ)
    heard = np.pad(samples, (lead, trail)).astype(np.float32)
    if snr_db is not None:
        heard += power * 10 ** (-snr_db / 20) * _noise(len(heard), "white", rng)
    else:
        if rng.random() < roughness * ROOM_PART:
            heard = _in_room(heard, rng)
        if rng.random() < roughness * NOISE_PART:
            kind = rng.choice(list(NOISE_SLOPES))
            heard += power * 10 ** (-rng.uniform(5, 30) / 20) * _noise(len(heard), kind, rng)
        if rng.random() < roughness * HUM_PART:
            phases = 2 * np.pi * rng.choice((50, 60)) / HEARD_HZ * np.arange(len(heard))
            heard += (power * rng.uniform(0.05, 0.3) * np.sin(phases)).astype(np.float32)
        if rng.random() < roughness * BAND_PART:
            heard = _narrowed(heard, rng)
    heard *= 10 ** (rng.uniform(-14, 3) / 20)
    if snr_db is None and rng.random() < roughness * CODEC_PART:
        heard = _coded(heard.clip(-1, 1), *rng.choice(CODECS))
    if rng.random() > DIGITAL_PART:
        heard += 10 ** rng.uniform(-4, -3) * _noise(len(heard), "white", rng)
    return heard.clip(-1, 1)


def negative_sound(espeak: Espeak, rng: random.Random) -> Samples:
    """Return a sound, 16 kHz, in which nobody says anything to understand: silence, noise, tones, another language."""
    num = int(rng.uniform(0.6, 3) * HEARD_HZ)
    kind = rng.choice(("silence", "noise", "tones", "foreign", "foreign", "foreign"))
    if kind == "silence":
        return np.zeros(num, np.float32)
    if kind == "noise":
        return rng.uniform(0.01, 0.2) * _noise(num, rng.choice(list(NOISE_SLOPES)), rng)
    if kind == "tones":
        return tones(num, rng)
    voice, text = rng.choice(FOREIGN)
    words = text.split()
    first = rng.randrange(max(1, len(words) - 2))
    return foreign_sound(espeak, " ".join(words[first:]), voice, rng)


def foreign_sound(espeak: Espeak, text: str, voice: str, rng: random.Random) -> Samples:
    """Return `text` as an espeak-ng voice of another language says it."""
    voice += rng.choice(("", "", "+m3", "+f2", "+f4"))
    spoken = espeak.say(text, voice, rate_wpm=rng.randint(135, 190), pitch=rng.randint(30, 70))
    return _resampled(_trimmed(spoken.samples), espeak.rate_hz, HEARD_HZ)


def tones(num: int, rng: random.Random) -> Samples:
    """Return something like music: notes of a few partials, one after the other."""
    notes, left = [], num
    while left > 0:
        length = min(left, int(rng.uniform(0.1, 0.6) * HEARD_HZ))
        time = np.arange(length) / HEARD_HZ
        pitch = 110 * 2 ** (rng.randrange(36) / 12)
        partials = (
            rng.uniform(0.2, 1) / order * np.sin(2 * np.pi * order * pitch * time)
            for order in range(1, rng.randint(2, 6))
        )
        notes.append(sum(partials) * np.exp(-rng.uniform(0, 6) * time))
        left -= length
    return (rng.uniform(0.02, 0.3) * np.concatenate(notes)).astype(np.float32)


def _resampled(samples: Samples, rate_hz: int, to_hz: int, *, quality: str = "LQ") -> Samples:
    resampled: Samples = soxr.resample(samples, rate_hz, to_hz, quality=quality)
    return resampled


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    return samples[max(0, loud[0] - 200) : loud[-1] + 400] if len(loud) else samples


@cache
def _noise_bank(kind: str) -> Samples:
    num = NOISE_S * HEARD_HZ
    white = np.random.default_rng(7).standard_normal(num, dtype=np.float32)
    slope = NOISE_SLOPES[kind]
    if not slope:
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[: num // HEARD_HZ * 20] = 0  # Below 20 Hz nothing is sound.
    shaped: Samples = np.fft.irfft(spectrum, num).astype(np.float32)
    return shaped / np.float32(shaped.std())


def _noise(num: int, kind: str, rng: random.Random) -> Samples:
    """Return noise of unit power, a stretch of what was made once."""
    bank = _noise_bank(kind)
    if num > len(bank):
        return np.resize(bank, num)
    start = rng.randrange(len(bank) - num + 1)
    return bank[start : start + num]


def _in_room(samples: Samples, rng: random.Random) -> Samples:
    """Return the sound with an echo that dies away within a quarter of a second."""
    num = int(rng.uniform(0.05, 0.25) * HEARD_HZ)
    echo = _noise(num, "white", rng) * np.exp(-np.linspace(0, 7, num, dtype=np.float32))
    echo *= rng.uniform(0.05, 0.35) / float(np.sqrt((echo**2).sum()))
    echo[0] += 1
    return _convolved(samples, echo)


def _narrowed(samples: Samples, rng: random.Random) -> Samples:
    """Return the sound without its low and high frequencies, as a telephone or a small microphone gives it."""
    size = 1 << (len(samples) - 1).bit_length()
    spectrum = np.fft.rfft(samples, size)
    low, high = rng.uniform(80, 300), rng.uniform(3000, 7000)
    frequencies = np.fft.rfftfreq(size, 1 / HEARD_HZ)
    spectrum[(frequencies < low) | (frequencies > high)] *= 0.03
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def _coded(samples: Samples, container: str, codec: str) -> Samples:
    """Return the sound encoded and decoded again."""
    strength = {} if container == "WAV" else {"compression_level": 0.9}
    file = io.BytesIO()
    soundfile.write(file, samples, HEARD_HZ, format=container, subtype=codec, **strength)
    file.seek(0)
    decoded = np.zeros(len(samples), np.float32)  # A codec may give some samples more or less.
    found = soundfile.read(file, dtype="float32")[0][: len(samples)]
    decoded[: len(found)] = found
    return decoded


def _convolved(samples: Samples, response: Samples) -> Samples:
    size = 1 << (len(samples) + len(response) - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
