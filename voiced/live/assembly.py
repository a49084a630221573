"""Puts a live talk together from the settings."""

from collections.abc import Callable

from models.vad import VoiceDetector
from protocols.events import Event
from voiced.configuration import Configuration
from voiced.listening import Listener
from voiced.live.conductor import Conductor
from voiced.live.session import Engine, LiveSession, Speaker
from voiced.turns import SHORTEST_LONGEST_TURN, Opener, TurnMachine
from voiced.voice_activity import RATE_HZ, WINDOW_SAMPLES


def live_session(
    settings: Configuration,
    *,
    engine: Engine,
    speaker: Speaker,
    show: Callable[[Event], None],
    now_s: Callable[[], float] | None = None,
) -> LiveSession:
    """Return a talk that has not begun; see `LiveSession`."""
    opener: Opener = "key" if settings.turns.push_to_talk else "voice"
    machine = TurnMachine(longest=longest_turn(settings), opener=opener)
    writes = wants_transcripts(settings)
    return LiveSession(
        engine=engine,
        speaker=speaker,
        machine=machine,
        listener=Listener(VoiceDetector(), machine),
        conductor=Conductor(is_preemptive=settings.reply.preemptive, wants_transcripts=writes),
        show=show,
        wants_interim=writes,
        now_s=now_s,
    )


def longest_turn(settings: Configuration) -> int:
    """Return the longest turn in samples, whole windows of the voice detector where that is not too short."""
    samples = round(settings.turns.longest_turn_s * RATE_HZ)
    return max(SHORTEST_LONGEST_TURN, samples // WINDOW_SAMPLES * WINDOW_SAMPLES)


def wants_transcripts(settings: Configuration) -> bool:
    """Return whether what the user says is written down."""
    return settings.reply.transcripts != "off"
