import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from models.errors import NonFiniteError
from tests.fakes import FakeModel, end_of_audio, frame
from voiced.cli.file_talk import EXAMPLE as QUESTION
from voiced.cli.main import main
from voiced.speech_model import FRAME_SAMPLES

CHECKPOINT = Path(__file__).parents[2] / "data" / "golden" / "checkpoint"
FRAME_S = 0.08

Use = Callable[..., FakeModel]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Use:
    """Return a function that makes the command use a model with the given script; recordings are in the folder."""
    monkeypatch.chdir(tmp_path)
    for name, duration_s in (("q1.wav", 0.5), ("q2.wav", 0.25), ("short.wav", 0.01)):
        soundfile.write(name, np.full(round(duration_s * 16_000), 0.1), 16_000)
    Path("text.wav").write_text("this is no recording")

    def use_model(*script: Any) -> FakeModel:
        model = FakeModel(*script)
        monkeypatch.setattr("voiced.cli.chat.load_model", lambda _: model)
        return model

    return use_model


def two_replies() -> tuple[list[Any], list[Any]]:
    return (
        ["Yes", ",", frame(256), frame(256), " sure", frame(256), end_of_audio()],
        ["No", frame(512), end_of_audio()],
    )


def test_turns_are_taken_in_the_order_given_in_one_conversation(use: Use) -> None:
    model = use(["Yes", frame()])
    assert main("chat --audio q1.wav --text Really? --audio q2.wav -o r.wav".split()) == 0
    [conversation] = model.conversations
    user = [turn for turn in conversation.turns if turn.role == "user"]
    assert [turn.text for turn in user] == ["", "Really?", ""]
    assert [[len(sound) for sound in turn.audio] for turn in user] == [[8000], [], [4000]]


def test_the_sound_of_all_replies_is_in_one_file(use: Use) -> None:
    use(*two_replies())
    assert main("chat --audio q1.wav --text Really? -o reply.wav".split()) == 0
    sound, rate_hz = soundfile.read("reply.wav")
    assert rate_hz == 24_000
    assert sound.tolist() == [0.125] * 3 * FRAME_SAMPLES + [0.25] * FRAME_SAMPLES


def test_turn_in_the_name_gives_a_file_for_each_reply(use: Use) -> None:
    use(*two_replies())
    assert main("chat --audio q1.wav --text Really? -o reply-{turn}.wav".split()) == 0
    assert soundfile.info("reply-1.wav").frames == 3 * FRAME_SAMPLES
    assert soundfile.info("reply-2.wav").frames == FRAME_SAMPLES


def test_json_lines_tell_roles_texts_and_times(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use(*two_replies())
    assert main("chat --json --audio q1.wav --text Really? -o reply.wav".split()) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event for event in events if event["event"] == "text_added"] == [
        {"event": "text_added", "turn": turn, "role": "assistant", "text": text, "start_s": start_s}
        for turn, text, start_s in (
            (1, "Yes", 0.5),
            (1, ",", 0.5),
            (1, " sure", 0.66),
            (2, "No", 0.74),
        )
    ]
    assert [event for event in events if event["event"] == "turn_ended"] == [
        {
            "event": "turn_ended",
            "turn": turn,
            "role": role,
            "text": text,
            "start_s": start_s,
            "end_s": end_s,
            "ended": "end",
            "audio": audio,
            "audio_start_s": audio_start_s,
        }
        for turn, role, text, start_s, end_s, audio, audio_start_s in (
            (1, "user", "", 0.0, 0.5, "q1.wav", 0.0),
            (1, "assistant", "Yes, sure", 0.5, 0.74, "reply.wav", 0.0),
            (2, "user", "Really?", 0.74, 0.74, None, None),
            (2, "assistant", "No", 0.74, 0.82, "reply.wav", 0.24),
        )
    ]
    assert captured.err == ""


