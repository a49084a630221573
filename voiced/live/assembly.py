"""Puts a live talk together from the settings."""

from collections.abc import Callable

from models.vad import VoiceDetector
from protocols.events import Event, Noticed
from voiced.configuration import NO_WAKE_WORD, Configuration, TurnSettings
from voiced.errors import UsageError
from voiced.listening import Listener, WakeDetector
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
    """Return a talk that has not begun; see `LiveSession`.

    Raises:
        UsageError: a wake word is asked for, and nothing is there that hears it.
    """
    turns = settings.turns
    machine = TurnMachine(longest=longest_turn(settings), opener=_opener(turns))
    wake = wake_detector(turns.wake_word)
    if wake is not None:
        show(Noticed(text=f"asleep until you say '{turns.wake_word}'"))
    writes = wants_transcripts(settings)
    return LiveSession(
        engine=engine,
        speaker=speaker,
        machine=machine,
        listener=Listener(VoiceDetector(), machine, wake),
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


def wake_detector(word: str) -> WakeDetector | None:
    """Return what hears this wake word; None where none is asked for.

    Raises:
        UsageError: the package that does is not installed.
        CheckpointError: it is of no use.
    """
    if word == NO_WAKE_WORD:
        return None
    try:
        from models.wake_word import WakeWordDetector
    except ImportError as error:
        raise UsageError(
            f"nothing hears the wake word '{word}' ({error}): "
            f"install it with 'pip install voiced[wake]', or set turns.wake_word to '{NO_WAKE_WORD}'"
        ) from error
    return WakeWordDetector(word)


def _opener(turns: TurnSettings) -> Opener:
    if turns.wake_word != NO_WAKE_WORD:
        return "wake word"
    return "key" if turns.push_to_talk else "voice"
