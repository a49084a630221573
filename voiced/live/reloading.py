"""Settings that change while a talk goes on (SIGHUP)."""

from collections.abc import Callable

from audio.duplex import Duplex
from audio.echo import Cleaning
from protocols.events import Event, Noticed
from voiced.configuration import Configuration, Loaded, changed_settings
from voiced.errors import UsageError
from voiced.live.assembly import longest_turn, wants_transcripts
from voiced.live.resting import Rest
from voiced.live.session import LiveSession

AT_ONCE = {
    "engine.unload_after_s",
    "sound.input_device",
    "sound.output_device",
    "sound.headset",
    "sound.noise_suppression",
    "turns.longest_turn_s",
    "reply.preemptive",
    "reply.transcripts",
}  # All others need another model, another conversation or another face.


def cleaning_of(settings: Configuration) -> Cleaning:
    """Return what is done to recorded sound."""
    return Cleaning(echo=not settings.sound.headset, noise=settings.sound.noise_suppression)


class Reloading:
    """Takes over what changed, as far as a talk can, and says what it took and what it could not.

    Args:
        loaded: the settings that are in force.
        load: reads them again; raises UsageError where they are wrong, and then all stay as they are.
        session, devices, rest: are told.
        show: is told as well, for the user.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        *,
        session: LiveSession,
        devices: Duplex,
        rest: Rest,
        show: Callable[[Event], None],
    ) -> None:
        self._loaded = loaded
        self._load = load
        self._session = session
        self._devices = devices
        self._rest = rest
        self._show = show

    def reload(self) -> None:
        """Read the settings again; what waits for the next start is told once."""
        try:
            fresh = self._load()
        except UsageError as error:
            self._say(f"{error}; the settings stay as they were")
            return
        keys = {setting.key for setting in changed_settings(self._loaded, fresh)}
        self._loaded = fresh
        self._take_over(fresh.configuration, keys)
        taken, waiting = sorted(keys & AT_ONCE), sorted(keys - AT_ONCE)
        if taken:
            self._say(f"from now on as set: {', '.join(taken)}")
        if waiting:
            self._say(f"changed, but only from the next start of voiced on: {', '.join(waiting)}")
        if not keys:
            self._say("the settings were read again: none has changed")

    def _take_over(self, settings: Configuration, keys: set[str]) -> None:
        self._session.change(
            longest=longest_turn(settings),
            is_preemptive=settings.reply.preemptive,
            wants_transcripts=wants_transcripts(settings),
        )
        self._rest.after_s = settings.engine.unload_after_s
        if "sound.input_device" in keys:
            self._devices.microphone.choose(settings.sound.input_device)
        if "sound.output_device" in keys:
            self._devices.playout.choose(settings.sound.output_device)
        if keys & {"sound.headset", "sound.noise_suppression"}:
            self._devices.clean(cleaning_of(settings))

    def _say(self, text: str) -> None:
        self._show(Noticed(text=text))