def test_the_transcript_reads_well(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(*two_replies())
    main("chat --audio q1.wav --text Really? -o reply.wav".split())
    assert capsys.readouterr().out == (
        "00:00.00  user: (q1.wav, 0.50 s)\n"
        "00:00.50  assistant: Yes, sure\n"
        "00:00.74  [end: 0.24 s of sound, in reply.wav from 00:00.00]\n"
        "00:00.74  user: Really?\n"
        "00:00.74  assistant: No\n"
        "00:00.82  [end: 0.08 s of sound, in reply.wav from 00:00.24]\n"
    )


def test_control_characters_of_a_reply_do_not_reach_the_terminal(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use(["a\x1b]0;title\x07", "b\r", frame()])
    assert main(["chat", "--text", "Hi"]) == 0
    shown = capsys.readouterr().out
    assert "a ]0;title b " in shown
    assert not any(ord(character) < 32 and character != "\n" for character in shown)


def test_without_an_output_only_the_text_is_kept(
    use: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(*two_replies())
    before = set(tmp_path.iterdir())
    assert main("chat --text Hello".split()) == 0
    assert "[end: 0.24 s of sound]" in capsys.readouterr().out
    assert set(tmp_path.iterdir()) == before


def test_instructions_and_limits_reach_the_model(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    model = use([frame()] * 1000)
    assert main(["chat", "--text", "Hi", "--system", "Be brief.", "--max-reply", "2"]) == 0
    assert model.conversations[0].turns[0].text.endswith("audio. Be brief.")
    assert "cut off after 2.00 s of sound; allow more with --max-reply" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_said_and_exits_130(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = two_replies()
    use(first, ["Well", frame(512), KeyboardInterrupt()])
    assert main("chat --json --text A --text B --text C -o reply.wav".split()) == 130
    assert soundfile.info("reply.wav").frames == round(3.5 * FRAME_SAMPLES)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["turn"], last["text"], last["ended"]) == (2, "Well", "interrupted")


def test_a_failing_model_keeps_what_was_said(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(["Well", frame(512), NonFiniteError("hidden state is NaN")])
    assert main("chat --text A --text B -o reply.wav".split()) == 1
    assert soundfile.info("reply.wav").frames == FRAME_SAMPLES // 2
    captured = capsys.readouterr()
    assert "ended by an error: 0.04 s of sound, in reply.wav" in captured.out
    assert captured.err == "voiced: hidden state is NaN\n"


def test_a_reply_without_sound_is_told(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use(["Just", " text"])
    assert main("chat --text A -o reply.wav".split()) == 0
    captured = capsys.readouterr()
    assert "assistant: Just text\n" in captured.out
    assert "note: reply 1 has no sound" in captured.err
    assert not Path("reply.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "nothing to answer"),
        ("--audio missing.wav", "missing.wav"),
        ("--audio q1.wav --audio text.wav", "text.wav"),
        ("--audio short.wav", "expected at least 20 ms"),
        ("--audio q1.wav -o q1.wav", "q1.wav is both input and output"),
        ("--audio q1.wav -o q{turn}.wav", "q1.wav is both input and output"),
        ("--audio q1.wav -o -", "standard output has the transcript"),
        ("--audio q1.wav -o missing/r.wav", "the folder missing does not exist"),
        ("--text \udcff", "--text is not valid UTF-8"),
    ],
)
def test_bad_usage_is_one_sentence_and_computes_nothing(
    use: Use, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    model = use([frame()])
    assert main(["chat", *arguments.split()]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("voiced: ")
    assert error.count("\n") == 1
    assert message in error
    assert model.conversations == []


def test_empty_text_is_refused(use: Use, capsys: pytest.CaptureFixture[str]) -> None:
    use([frame()])
    assert main(["chat", "--text", " "]) == 2
    assert "--text is empty" in capsys.readouterr().err


def test_no_disk_space_ends_the_turn_and_keeps_its_text(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use(*two_replies())
    assert main("chat --text A -o /dev/full".split()) == 1
    captured = capsys.readouterr()
    assert "assistant: Yes,\n" in captured.out
    assert "cannot write /dev/full: no space is left" in captured.err


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x"])
def test_a_limit_is_a_number_of_seconds(value: str) -> None:
    with pytest.raises(SystemExit):
        main(["chat", "--text", "A", f"--max-reply={value}"])


def test_a_checkpoint_holds_a_conversation_alike_under_one_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def chat(name: str, seed: str) -> tuple[bytes, list[dict[str, Any]]]:
        arguments = ["--audio", str(QUESTION), "--text", "the other town", "--seed", seed]
        limits = ["--max-reply", "2", "--model", str(CHECKPOINT), "--device", "cpu"]
        output = tmp_path / name
        assert main(["chat", "--json", *arguments, *limits, "-o", str(output)]) == 0
        lines = capsys.readouterr().out.replace(str(output), "reply.wav").splitlines()
        return output.read_bytes(), [json.loads(line) for line in lines]

    first = chat("1.wav", "1")
    assert first == chat("2.wav", "1")
    assert first != chat("3.wav", "2")
    ended = [event for event in first[1] if event["event"] == "turn_ended"]
    assert [(event["turn"], event["role"]) for event in ended] == [
        (1, "user"),
        (1, "assistant"),
        (2, "user"),
        (2, "assistant"),
    ]
    sound_s = sum(event["end_s"] - event["start_s"] for event in ended if event["role"] != "user")
    assert sound_s == pytest.approx((len(first[0]) - 44) / 2 / 24_000, abs=0.01)


def test_the_command_needs_no_torch_to_refuse_bad_usage() -> None:
    import subprocess

    code = (
        "import sys; from voiced.cli.main import main; main(['chat', '--audio', 'missing.wav']); "
        "sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert result.returncode == 0
