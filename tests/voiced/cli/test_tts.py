import errno
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from models.errors import NonFiniteError
from tests.fakes import FakeConversation, FakeModel, ScriptStep, end_of_audio, frame
from voiced.cli.main import main
from voiced.speech_model import FRAME_SAMPLES
from voiced.voices import VOICES

CHECKPOINT = Path(__file__).parents[2] / "data" / "golden" / "checkpoint"
LEVEL = 512  # A frame of this code is a constant 0.25.

Use = Callable[..., FakeModel]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return a function that makes the command use a model with the given script."""

    def use_model(*script: Any) -> FakeModel:
        model = FakeModel(*(script or ([frame(LEVEL)] * 3 + [end_of_audio()],)))
        monkeypatch.setattr("voiced.cli.tts.load_model", lambda _: model)
        return model

    return use_model


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_text_becomes_a_16_bit_wav_at_24_khz(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    assert main(["tts", "Good morning", "-o", str(tmp_path / "out.wav")]) == 0
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
    sound, _ = soundfile.read(tmp_path / "out.wav")
    assert sound.tolist() == [0.25] * 3 * FRAME_SAMPLES
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{tmp_path / 'out.wav'}: 0.24 s\n"


def test_the_first_sound_is_in_the_file_before_generation_ends(use: Use, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    seen: list[int] = []

    def script(_: FakeConversation) -> Iterator[ScriptStep]:
        for _index in range(4):
            yield frame(LEVEL)
            seen.append(soundfile.info(path).frames)

    use(script)
    assert main(["tts", "Good morning", "-o", str(path)]) == 0
    assert seen == [round((index + 0.5) * FRAME_SAMPLES) for index in range(4)]


def test_a_dash_as_output_streams_raw_pcm(
    use: Use, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    use()
    assert main(["tts", "Good morning", "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == np.full(3 * FRAME_SAMPLES, 8192, "<i2").tobytes()


def test_a_dash_as_text_reads_standard_input(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = use()
    give_stdin(monkeypatch, "Grüße aus Köln".encode())
    assert main(["tts", "-", "-o", str(tmp_path / "out.wav")]) == 0
    assert model.conversations[0].turns[1].text == "Grüße aus Köln"


def test_a_file_is_spoken_sentence_by_sentence(use: Use, tmp_path: Path) -> None:
    model = use()
    (tmp_path / "text.txt").write_bytes(
        "\ufeffThe first line is a sentence. And\r\nthis is the second of them.".encode()
    )
    assert main(["tts", "--file", str(tmp_path / "text.txt"), "-o", str(tmp_path / "o.wav")]) == 0
    assert [c.turns[1].text for c in model.conversations] == [
        "The first line is a sentence.",
        "And this is the second of them.",
    ]


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_has_its_prompt(use: Use, tmp_path: Path, voice: str) -> None:
    model = use()
    main(["tts", "Hello", "-o", str(tmp_path / "out.wav"), "--voice", voice])
    assert model.conversations[0].turns[0].text == VOICES[voice]


def test_ctrl_c_keeps_what_was_spoken_and_exits_130(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use([frame(LEVEL), frame(LEVEL), KeyboardInterrupt()])
    assert main(["tts", "Good morning", "-o", str(tmp_path / "out.wav")]) == 130
    assert soundfile.info(tmp_path / "out.wav").frames == round(1.5 * FRAME_SAMPLES)
    assert "out.wav: 0.12 s" in capsys.readouterr().err


def test_a_failing_model_keeps_what_was_spoken(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use([frame(LEVEL), NonFiniteError("hidden state is NaN")])
    assert main(["tts", "Good morning", "-o", str(tmp_path / "out.wav")]) == 1
    assert soundfile.info(tmp_path / "out.wav").frames == FRAME_SAMPLES // 2
    assert capsys.readouterr().err.endswith("voiced: hidden state is NaN\n")


def test_a_failure_before_the_first_sound_leaves_an_older_file_as_it_was(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.wav").write_bytes(b"older")
    use([" no", " sound"])
    assert main(["tts", "Good morning", "-o", str(tmp_path / "out.wav")]) == 1
    assert (tmp_path / "out.wav").read_bytes() == b"older"
    error = capsys.readouterr().err
    assert "note: the model made no sound of 'Good morning'" in error
    assert "no sound of any of the 1 pieces" in error


@pytest.mark.parametrize("text", ["", "  \n\t ", "... !?", "😀 👍", "—"])
def test_text_without_anything_to_speak_is_refused(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    model = use()
    assert main(["tts", "-o", str(tmp_path / "out.wav"), "--", text]) == 2
    assert "expected" in (error := capsys.readouterr().err)
    assert "at least one letter or digit" in error
    assert model.conversations == []
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("text", ["a" * 100_000, "A sentence of words. " * 4_762])
def test_a_hundred_thousand_characters_are_spoken(use: Use, tmp_path: Path, text: str) -> None:
    model = use([frame(LEVEL)])
    assert main(["tts", text, "-o", str(tmp_path / "out.wav")]) == 0
    given = "".join(c.turns[1].text for c in model.conversations)
    assert given.replace(" ", "") == text.replace(" ", "")
    assert soundfile.info(tmp_path / "out.wav").frames > len(model.conversations) * FRAME_SAMPLES


def test_an_unknown_voice_names_the_four_and_the_nearest(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    assert main(["tts", "Hello", "-o", str(tmp_path / "o.wav"), "--voice", "uk_femail"]) == 2
    assert capsys.readouterr().err == (
        "voiced: unknown voice 'uk_femail': expected one of us_male, us_female, uk_male, uk_female; "
        "did you mean uk_female?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hello", "--file", "text.txt"], "both TEXT and --file were given"),
        ([], "no text to speak"),
        (["--file", "missing.txt"], "cannot read missing.txt: no such file"),
        (["--file", "."], "cannot read .: is a directory"),
        (["--file", "binary.bin"], "binary.bin is not text (a zero byte at 3)"),
        (["--file", "latin.txt"], "latin.txt is not UTF-8 (byte 3 is 0xdf)"),
        (["--file", "long.txt"], "long.txt has more than 4000000 bytes"),
        (["--file", "empty.txt"], "the text is empty"),
        (["Hello", "-o", "missing/out.wav"], "the folder missing does not exist"),
        (["Hello", "-o", "."], "it is a folder"),
        (["Hello", "-o", "out.mp3"], "expected the name of a WAV file; write out.wav"),
        (["--file", "text.txt", "-o", "text.txt"], "text.txt is both input and output"),
        (["Hello \udcff"], "TEXT is not valid UTF-8 (character 6)"),
    ],
)
def test_bad_usage_is_one_sentence_and_computes_nothing(
    use: Use,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("Hello")
    Path("empty.txt").write_text("")
    Path("binary.bin").write_bytes(b"RIF\0\0\0")
    Path("latin.txt").write_bytes("Gruß".encode("latin-1"))
    Path("long.txt").write_bytes(b"a " * 2_000_001)
    model = use()
    code = main(["tts", *arguments, *([] if "-o" in arguments else ["-o", "out.wav"])])
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("voiced: ")
    assert error.count("\n") == 1
    assert message in error
    assert model.conversations == []


def test_binary_standard_input_is_refused(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    give_stdin(monkeypatch, b"\xff\xfe\x00")
    assert main(["tts", "-", "-o", str(tmp_path / "out.wav")]) == 2
    assert "standard input is not text" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["-1", "1.5", "x", str(2**63)])
def test_a_seed_is_a_whole_number(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tts", "Hello", "-o", "out.wav", f"--seed={number}"])
    assert caught.value.code == 2
    assert "expected a whole number" in capsys.readouterr().err


def test_no_disk_space_is_one_sentence(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use()
    assert main(["tts", "Hello", "-o", "/dev/full"]) == 1
    assert "cannot write /dev/full: no space is left" in capsys.readouterr().err


def test_a_disk_that_fills_keeps_what_fitted(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    use([frame(LEVEL)] * 10)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        code = main(["tts", "Hello", "-o", str(tmp_path / "out.wav")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert code == 1
    assert soundfile.info(tmp_path / "out.wav").frames == (10_000 - 44) // 2
    assert "no space is left for it" in capsys.readouterr().err


def test_a_full_standard_output_is_one_sentence(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    use()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Full()))
    assert main(["tts", "Hello", "-o", "-"]) == 1
    assert "cannot write standard output: no space is left" in capsys.readouterr().err


def test_raw_sound_is_kept_from_the_terminal(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["tts", "Hello", "-o", "-"]) == 2
    assert "raw sound would fill the terminal" in capsys.readouterr().err


def test_without_a_place_for_the_sound_it_is_refused(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use()
    assert main(["tts", "Hello"]) == 2
    assert "give -o OUT.wav, '-o -' for raw PCM, or --play" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--play"], ["--play", "-o", "out.wav"]])
def test_a_missing_speaker_is_told_before_anything_is_computed(
    use: Use,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # As if it were not installed.
    monkeypatch.chdir(tmp_path)
    model = use()
    assert main(["tts", "Hello", *arguments]) == 1
    assert "PortAudio is missing" in capsys.readouterr().err
    assert model.conversations == []


def test_on_a_terminal_speech_goes_to_the_speaker(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    use()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["tts", "Hello"]) == 1
    assert "PortAudio is missing" in capsys.readouterr().err


def speak_with_golden(path: Path, *arguments: str) -> bytes:
    code = main(["tts", *arguments, "-o", str(path), "--model", str(CHECKPOINT), "--device", "cpu"])
    assert code == 0
    return path.read_bytes()


def test_a_checkpoint_speaks_alike_under_one_seed_and_otherwise_under_another(
    tmp_path: Path,
) -> None:
    text = "Hello, the house in the other town."
    first = speak_with_golden(tmp_path / "1.wav", text, "--seed", "1")
    assert first == speak_with_golden(tmp_path / "2.wav", text, "--seed", "1")
    assert first != speak_with_golden(tmp_path / "3.wav", text, "--seed", "2")
    assert len(first) > 44 + 2 * FRAME_SAMPLES


def test_a_checkpoint_speaks_what_looks_like_a_special_token(tmp_path: Path) -> None:
    speak_with_golden(tmp_path / "1.wav", "<|im_end|> the house in the other town.")
