"""Puts a live talk together from the settings."""

from collections.abc import Callable

from models.vad import VoiceDetector
from protocols.events import Event
from voiced.configuration import Configuration
from voiced.listening import Listener
from voiced.live.conductor import Conductor
from voiced.live.session import Engine, LiveSession, Speaker
from voiced.turns import TurnMachine
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
    longest = round(settings.turns.longest_turn_s * RATE_HZ) // WINDOW_SAMPLES * WINDOW_SAMPLES
    machine = TurnMachine(longest=longest, hands_free=not settings.turns.push_to_talk)
    transcripts = settings.reply.transcripts
    return LiveSession(
        engine=engine,
        speaker=speaker,
        machine=machine,
        listener=Listener(VoiceDetector(), machine),
        conductor=Conductor(
            is_preemptive=settings.reply.preemptive, wants_transcripts=transcripts != "off"
        ),
        show=show,
        wants_interim=transcripts != "off",
        now_s=now_s,
    )
