"""Sound devices through PortAudio, as the package sounddevice binds it.

PortAudio reads the list of devices once, when it is initialised: what is plugged in later is seen only after it was
ended and initialised again, which ends every open stream. To look without that harm, a short-lived process of its own is asked.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from audio.devices import Device, DeviceStream, Direction, OnBlock
from audio.errors import DeviceError

BLOCK_S = 0.01  # What one callback takes or gives: the frame of the echo canceller.
# What the device may hold. Less made a virtual device of PulseAudio stop calling back (PortAudio 19.6 through ALSA to
# PulseAudio 16.1, November 2026).
LATENCY_S = 0.06
Lock = AbstractContextManager[bool]
LOOK_TIMEOUT_S = 10.0
USUAL_RATES_HZ = (48_000, 44_100, 16_000, 8_000)

_LOOK = """
import json, sounddevice
print(json.dumps([list(sounddevice.query_devices()), list(sounddevice.query_hostapis()), list(sounddevice.default.device)]))
"""


class PortAudioStream:
    """One open stream in one direction; never a duplex stream, which on ALSA does not outlive its first overrun."""

    def __init__(
        self, lock: Lock, kind: Any, num_channels: int, on_block: OnBlock, **settings: Any
    ) -> None:
        def call_back(block: Any, _num_frames: int, _time: Any, status: Any) -> None:
            self.num_xruns += bool(status)
            on_block(block)

        self.num_xruns = 0
        stream = kind(channels=num_channels, dtype="float32", callback=call_back, **settings)
        self.rate_hz = round(stream.samplerate)
        self.num_channels = num_channels
        self.latency_s = float(stream.latency)
        self._lock = lock
        self._stream: Any = stream  # None once closed.

    @property
    def is_active(self) -> bool:
        stream = self._stream
        return stream is not None and bool(stream.active)

    def start(self) -> None:
        import sounddevice

        try:
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise DeviceError(
                f"cannot start the sound device ({error}): another program may be using it; close that one, or choose another device"
            ) from error

    def close(self) -> None:
        with self._lock:
            stream, self._stream = self._stream, None
            if stream is not None:
                stream.close(ignore_errors=True)  # Drops what the device still holds.


class PortAudioCard:
    """All devices of PortAudio; one lock, because PortAudio allows one call at a time.

    Raises:
        DeviceError: PortAudio is missing.
    """

    def __init__(self) -> None:
        try:
            import sounddevice
        except (
            ImportError,
            OSError,
        ) as error:  # OSError: the package is there, the library is not.
            raise DeviceError(
                f"PortAudio is missing ({error}); install it (Debian: apt install libportaudio2)"
            ) from error
        self._sounddevice: Any = sounddevice
        self._lock: Lock = threading.RLock()
        self._open: list[PortAudioStream] = []  # Closed ones leave it when the next is opened.

    def list_devices(self) -> list[Device]:
        with self._lock, _translated("list the sound devices"):
            sound = self._sounddevice
            return _read_list(sound.query_devices(), sound.query_hostapis(), sound.default.device)

    def look_again(self) -> list[Device]:
        try:
            result = subprocess.run(
                [sys.executable, "-c", _LOOK],
                capture_output=True,
                timeout=LOOK_TIMEOUT_S,
                check=True,
                stdin=subprocess.DEVNULL,
            )
            return _read_list(*json.loads(result.stdout))
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            raise DeviceError(
                f"cannot list the sound devices: expected a list from a process of its own ({error}); try again"
            ) from error

    def refresh(self) -> None:
        with self._lock, _translated("read the list of sound devices again"):
            for stream in self._open:
                stream.close()
            self._open.clear()
            self._sounddevice._terminate()  # noqa: SLF001  # The package has no other way.
            self._sounddevice._initialize()  # noqa: SLF001  # As above.

    def open(
        self, device: Device, direction: Direction, *, rate_hz: int, on_block: OnBlock
    ) -> DeviceStream:
        with self._lock, _translated(f"open {direction.value} device {device.name!r}"):
            rate, num_channels = self._settings(device, direction, rate_hz)
            kind = (
                self._sounddevice.InputStream
                if direction is Direction.INPUT
                else self._sounddevice.OutputStream
            )
            stream = PortAudioStream(
                self._lock,
                kind,
                num_channels,
                on_block,
                samplerate=rate,
                blocksize=round(BLOCK_S * rate),
                device=device.index,
                latency=LATENCY_S,
            )
            self._open = [*(one for one in self._open if one.is_active), stream]
            return stream

    def _settings(self, device: Device, direction: Direction, rate_hz: int) -> tuple[int, int]:
        """Return the first rate and number of channels that the device takes."""
        check = (
            self._sounddevice.check_input_settings
            if direction is Direction.INPUT
            else self._sounddevice.check_output_settings
        )
        most = device.num_channels(direction)
        reason: Exception | None = None
        for rate in dict.fromkeys((rate_hz, device.rate_hz, *USUAL_RATES_HZ)):
            for num_channels in dict.fromkeys((1, min(2, most), most)):
                try:
                    check(
                        device=device.index, channels=num_channels, dtype="float32", samplerate=rate
                    )
                except (self._sounddevice.PortAudioError, ValueError) as error:
                    reason = reason or error
                else:
                    return rate, num_channels
        raise DeviceError(
            f"cannot use {direction.value} device {device.name!r}: expected it to take {rate_hz} Hz, its own "
            f"{device.rate_hz} Hz or a usual rate, it refused all ({reason}); another program may be using it, or "
            "choose another device with 'voiced devices'"
        )


@contextmanager
def _translated(action: str) -> Iterator[None]:
    import sounddevice

    try:
        yield
    except (sounddevice.PortAudioError, ValueError) as error:
        raise DeviceError(
            f"cannot {action}: {error}; see that it is plugged in, not used by another program, and that you may use it"
        ) from error


def _read_list(rows: Any, host_apis: Any, defaults: Any) -> list[Device]:
    default_input, default_output = defaults
    return [
        Device(
            index=index,
            name=str(row["name"]),
            host_api=str(host_apis[row["hostapi"]]["name"]),
            num_inputs=int(row["max_input_channels"]),
            num_outputs=int(row["max_output_channels"]),
            rate_hz=round(row["default_samplerate"]),
            is_default_input=index == default_input,
            is_default_output=index == default_output,
        )
        for index, row in enumerate(rows)
    ]
