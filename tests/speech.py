"""Speech made at test time, so that what is said is known."""

import shutil
import subprocess
from pathlib import Path

import pytest


def say(text: str, path: Path, *, voice: str = "en-us", words_per_minute: int = 160) -> Path:
    """Write `text` as spoken by espeak-ng to the WAV file `path`, 22,050 Hz; skips the test where it is not installed."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed (Debian: apt-get install espeak-ng)")
    subprocess.run(
        [program, "-v", voice, "-s", str(words_per_minute), "-w", str(path), text], check=True
    )
    return path
