"""Sound to the speaker: a bounded buffer between who makes it and the device that takes it."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from audio.chunk import Samples
from audio.errors import OutputError
from audio.resampling import Resampler

BUFFER_S = 2.0  # When it is full, whoever writes waits.
# Silence after the end: some devices drop what they hold when they are stopped (measured: 33 to 42 ms, PortAudio 19.6
# through ALSA to PulseAudio 16.1, November 2026).
TAIL_S = 0.15
STALL_S = 5.0  # A device that takes nothing for so long is gone.


class PlaybackBuffer:
    """A ring of samples between one writer, who may wait, and one reader, who may not.

    Attributes:
        is_complete: set by the writer when nothing more will come.
        num_missing: samples the reader asked for and did not get, from the first sound until all is written.
    """

    def __init__(self, capacity: int) -> None:
        self._ring = np.zeros(capacity, np.float32)
        self._num_written = 0  # Changed by the writer only.
        self._num_read = 0  # Changed by the reader only.
        self._was_read = threading.Event()
        self.is_complete = False
        self.num_missing = 0

    @property
    def num_held(self) -> int:
        """Samples written and not yet read."""
        return self._num_written - self._num_read

    def push(self, samples: Samples) -> int:
        """Take as many of `samples` as there is room for and return how many; never waits."""
        num_taken = min(len(samples), len(self._ring) - self.num_held)
        first = self._num_written % len(self._ring)
        head = min(num_taken, len(self._ring) - first)
        self._ring[first : first + head] = samples[:head]
        self._ring[: num_taken - head] = samples[head:num_taken]
        self._num_written += num_taken
        return num_taken

    def pull(self, out: Samples) -> None:
        """Fill `out` with the oldest samples, and with silence where there are none; never waits."""
        num_given = min(len(out), self.num_held)
        first = self._num_read % len(self._ring)
        head = min(num_given, len(self._ring) - first)
        out[:head] = self._ring[first : first + head]
        out[head:num_given] = self._ring[: num_given - head]
        out[num_given:] = 0
        if self._num_written and not self.is_complete:
            self.num_missing += len(out) - num_given
        self._num_read += num_given
        self._was_read.set()

    def wait_for_reader(self, timeout_s: float) -> bool:
        """Wait until something was pulled since the last call; False when nothing was within `timeout_s`."""
        was_read = self._was_read.wait(timeout_s)
        self._was_read.clear()
        return was_read


class OutputStream(Protocol):
    """What is needed of an open device; sounddevice's streams have it."""

    samplerate: float

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


Pull = Callable[[Samples], None]
OpenStream = Callable[[int, Pull], OutputStream]


class Speaker:
    """Plays mono sound as it is written; `write` waits while the speaker is more than two seconds behind.

    Left without an error, it plays to the end; left with one, or by Ctrl-C, it falls silent at once.

    Args:
        rate_hz: of what will be written; converted when the device cannot take it.
        open_stream: opens a device that calls the given function for its samples.
        stall_s: how long the device may take nothing before that is an error.

    Raises:
        OutputError: PortAudio or an output device is missing, or the device cannot be opened.
    """

    def __init__(
        self, rate_hz: int, *, open_stream: OpenStream | None = None, stall_s: float = STALL_S
    ) -> None:
        self._buffer = PlaybackBuffer(round(BUFFER_S * rate_hz))
        self._rate_hz = rate_hz
        self._stall_s = stall_s
        self._stream = (open_stream or open_portaudio)(rate_hz, self._buffer.pull)
        self._device_hz = round(self._stream.samplerate)
        self._resampler = Resampler(rate_hz, self._device_hz)
        self._has_started = (
            False  # The device runs from the first sound on, so that no silence is counted before.
        )

    @property
    def missing_s(self) -> float:
        """How long the speaker was silent because the next sound was not there in time."""
        return self._buffer.num_missing / self._device_hz

    def write(self, samples: Samples) -> None:
        """Play `samples` after all that was written before; waits while the buffer is full.

        Raises:
            OutputError: the device stopped taking sound.
        """
        self._put(self._resampler.push(samples))

    def finish(self) -> None:
        """Wait until all has been played.

        Raises:
            OutputError: the device stopped taking sound.
        """
        self._put(self._resampler.flush())
        if self._has_started:
            self._put(np.zeros(round(TAIL_S * self._device_hz), np.float32))
        self._buffer.is_complete = True
        while self._has_started and self._buffer.num_held:
            self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.finish()
                self._stream.stop()
            else:
                self._stream.abort()
        except BaseException:
            self._stream.abort()
            raise
        finally:
            self._stream.close()

    def _put(self, samples: Samples) -> None:
        while len(samples):
            samples = samples[self._buffer.push(samples) :]
            if not self._has_started:
                self._stream.start()
                self._has_started = True
            if len(samples):
                self._wait()

    def _wait(self) -> None:
        if not self._buffer.wait_for_reader(self._stall_s):
            raise OutputError(
                f"the speaker took no sound for {self._stall_s:g} s: was it unplugged? write to a file with -o OUT.wav"
            )


def open_portaudio(rate_hz: int, pull: Pull) -> OutputStream:
    """Return a stopped stream to the default output device, at `rate_hz` or else at the device's own rate.

    Raises:
        OutputError: PortAudio or an output device is missing, or the device cannot be opened.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, the library is not.
        raise OutputError(
            f"cannot play: PortAudio is missing ({error}); install it (Debian: apt install libportaudio2) "
            "or write to a file with -o OUT.wav"
        ) from error

    def fill(out: Any, _num_frames: int, _time: Any, _status: Any) -> None:
        pull(out[:, 0])

    try:
        own_hz = int(sounddevice.query_devices(kind="output")["default_samplerate"])
        for rate in (rate_hz, own_hz):
            try:
                sounddevice.check_output_settings(channels=1, dtype="float32", samplerate=rate)
            except sounddevice.PortAudioError:
                continue
            stream: OutputStream = sounddevice.OutputStream(
                rate, channels=1, dtype="float32", callback=fill
            )
            return stream
        raise OutputError(
            f"cannot play: the speaker takes neither {rate_hz} Hz nor its own {own_hz} Hz in mono; "
            "choose another one in the system's sound settings, or write to a file with -o OUT.wav"
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise OutputError(
            f"cannot play: no speaker can be used here ({error}); plug one in, or write to a file with -o OUT.wav"
        ) from error
