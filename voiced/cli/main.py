"""The entry point `voiced`: parses, runs one command, turns errors into one sentence and an exit code."""

import argparse
import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Literal, TextIO

from voiced import __version__
from voiced.errors import UnknownDeviceError, UsageError, VoicedError

COMMANDS = (
    "run",
    "replay",
    "asr",
    "tts",
    "chat",
    "pull",
    "models",
    "devices",
    "config",
    "install-service",
    "doctor",
    "bench",
)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it.
EXIT_PIPE = 141  # 128 + SIGPIPE: the reader of our output went away.
# What printing fails with: a full disk, a failing device, a stream that is closed.
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; imports no model code."""
    parser = argparse.ArgumentParser(
        prog="voiced",
        description="A speech assistant that runs on your own machine and sends sound nowhere.",
        epilog="'voiced COMMAND --help' explains a command; 'voiced doctor' checks this machine.",
    )
    parser.add_argument("--version", action="version", version=f"voiced {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name in COMMANDS:
        importlib.import_module(f"voiced.cli.{name.replace('-', '_')}").add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Returns:
        0 done, 1 failed, 2 wrong usage, 130 interrupted with Ctrl-C, 141 the output's reader went away.
    """
    _open_missing_streams()
    code = EXIT_OK
    try:
        try:
            code = _run_command(arguments)
        finally:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _abandon_output()
        return EXIT_PIPE
    except OSError as error:
        _abandon_output()
        if code != EXIT_OK:  # The command has said what is wrong, this or something else.
            return code
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.EBADF:
            reason = "it is closed or not open for writing"
        print(
            f"voiced: cannot write to standard output: {reason}; send it elsewhere", file=sys.stderr
        )
        return EXIT_FAILED


def _run_command(arguments: Sequence[str] | None) -> int:
    """Run one command and tell its errors; those of standard output are passed on."""
    args = build_parser().parse_args(arguments)
    bound_kernel_caches()
    try:
        return int(args.run(args))
    except VoicedError as error:
        if args.debug:
            traceback.print_exc()
        print(f"voiced: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError | UnknownDeviceError) else EXIT_FAILED
    except KeyboardInterrupt:
        print("voiced: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) or _is_of_output(error):
            raise
        if args.debug:
            traceback.print_exc()
        print(
            f"voiced: internal error ({type(error).__name__}: {error}); "
            f"run 'voiced --debug {args.command} …' for the traceback and report it",
            file=sys.stderr,
        )
        return EXIT_FAILED


def _is_of_output(error: Exception) -> bool:
    """Tell whether it came from printing: every other writer names its file, or raises an error of ours."""
    return isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_ERRORS


def _abandon_output() -> None:
    """Send what is left of standard output nowhere: closing it normally would raise once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_missing_streams() -> None:
    """Put something in the place of standard streams that are closed, which Python has as None.

    Reading standard input or writing standard output then fails as with any file that cannot be read or written
    (EBADF); what is said on standard error is lost, and does not go to standard output as `print` would have it.
    """
    if sys.stdin is None:
        sys.stdin = _open_nothing(os.O_WRONLY, "r")
    if sys.stdout is None:
        sys.stdout = _open_nothing(os.O_RDONLY, "w")
    if sys.stderr is None:
        sys.stderr = _open_nothing(os.O_WRONLY, "w")


def _open_nothing(access: int, mode: Literal["r", "w"]) -> TextIO:
    return open(os.open(os.devnull, access), mode, encoding="utf-8")


def bound_kernel_caches() -> None:
    """Keep torch from holding compiled kernels for every length of sound it meets; must precede torch's first use.

    Torch's two caches of oneDNN kernels hold 1024 shapes each, and the pieces of a recording have hundreds of lengths. On the
    encoder of the tiny checkpoint, 600 lengths of 3 to 30 s: 800 MB more with the caches as they are, 80 MB with 64
    shapes in each, at the same speed; decoding repeats far fewer shapes (torch 2.11, 2 cores, November 2026).
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, "64")


def script() -> None:
    """The console script: `main` with SIGTERM treated as an interruption, so that partial results are kept."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())


if __name__ == "__main__":
    script()
