"""A live talk kept in a folder: what was heard and played, both from its beginning on, and what happened when.

    microphone.wav   what was heard, 16 kHz; silence where the microphone was closed
    speaker.wav      what was played, 16 kHz, in time with it
    events.jsonl     a line for everything that happened: the seconds since the beginning, and the event or the command
    timings.txt      the latency ledger for reading
    session.json     the rates, the settings, the seed, and what wrote it

Everything is in the files a quarter of a second after it happened, and each file is valid at any moment, so that a killed
program leaves what it had. `voiced.session_replay` reads it back.
"""

import dataclasses
import errno
import json
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from audio.chunk import AudioChunk, Samples
from audio.writing import WavWriter, cannot_write
from protocols.events import Event, TurnTimed, encode_line
from voiced import __version__
from voiced.commands import Command
from voiced.errors import FormatError, OutputError
from voiced.ledger import timing_header, timing_line
from voiced.setting_types import Value

FORMAT = 1
MICROPHONE, SPEAKER = "microphone.wav", "speaker.wav"
EVENTS, TIMINGS, SESSION = "events.jsonl", "timings.txt", "session.json"
MICROPHONE_RATE_HZ, SPEAKER_RATE_HZ = 16_000, 16_000

# Of sound that waits for the disk: 50 s of both sides. When it is full, new sound is left out and becomes silence.
MOST_WAITING_BYTES = 8_000_000
MOST_WAITING_LINES = 10_000  # Likewise of events; a talk makes a few a second.
BATCH_BYTES = (
    40_000  # 0.25 s of both sides are written at once; an event at once with what came before it.
)
# A recording that stopped for want of space goes on when so much is free; looked at after so much more sound (5 s).
ENOUGH_FREE_BYTES = 64_000_000
LOOK_AFTER_BYTES = 800_000
CLOSE_S = 5.0  # A disk that does not answer is left alone after that.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Track = str  # MICROPHONE or SPEAKER.
_Item = tuple[Track, AudioChunk] | tuple[float, Event | Command]


