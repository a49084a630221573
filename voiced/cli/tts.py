"""`voiced tts`: speak text into a file, a pipe or the speaker."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from voiced.cli.common import add_model_options, load_model
from voiced.cli.notes import note
from voiced.cli.option_types import seed
from voiced.cli.outputs import Sink, SoundFile, check_is_utf8, check_sound_path
from voiced.errors import UsageError
from voiced.voices import DEFAULT_VOICE, VOICES, voice_prompt

if TYPE_CHECKING:
    from audio.playback import Speaker

MAX_TEXT_BYTES = 4_000_000  # Some three days of speech, more than a WAV file holds.


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `tts`."""
    parser = commands.add_parser(
        "tts",
        help="speak text: to a file, a pipe or the speaker",
        description="Speak text. Long text is cut at sentences; the sound is written as it is made,\n"
        "so that an interrupted run (Ctrl-C) keeps what was spoken.",
        epilog="examples:\n"
        "  voiced tts 'Good morning.' -o morning.wav\n"
        "  voiced tts --file book.txt --voice uk_female -o book.wav\n"
        "  echo Hello | voiced tts - -o - | aplay -f S16_LE -r 24000 -c 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "text", nargs="?", metavar="TEXT", help="what to speak; '-' reads standard input"
    )
    parser.add_argument("--file", metavar="F", help="speak a text file (UTF-8)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.wav",
        help="WAV file to write, 24 kHz, 16 bit, mono; '-' writes the same as raw PCM to standard output "
        "(default: the speaker, when standard output is a terminal)",
    )
    parser.add_argument(
        "--play", action="store_true", help="to the speaker, also when there is an output file"
    )
    parser.add_argument(
        "--voice",
        default=DEFAULT_VOICE,
        metavar="VOICE",
        help=f"{', '.join(VOICES)} (default: {DEFAULT_VOICE}); voiced-mini has two of them, us_male and uk_female",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="the same seed gives the same reading (default: 0)",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Speak the text; what was written stays when an error or Ctrl-C ends it."""
    voice_prompt(args.voice)
    text = read_text(args.text, args.file)
    _check_speakable(text)
    _check_output(args)

    from voiced.demonstration import Demonstration, read_demonstration
    from voiced.speech import speak

    with ExitStack() as stack:
        sinks = list(_open_sinks(args, stack))
        model = load_model(args)
        demonstration = read_demonstration(model.folder)
        if demonstration:
            demonstration.check_voice(args.voice)
            demonstration.check_words(model.tokenizer, text)
        ways = demonstration or Demonstration(name=model.name)
        for samples in speak(
            model,
            text,
            voice=args.voice,
            seed=args.seed,
            sampling=ways.speech,
            max_piece_chars=ways.max_piece_chars,
            min_piece_chars=ways.min_piece_chars,
            warn=note,
        ):
            for sink in sinks:
                sink.write(samples)
    return 0


def read_text(text: str | None, file: str | None) -> str:
    """Return the text to speak: as given, from standard input for '-', or from a file.

    Raises:
        UsageError: none or two sources, a file that cannot be read, is too long or not text in UTF-8.
    """
    if text is not None and file is not None:
        raise UsageError("both TEXT and --file were given: expected one of them")
    if file is not None:
        return _read_file(file)
    if text is None:
        raise UsageError(
            "no text to speak: give it as an argument, as --file F, or '-' to read standard input"
        )
    if text == "-":
        return _decoded(_read_bytes(sys.stdin.buffer, "standard input"), "standard input")
    check_is_utf8(text, "TEXT")
    return text


def _read_file(file: str) -> str:
    try:
        with open(file, "rb") as stream:
            return _decoded(_read_bytes(stream, file), file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"cannot read {file}: {reason.lower()}; expected a text file in UTF-8"
        ) from error


def _read_bytes(stream: BinaryIO, name: str) -> bytes:
    try:
        content = stream.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot read {name}: {reason}; expected a text in UTF-8") from error
    if len(content) > MAX_TEXT_BYTES:
        raise UsageError(f"{name} has more than {MAX_TEXT_BYTES} bytes: speak it in several parts")
    return content


def _decoded(content: bytes, name: str) -> str:
    if b"\0" in content:
        raise UsageError(
            f"{name} is not text (a zero byte at {content.index(0)}): expected plain text in UTF-8; "
            "export documents as plain text first"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8 (byte {error.start} is 0x{content[error.start]:02x}): "
            "expected plain text in UTF-8; convert it, as with 'iconv -f LATIN1 -t UTF-8'"
        ) from error


def _check_speakable(text: str) -> None:
    from voiced.sentences import is_speakable

    if not text.strip():
        raise UsageError("the text is empty: expected at least one letter or digit to speak")
    if not is_speakable(text):
        shown = " ".join(text.split())[:40]
        raise UsageError(
            f"nothing to speak in {shown!r}: expected text with at least one letter or digit"
        )


def _check_output(args: argparse.Namespace) -> None:
    if args.output == "-":
        if sys.stdout.isatty():
            raise UsageError(
                "raw sound would fill the terminal: send '-o -' into a pipe or a file, or give -o OUT.wav"
            )
    elif args.output is not None:
        inputs = [Path(args.file)] if args.file is not None else []
        check_sound_path(Path(args.output), inputs)
    elif not args.play and not sys.stdout.isatty():
        raise UsageError(
            "nowhere to write the sound: give -o OUT.wav, '-o -' for raw PCM, or --play for the speaker"
        )


def _open_sinks(args: argparse.Namespace, stack: ExitStack) -> Iterator[Sink]:
    """Yield where the sound goes, and leave with `stack` what is to be said and closed at the end."""
    if args.output == "-":
        from audio.writing import RawPcmWriter

        yield RawPcmWriter(sys.stdout.buffer)
    elif args.output is not None:
        file = SoundFile(Path(args.output))
        stack.callback(_tell_written, file)
        stack.callback(file.close)
        yield file
    if args.play or args.output is None:
        from audio.playback import Speaker
        from voiced.speech_model import SOUND_RATE_HZ

        speaker = Speaker(SOUND_RATE_HZ)
        stack.callback(_tell_missing, speaker)
        yield stack.enter_context(
            speaker
        )  # Last, as it waits: what is interrupted then is in the file.


def _tell_written(file: SoundFile) -> None:
    from voiced.speech_model import SOUND_RATE_HZ

    if file.num_samples:
        print(f"{file.path}: {file.num_samples / SOUND_RATE_HZ:.2f} s", file=sys.stderr)


def _tell_missing(speaker: "Speaker") -> None:
    if speaker.missing_s > 0.5:
        note(
            f"speech was made slower than it is played: the speaker waited {speaker.missing_s:.1f} s in all; "
            "write to a file with -o OUT.wav to hear it without gaps"
        )
