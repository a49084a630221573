"""Recognising what a file holds, and opening it so that all of its sound is decoded."""

import os
from typing import BinaryIO, cast

import soundfile

from audio.errors import AudioError
from audio.lengths import ogg_duration_s, wav_duration_s
from audio.mp3 import CountedMp3, Mp3Layout, read_layout

KINDS = "a WAV, FLAC, OGG or MP3 recording"
# libsndfile gives an enormous length when it knows none.
MAX_DURATION_S = 10_000 * 3600
# Frames of an MP3 file that a decoder may leave out: the encoder's delay and padding.
MP3_PADDING_FRAMES = 4


class SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # the package has no types
    """A sound file read from front to back.

    soundfile seeks after each read where it can, which fails in files of unknown length, and believes the length given at
    the start; neither is of use here.
    """

    def seekable(self) -> bool:
        return False


def open_sound(file: BinaryIO, name: str) -> tuple[SequentialSoundFile, float | None]:
    """Return the decoder of `file`, and the duration in seconds that the file promises, None when it does not.

    Raises:
        AudioError: the file is no recording, or one that would be decoded only in part.
    """
    layout = read_layout(file)
    if layout is not None:
        return _open_mp3(file, layout, name)
    # Before opening: the decoder reads on from where the file stands.
    promised = [wav_duration_s(file), ogg_duration_s(file, name)]
    sound = _decode(file, name)
    decoded_s = sound.frames / sound.samplerate
    promised.append(decoded_s if decoded_s < MAX_DURATION_S else None)
    return sound, max((s for s in promised if s is not None), default=None)


def _open_mp3(
    file: BinaryIO, layout: Mp3Layout, name: str
) -> tuple[SequentialSoundFile, float | None]:
    """Open an MP3 file, with a count of frames of our own where its own is missing or too small."""
    if layout.promised_frames is not None and layout.promised_frames >= layout.num_frames:
        sound = _decode(file, name)
        return sound, sound.frames / sound.samplerate
    view = cast(BinaryIO, CountedMp3(file, layout))
    least_frames = max(1, layout.num_frames - MP3_PADDING_FRAMES)
    return _decode(view, name), layout.duration_s * least_frames / layout.num_frames


def _decode(file: BinaryIO, name: str) -> SequentialSoundFile:
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):
        descriptor = None
    try:
        if descriptor is None:
            return SequentialSoundFile(file)
        os.lseek(descriptor, 0, os.SEEK_SET)  # `seek` above may have moved within the buffer only.
        return SequentialSoundFile(descriptor, closefd=False)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name} is not {KINDS}: {_describe(head, decoder_message(error))}"
        ) from error


def decoder_message(error: soundfile.LibsndfileError) -> str:
    """Return libsndfile's reason without its decoration."""
    text: str = error.error_string
    return text.removeprefix("Error : ").rstrip(".")


def _describe(head: bytes, reason: str) -> str:
    """Say what a file that could not be decoded seems to be, and what to do."""
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return "it is an MP4 or Matroska container; convert it with 'ffmpeg -i OLD NEW.wav'"
    if (
        head[:4] in (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM")
        or head[:3] == b"ID3"
        or _is_mpeg_sync(head)
    ):
        return f"it begins like one but is damaged or cut off ({reason}); copy it again"
    if head and all(byte >= 32 or byte in b"\t\n\r" for byte in head):
        return f"it seems to be text ({head[:20].decode(errors='replace')!r} …); give the recording itself"
    return f"{reason}; it begins with {head[:8].hex(' ')}; convert it with 'ffmpeg -i OLD NEW.wav'"


def _is_mpeg_sync(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
