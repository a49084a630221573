"""Run by the test of real devices: plays a tone, records meanwhile, and says in JSON what happened."""

import json
import os
import signal
import sys
import time
from itertools import pairwise

import numpy as np

from audio.capture import Microphone
from audio.chunk import AudioChunk
from audio.duplex import Duplex
from audio.echo import Cleaning
from audio.playout import Playout
from audio.portaudio import PortAudioCard
from audio.stream_process import ProcessCard

PLAIN = Cleaning(echo=False, noise=False, gain=False)


def main(seconds: float, server: int | None = None) -> None:
    """Print `ready` when both devices run, then play and record for `seconds`; let `server` stand still for a while then."""
    card = ProcessCard(PortAudioCard())
    clock_s = time.monotonic
    microphone = Microphone(card, clock_s=clock_s)
    playout = Playout(card, rate_hz=24_000, clock_s=clock_s)
    duplex = Duplex(microphone, playout, cleaning=PLAIN)
    duplex.open()
    chunks: list[AudioChunk] = []
    events: list[str] = []

    def run(limit_s: float) -> None:
        end_s = clock_s() + limit_s
        while clock_s() < end_s:
            time.sleep(0.02)
            new_chunks, new_events = duplex.poll()
            chunks.extend(new_chunks)
            events.extend(type(event).__name__ for event in new_events)

    run(4.0)  # The first callback of a device may come after two seconds.
    phase = 2 * np.pi * 440 * np.arange(round(seconds * 24_000)) / 24_000
    num_before = len(chunks)
    print("ready", flush=True)
    playout.begin()
    playout.write((0.3 * np.sin(phase)).astype(np.float32))
    playout.finish()
    run(seconds + 0.5)
    num_played, drift = playout.num_played, microphone.clock.drift_ppm
    recorded = np.concatenate([chunk.samples for chunk in chunks[num_before:]])
    if server is not None:
        os.kill(server, signal.SIGSTOP)
        run(1.5)
        os.kill(server, signal.SIGCONT)
        run(8.0)
    duplex.close()
    run(2.0)
    gaps = sum(a.end != b.start for a, b in pairwise(chunks))
    print(
        json.dumps(
            {
                "devices": [device.name for device in card.list_devices()],
                "looked": [device.name for device in card.look_again()],
                "events": events,
                "num_played": num_played,
                "num_underruns": playout.num_underruns,
                "num_gaps": gaps,
                "drift_ppm": drift,
                "latency_s": [microphone.latency_s, playout.latency_s],
                "recorded_s": len(recorded) / 16_000,
                "pitch_hz": _pitch_hz(recorded),
                "level": float(np.sqrt(np.mean(recorded**2))),
            }
        )
    )


def _pitch_hz(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / 16_000)[int(np.argmax(spectrum))])


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:]))
