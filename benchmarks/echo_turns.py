"""Replies that come back into the microphone: does the assistant interrupt itself, and does it hear who speaks over it.

Run: python -m benchmarks.echo_turns --count 100
"""

import argparse
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.chunk import AudioChunk, Samples
from audio.echo import EchoCanceller
from audio.reading import open_audio
from benchmarks.room import BLOCK, NOISE_DB, RATE_HZ, Room
from models.vad import VoiceDetector
from tests.speech import say
from voiced.listening import Listener
from voiced.turns import BargedIn, SpeechEvent, TurnMachine

VOICES = ("en-us", "en-gb", "en-us+f2", "en-gb+m3", "en-us+f4")
QUESTIONS = ("what is the weather like today", "tell me something about the house")
REPLIES = (
    "It is fairly warm outside, and there is a little wind from the west. In the evening it may rain, so take a coat.",
    "The house was built a long time ago by a family of farmers. It has seven rooms, two of them under the roof.",
    "There are nine planets, if you count the small one. The largest is so big that all others would fit into it.",
    "First you boil the water, then you add some salt. After ten minutes you take the pot off the stove and wait.",
)
INTERRUPTIONS = (
    "stop it please, that is enough",
    "wait a moment, I meant tomorrow",
    "no, turn on the light",
)
LEVEL = 0.1  # Root mean square of who speaks and of what is played.
SETTLE_S = 1.2
GAP_S = 1.5  # From the question's end to the reply.
LEAST_LEAD_S = 1.0  # Of the reply, before somebody speaks over it.
DELAYS_MS = (40.0, 250.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one reply.

    Attributes:
        delay_ms: of its echo.
        interrupted_s: when it was interrupted, in seconds after the person began to speak, or after the reply began where
            nobody did; None: never.
    """

    delay_ms: float
    interrupted_s: float | None


def trial(sounds: "Sounds", rng: random.Random, *, somebody_speaks: bool) -> Outcome:
    """Play one reply into the microphone, after a question, in a room of its own with a canceller that knows nothing yet."""
    question, reply = sounds.draw(QUESTIONS, rng), sounds.draw(REPLIES, rng)
    delay_ms = rng.uniform(*DELAYS_MS)
    begin = round((SETTLE_S + GAP_S) * RATE_HZ) + len(question)
    total = begin + len(reply) + RATE_HZ
    played, near = np.zeros(total, np.float32), np.zeros(total, np.float32)
    played[begin : begin + len(reply)] = reply
    asked = round(SETTLE_S * RATE_HZ)
    near[asked : asked + len(question)] = question
    spoken = begin
    if somebody_speaks:
        person = sounds.draw(INTERRUPTIONS, rng)
        latest = len(reply) - len(person)
        spoken = begin + rng.randrange(round(LEAST_LEAD_S * RATE_HZ), latest)
        near[spoken : spoken + len(person)] += person
    room = Room(delay_ms, seed=rng.getrandbits(30))
    noise = np.random.default_rng(rng.getrandbits(30)).standard_normal(total)
    recorded = near + room.echo_of(played) + (10 ** (NOISE_DB / 20) * noise).astype(np.float32)
    position = _interrupted_at(recorded, played, begin, begin + len(reply))
    return Outcome(delay_ms, None if position is None else (position - spoken) / RATE_HZ)


def _interrupted_at(recorded: Samples, played: Samples, begin: int, end: int) -> int | None:
    """Return the sample at which the turn machine decides that the reply is interrupted."""
    machine = TurnMachine()
    listener = Listener(VoiceDetector(), machine)
    canceller = EchoCanceller(RATE_HZ)
    has_begun = False
    for start in range(0, len(recorded), BLOCK):
        chunk = AudioChunk(recorded[start : start + BLOCK], RATE_HZ, start)
        cleaned = canceller.push(chunk, played[start : start + BLOCK])
        events: list[SpeechEvent] = [] if cleaned is None else listener.push(cleaned)
        if start >= begin and not has_begun:
            has_begun = True
            events += machine.reply_started(listener.position)
        if start >= end:
            return None
        for event in events:
            if isinstance(event, BargedIn):
                return event.decided
    return None


class Sounds:
    """Speech by several voices, each sentence made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, str], Samples] = {}

    def draw(self, texts: tuple[str, ...], rng: random.Random) -> Samples:
        """Return one of `texts` by one of the voices, at the usual level, 16 kHz."""
        key = rng.choice(texts), rng.choice(VOICES)
        if key not in self._made:
            path = say(key[0], self._folder / "said.wav", voice=key[1])
            with open_audio(path, rate_hz=RATE_HZ) as reader:
                sound = np.concatenate([chunk.samples for chunk in reader])
            loud = np.abs(sound) > 0.01
            sound *= LEVEL / float(np.sqrt(np.mean(sound[loud] ** 2)))
            self._made[key] = sound.clip(-1, 1).astype(np.float32)
        return self._made[key]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.echo_turns", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="replies (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sounds = Sounds(Path(folder))
        for somebody_speaks in (False, True):
            rng = random.Random(1)
            outcomes = [
                trial(sounds, rng, somebody_speaks=somebody_speaks) for _ in range(args.count)
            ]
            times = sorted(o.interrupted_s for o in outcomes if o.interrupted_s is not None)
            what = "somebody speaks over it" if somebody_speaks else "nobody speaks"
            shown = ", ".join(f"{time_s:.2f}" for time_s in times[:: max(1, len(times) // 10)])
            print(f"{what}: {len(times)} of {args.count} replies interrupted; after s: {shown}")


if __name__ == "__main__":
    main()