class SessionRecording:
    """Writes one talk into a new folder, from a thread of its own; no method but `close` waits.

    When the disk is full or fails, what was written stays, `on_notice` is told, and the talk goes on. It is tried again as
    soon as there is space; what came in between is silence.

    Args:
        folder: of this talk alone; see `new_folder`.
        settings: the values in force, by key, for whoever replays it.
        seed: of the replies.
        on_notice: told in a sentence what the user should know; called from the writing thread.
        free_bytes: tells how much space a folder has.

    Attributes:
        num_left_out: chunks of sound that were left out as the disk was too slow.

    Raises:
        OutputError: the files cannot be created.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Value],
        seed: int = 0,
        on_notice: Callable[[str], None],
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self.folder = folder
        self.num_left_out = 0
        self._on_notice = on_notice
        self._free_bytes = free_bytes
        _write_session(folder, settings, seed)
        self._tracks = {
            MICROPHONE: _Track(folder / MICROPHONE, MICROPHONE_RATE_HZ),
            SPEAKER: _Track(folder / SPEAKER, SPEAKER_RATE_HZ),
        }
        self._events = _Lines(folder / EVENTS)
        self._timings = _Lines(folder / TIMINGS)
        self._timings.write(timing_header())
        # Between the talk and the thread.
        self._arrived = threading.Condition()
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._waiting_lines = 0
        self._is_closed = False
        # Of the thread alone.
        self._is_stopped = False  # The disk failed,
        self._may_go_on = False  # for want of space,
        self._unseen_bytes = 0  # and so much sound ago it was looked at last.
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def microphone(self, chunk: AudioChunk) -> None:
        """Keep what was heard; `chunk.start` counts from the beginning of the talk, at 16 kHz."""
        self._put_sound(MICROPHONE, chunk)

    def speaker(self, chunk: AudioChunk) -> None:
        """Keep what was played; `chunk.start` counts from the beginning of the talk, at 16 kHz."""
        self._put_sound(SPEAKER, chunk)

    def happened(self, what: Event | Command, at_s: float) -> None:
        """Keep what happened, so many seconds after the beginning."""
        with self._arrived:
            if self._is_closed or self._waiting_lines >= MOST_WAITING_LINES:
                return
            self._waiting.append((at_s, what))
            self._waiting_lines += 1
            self._arrived.notify()

    def close(self) -> None:
        """Write what waits and close the files; waits for the disk, at most 5 s."""
        with self._arrived:
            self._is_closed = True
            self._arrived.notify()
        self._thread.join(CLOSE_S)

    def _put_sound(self, track: Track, chunk: AudioChunk) -> None:
        expected_hz = self._tracks[track].rate_hz
        if chunk.rate_hz != expected_hz:
            raise FormatError(
                f"{track} at {chunk.rate_hz} Hz: expected {expected_hz} Hz; resample before"
            )
        with self._arrived:
            if self._is_closed:
                return
            if self._waiting_bytes + chunk.samples.nbytes > MOST_WAITING_BYTES:
                self.num_left_out += 1
                return
            self._waiting.append((track, chunk))
            self._waiting_bytes += chunk.samples.nbytes
            if self._waiting_bytes >= BATCH_BYTES:
                self._arrived.notify()

    # The thread

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as error:
            self._on_notice(
                f"the recording in {self.folder} ended, the talk goes on: {type(error).__name__}: {error}"
            )
        finally:
            self._close_files()

    def _write_all(self) -> None:
        told_left_out = 0
        is_closed = False
        while not is_closed:
            items, is_closed = self._take()
            for item in items:
                self._write(item)
            if self.num_left_out > told_left_out:
                if not told_left_out:
                    self._on_notice(
                        f"the disk of {self.folder} is too slow: some sound is left out of the recording"
                    )
                told_left_out = self.num_left_out
        self._end_together()

    def _take(self) -> tuple[list[_Item], bool]:
        with self._arrived:
            while not (
                self._is_closed or self._waiting_lines or self._waiting_bytes >= BATCH_BYTES
            ):
                self._arrived.wait()
            items = list(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = self._waiting_lines = 0
            return items, self._is_closed

    def _write(self, item: _Item) -> None:
        if self._is_stopped and not self._is_mended(item):
            return
        try:
            place, what = item
            if isinstance(what, AudioChunk):
                self._tracks[str(place)].write(what)
                return
            self._events.write(encode_moment(float(place), what))
            if isinstance(what, TurnTimed):
                self._timings.write(timing_line(what))
        except OutputError as error:
            self._stop(error)

    def _stop(self, error: OutputError) -> None:
        cause = error.__cause__
        self._is_stopped = True
        self._may_go_on = isinstance(cause, OSError) and cause.errno in _NO_SPACE
        self._unseen_bytes = 0
        later = "; it goes on when there is space again" if self._may_go_on else ""
        self._on_notice(f"the recording stopped, the talk goes on: {error}{later}")

    def _is_mended(self, item: _Item) -> bool:
        if not self._may_go_on:
            return False
        what = item[1]
        self._unseen_bytes += what.samples.nbytes if isinstance(what, AudioChunk) else 0
        if self._unseen_bytes < LOOK_AFTER_BYTES:
            return False
        self._unseen_bytes = 0
        try:
            if self._free_bytes(self.folder) < ENOUGH_FREE_BYTES:
                return False
        except OSError:
            return False
        self._is_stopped = False
        self._on_notice(f"the recording in {self.folder} goes on")
        return True

    def _end_together(self) -> None:
        """Let both sides end at the same moment."""
        if self._is_stopped:
            return
        end_s = max(track.duration_s for track in self._tracks.values())
        try:
            for track in self._tracks.values():
                track.fill(round(end_s * track.rate_hz))
        except OutputError as error:
            self._stop(error)

    def _close_files(self) -> None:
        for track in self._tracks.values():
            track.close()
        self._events.close()
        self._timings.close()


def new_folder(parent: Path, name: str) -> Path:
    """Create the folder of a talk below `parent` and return it; only its owner may enter, as speech is private.

    Args:
        parent: is created too if need be.
        name: of the talk, such as the time of its beginning; gets a number if there is one of that name.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            folder = parent / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise cannot_write(str(parent / name), error) from error
    raise OutputError(f"cannot write {parent / name}: 9999 talks have that name; move some away")


def encode_moment(at_s: float, what: Event | Command) -> str:
    """Return the line of events.jsonl for what happened, without its end."""
    if isinstance(what, Command):
        return json.dumps(
            {"at_s": round(at_s, 6), "command": what.command} | dataclasses.asdict(what)
        )
    return json.dumps({"at_s": round(at_s, 6)} | json.loads(encode_line(what)))


class _Track:
    """One side of the talk; what was not given is silence."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._writer = WavWriter(path, rate_hz)

    @property
    def duration_s(self) -> float:
        return self._writer.num_samples / self.rate_hz

    def write(self, chunk: AudioChunk) -> None:
        self.fill(chunk.start)
        samples: Samples = chunk.samples[self._writer.num_samples - chunk.start :]
        if len(samples):
            finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
            self._writer.write(finite)

    def fill(self, until: int) -> None:
        while (missing := until - self._writer.num_samples) > 0:
            self._writer.write(np.zeros(min(missing, self.rate_hz), np.float32))

    def close(self) -> None:
        self._writer.close()


class _Lines:
    """A file of whole lines: one that does not fit is taken back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._num_bytes = 0
        try:
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - open as long as the talk.
        except OSError as error:
            raise cannot_write(str(path), error) from error

    def write(self, line: str) -> None:
        rest = memoryview(f"{line}\n".encode())
        num_bytes = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self._num_bytes)
            self._file.seek(self._num_bytes)
            raise cannot_write(str(self._path), error) from error
        self._num_bytes += num_bytes

    def close(self) -> None:
        self._file.close()


def _write_session(folder: Path, settings: Mapping[str, Value], seed: int) -> None:
    about = {
        "format": FORMAT,
        "voiced": __version__,
        "microphone_rate_hz": MICROPHONE_RATE_HZ,
        "speaker_rate_hz": SPEAKER_RATE_HZ,
        "seed": seed,
        "settings": {
            key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
        },
    }
    path = folder / SESSION
    try:
        path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(str(path), error) from error
