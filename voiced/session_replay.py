"""A recorded talk read back: what the microphone heard and what the user did, to run it through again without devices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from audio.chunk import AudioChunk
from audio.reading import open_audio
from protocols.events import Event, decode_line
from voiced.commands import COMMANDS, Command
from voiced.errors import UsageError
from voiced.session_recording import EVENTS, FORMAT, MICROPHONE, MICROPHONE_RATE_HZ, SESSION


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, so many seconds after the talk's beginning."""

    at_s: float
    what: Event | Command


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A recorded talk.

    Attributes:
        folder: that holds it.
        settings: that were in force, by key.
        seed: of the replies.
        moments: what happened, in the order in which it was told.
    """

    folder: Path
    settings: Mapping[str, Any]
    seed: int
    moments: tuple[Moment, ...]

    def commands(self) -> list[Moment]:
        """Return what the user did besides speaking, in order."""
        return [moment for moment in self.moments if isinstance(moment.what, Command)]

    def events(self) -> list[Moment]:
        """Return what was told of the talk, in order."""
        return [moment for moment in self.moments if not isinstance(moment.what, Command)]

    def check_sound(self) -> None:
        """See that what the microphone heard is there.

        Raises:
            AudioError: it is missing or no recording.
        """
        open_audio(self.folder / MICROPHONE, rate_hz=MICROPHONE_RATE_HZ).close()

    def heard(self, chunk_samples: int) -> Iterator[AudioChunk]:
        """Yield what the microphone heard at 16 kHz, in chunks of so many samples; the last may be shorter.

        Raises:
            AudioError: the recording is missing or damaged; what comes before the damage is yielded.
        """
        rest = np.zeros(0, np.float32)
        start = 0
        with open_audio(self.folder / MICROPHONE, rate_hz=MICROPHONE_RATE_HZ) as reader:
            for chunk in reader:
                rest = np.concatenate([rest, chunk.samples])
                while len(rest) >= chunk_samples:
                    yield AudioChunk(rest[:chunk_samples], MICROPHONE_RATE_HZ, start)
                    start += chunk_samples
                    rest = rest[chunk_samples:]
        if len(rest):
            yield AudioChunk(rest, MICROPHONE_RATE_HZ, start)

    def steps(self, chunk_samples: int) -> Iterator[AudioChunk | Command]:
        """Yield what was heard and, each before the first chunk that ends after it, the commands.

        Raises:
            AudioError: as `heard`.
        """
        commands = self.commands()
        for chunk in self.heard(chunk_samples):
            while commands and commands[0].at_s * MICROPHONE_RATE_HZ < chunk.end:
                what = commands.pop(0).what
                assert isinstance(what, Command)
                yield what
            yield chunk
        for moment in commands:
            assert isinstance(moment.what, Command)
            yield moment.what


@dataclass(frozen=True, slots=True)
class _About:
    format: int
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


def read_session(folder: Path) -> RecordedSession:
    """Return the talk that was recorded in `folder`; the last line, if a kill cut it off, is left out.

    Raises:
        UsageError: there is no recording, one of another version, or a damaged one; says where.
    """
    about = _read_about(folder)
    path = folder / EVENTS
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise _cannot_read(path, error) from error
    moments = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            moments.append(decode_moment(line))
        except ValueError as error:
            raise UsageError(
                f"{path}:{number}: {error}; take the line out, or replay another recording"
            ) from error
    return RecordedSession(folder, about.settings, about.seed, tuple(moments))


def decode_moment(line: bytes) -> Moment:
    """Return what a line of events.jsonl says.

    Raises:
        ValueError: it is no such line.
    """
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error
    at_s = fields.get("at_s") if isinstance(fields, dict) else None
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s < 0:
        raise ValueError("expected an object with 'at_s', the seconds since the beginning")
    if "command" not in fields:
        return Moment(float(at_s), decode_line(line))
    kind = COMMANDS.get(str(fields["command"]))
    if kind is None:
        raise ValueError(f"command {fields['command']!r}: expected {', '.join(COMMANDS)}")
    try:
        return Moment(float(at_s), msgspec.convert(fields, kind))
    except msgspec.ValidationError as error:
        raise ValueError(f"command '{kind.command}': {error}") from error


def _read_about(folder: Path) -> _About:
    path = folder / SESSION
    try:
        about = msgspec.json.decode(path.read_bytes(), type=_About)
    except OSError as error:
        raise _cannot_read(path, error) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {error}; replay another recording") from error
    if about.format != FORMAT:
        raise UsageError(
            f"{path} has format {about.format}: expected {FORMAT}; replay it with the version of voiced that recorded it"
        )
    return about


def _cannot_read(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot read {path}: {(error.strerror or str(error)).lower()}; "
        "give the folder of one talk that 'voiced run --record FOLDER' kept"
    )
