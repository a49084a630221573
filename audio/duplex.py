"""Hearing while speaking: microphone, speaker and echo canceller as one."""

from collections.abc import Callable

from audio.capture import RATE_HZ, Microphone
from audio.chunk import AudioChunk
from audio.echo import Cleaning, EchoCanceller
from audio.events import DeviceOpened, SoundEvent
from audio.playout import Playout


class Duplex:
    """What a person says to the assistant, without what the assistant says.

    Args:
        microphone: not shared with anybody.
        playout: as well.
        cleaning: what is done to the recorded sound; `HEADSET` where the microphone cannot hear the speaker.
        on_played: is given what was played while each chunk was recorded, at the same positions.
    """

    def __init__(
        self,
        microphone: Microphone,
        playout: Playout,
        *,
        cleaning: Cleaning | None = None,
        on_played: Callable[[AudioChunk], None] = lambda _: None,
    ) -> None:
        self.microphone = microphone
        self.playout = playout
        self._cleaning = cleaning or Cleaning()
        self._on_played = on_played
        self._canceller = EchoCanceller(RATE_HZ, cleaning=self._cleaning)

    @property
    def echo_delay_s(self) -> float | None:
        """How long the echo takes from the callback to the recording; None while none was found."""
        return self._canceller.delay.delay_s

    def open(self) -> None:
        """Open both devices; the speaker too stays open, because some need a second to begin."""
        self.microphone.open()
        self.playout.open()

    def clean(self, cleaning: Cleaning) -> None:
        """Do this to what is recorded from now on."""
        self._cleaning = cleaning
        self._begin_anew()

    def open_microphone(self) -> None:
        """Record again after `close_microphone`."""
        self.microphone.open()

    def close_microphone(self) -> None:
        """Mute: record nothing and give the microphone back; the speaker goes on."""
        self.microphone.close()

    def close(self) -> None:
        """Give both devices back; `poll` tells when."""
        self.microphone.close()
        self.playout.close()

    def poll(self) -> tuple[list[AudioChunk], list[SoundEvent]]:
        """Return what was recorded since the last call, cleaned, and what happened; never waits.

        To be called at least every 0.1 s. Takes 0.15 ms for each 10 ms of sound.
        """
        events = self.playout.poll()
        chunks, recorded_events = self.microphone.poll()
        events += recorded_events
        cleaned = [self._clean(chunk) for chunk in chunks]
        if any(isinstance(event, DeviceOpened) for event in events):
            self._begin_anew()
        return [chunk for chunk in cleaned if chunk is not None], events

    def _clean(self, chunk: AudioChunk) -> AudioChunk | None:
        played = self.playout.reference(chunk, self.microphone.clock)
        self._on_played(AudioChunk(played, chunk.rate_hz, chunk.start))
        return self._canceller.push(chunk, played)

    def _begin_anew(self) -> None:
        """Forget the echo of the devices before: another one sounds otherwise and takes another time."""
        delay_s = self.microphone.latency_s + self.playout.latency_s
        self._canceller = EchoCanceller(RATE_HZ, cleaning=self._cleaning, expected_delay_s=delay_s)
