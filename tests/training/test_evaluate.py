"""The examination: what is asked, how it is counted, and what is written down."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.card import between_marks, write_card
from training.curves import draw, read_log
from training.espeak import EspeakError
from training.evaluate import arguments, described_errors, examine
from training.exam import Exam, Negative, Spoken, as_heard_back
from training.examinee import Examinee, Reply
from training.figures import Figure, table
from training.voices import HELD_OUT_SPEAKERS, TRAINING_SPEAKERS, Speaker
from training.world import is_held_out
from voiced.dialogue import Dialogue

Samples = NDArray[np.float32]


class KnownExam(Exam):
    """Remembers what is right for each sound that it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.right: dict[bytes, tuple[str, str]] = {}  # Of a sound: what is said, and the answer.

    def questions(
        self, num: int, name: str, speakers: Sequence[Speaker], *, snr_db: float = 60
    ) -> Iterator[Spoken]:
        return map(self._known, super().questions(num, name, speakers, snr_db=snr_db))

    def dialogues(self, num_follow_ups: int, speakers: Sequence[Speaker]) -> Iterator[list[Spoken]]:
        for dialogue in super().dialogues(num_follow_ups, speakers):
            yield list(map(self._known, dialogue))

    def _known(self, spoken: Spoken) -> Spoken:
        self.right[spoken.sound.tobytes()] = spoken.exchange.question, spoken.exchange.answer
        return spoken


class Oracle(Examinee):
    """Knows every answer, and speaks as espeak-ng does; in what the exam did not say, it hears nothing."""

    def __init__(self, exam: KnownExam) -> None:
        self.exam, self.endings = exam, []

    def transcribe(self, samples: Samples) -> str:
        text = self.exam.right.get(samples.tobytes(), ("", ""))[0]
        self._note("transcription", text, has_ended=True)
        return text

    def dialogue(self) -> Dialogue:
        return None  # type: ignore[return-value]  # what is right is known without a history

    def reply(self, dialogue: Dialogue, samples: Samples) -> Reply:
        answer = self.exam.right.get(samples.tobytes(), ("", ""))[1]
        self._note("conversation", answer, has_ended=True)
        sound = self.speak(answer, "us_male") if answer else np.zeros(0, np.float32)
        return Reply(text=answer, sound=sound, first_sound_s=0.1, total_s=0.2 * len(sound) / 24_000)

    def speak(self, text: str, voice: str) -> Samples:
        sound = self.exam.reply_sound(text, voice)
        self.exam.right[as_heard_back(sound).tobytes()] = text, ""
        self._note("speech", text, has_ended=True)
        return sound


class Mute(Examinee):
    """Says nothing and finds no end."""

    def __init__(self) -> None:
        self.endings = []

    def transcribe(self, samples: Samples) -> str:
        self._note("transcription", "", has_ended=False)
        return ""

    def dialogue(self) -> Dialogue:
        return None  # type: ignore[return-value]  # it has none

    def reply(self, dialogue: Dialogue, samples: Samples) -> Reply:
        return Reply(text="", sound=np.zeros(0, np.float32), first_sound_s=1, total_s=1)

    def speak(self, text: str, voice: str) -> Samples:
        return np.zeros(0, np.float32)


@pytest.fixture(scope="module")
def exam() -> KnownExam:
    try:
        return KnownExam()
    except EspeakError as error:
        pytest.skip(str(error))


def figures_of(examinee: Examinee, exam: Exam) -> dict[str, Figure]:
    report = examine(examinee, exam, 6, lambda _: None)
    return {figure.name: figure for figure in report.figures}


def test_an_oracle_meets_every_demand(exam: KnownExam) -> None:
    figures = figures_of(Oracle(exam), exam)
    assert [name for name, figure in figures.items() if figure.verdict == "missed"] == []
    assert sum(bool(figure.verdict) for figure in figures.values()) == 11
    assert figures["asr"].value == figures["tts"].value == 0
    assert figures["follow_ups"].value == figures["negatives"].value == 100
    assert figures["real_time_factor"].value == pytest.approx(0.2)


def test_a_mute_model_misses_all_that_can_be_missed_in_silence(exam: KnownExam) -> None:
    figures = figures_of(Mute(), exam)
    assert figures["asr"].value == figures["tts"].value == 100
    assert figures["answers"].value == figures["follow_ups"].value == figures["ends"].value == 0
    assert figures["negatives"].value == 100
    assert "real_time_factor" not in figures


def test_a_model_is_asked_as_the_product_asks_it(untrained_folder: Path, exam: Exam) -> None:
    examinee = Examinee(untrained_folder, longest_reply_s=0.5)
    spoken = next(exam.questions(1, "test", TRAINING_SPEAKERS))
    assert isinstance(examinee.transcribe(spoken.sound), str)
    dialogue = examinee.dialogue()
    for _ in range(2):
        reply = examinee.reply(dialogue, spoken.sound)
        assert len(reply.sound) <= 12_000
        assert 0 < reply.first_sound_s <= reply.total_s
    assert examinee.speak("hello", "us_male").dtype == np.float32
    modes = [trial.about for trial in examinee.endings]
    assert modes == ["transcription", "conversation", "conversation", "speech, us_male"]


def test_questions_are_held_out_differ_and_come_in_all_voices(exam: Exam) -> None:
    asked = list(exam.questions(8, "test", HELD_OUT_SPEAKERS))
    assert all(is_held_out(spoken.exchange.question) for spoken in asked)
    assert len({spoken.exchange.question for spoken in asked}) == 8
    assert {spoken.voice for spoken in asked} == {speaker.voice for speaker in HELD_OUT_SPEAKERS}


def test_who_asks_more_asks_the_same_first(exam: Exam) -> None:
    assert exam.sentences(9, "test")[:4] == exam.sentences(4, "test")
    assert exam.sentences(4, "test") != exam.sentences(4, "another")


def test_dialogues_end_in_a_follow_up_whose_answer_is_the_worlds(exam: Exam) -> None:
    dialogues = list(exam.dialogues(6, TRAINING_SPEAKERS))
    exchanges = [[spoken.exchange for spoken in dialogue] for dialogue in dialogues]
    assert sum(one.is_follow_up for dialogue in exchanges for one in dialogue) >= 6
    for dialogue in exchanges:
        assert dialogue[-1].is_follow_up
        answered = exam.world.answer(dialogue[-1].question, dialogue[-2])
        assert answered is not None
        assert answered.answer == dialogue[-1].answer


def test_what_is_no_question_comes_in_every_kind(exam: Exam) -> None:
    negatives: list[Negative] = list(exam.negatives(10))
    assert len({negative.kind for negative in negatives}) == 5
    for negative in negatives:
        assert negative.sound.dtype == np.float32
        assert len(negative.sound) > 8000
        assert np.abs(negative.sound).max() <= 1


def test_a_reply_is_heard_back_at_16_khz_without_digital_silence() -> None:
    sound = as_heard_back(np.zeros(24_000, np.float32))
    assert len(sound) == 16_000 * 1.3
    assert 0.0005 < sound.std() < 0.002


def test_the_card_is_made_of_the_template_and_what_is_outside_the_marks_stays(
    untrained_folder: Path, tmp_path: Path, exam: KnownExam
) -> None:
    card, figures = tmp_path / "README.md", list(figures_of(Mute(), exam).values())
    (tmp_path / "codec.json").write_text('{"step": 12, "seconds": 120}')
    write_card(card, untrained_folder, tmp_path, figures[:1], ["A remark."])
    card.write_text(card.read_text() + "\nBy hand.\n")
    write_card(card, untrained_folder, tmp_path, figures[1:], [])
    text = card.read_text()
    assert table(figures[1:]) in text
    assert figures[0].what not in text
    assert "A remark." not in text
    assert "| training of the codec | 12 steps in 2 minutes |" in text
    assert "backbone, LFM2" in text
    assert text.endswith("\nBy hand.\n")


def test_a_card_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="figures: begin"):
        between_marks("# A card", "figures", "")


def test_errors_are_shown_with_what_was_wanted_and_what_came(exam: KnownExam) -> None:
    report = examine(Mute(), exam, 2, lambda _: None)
    assert any(line.startswith("  [") and "got ''" in line for line in described_errors(report))
    assert json.loads(json.dumps(report.as_json()))["worst"]["asr"]


def test_only_a_full_examination_writes_the_card_unasked(tmp_path: Path) -> None:
    model = ["--model", str(tmp_path)]
    assert arguments(model).card == tmp_path / "README.md"
    assert arguments([*model, "--quick"]).card is None
    assert arguments([*model, "--quick", "--card", "a.md"]).card == Path("a.md")


def test_steps_that_were_done_again_count_once(tmp_path: Path) -> None:
    steps = [1, 2, 3, 2, 3, 4]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"step": step}) + "\n" for step in steps))
    assert [line["step"] for line in read_log(tmp_path / "a.jsonl")] == [1, 2, 3, 4]


def test_curves_are_drawn_of_the_logs_that_are_there(tmp_path: Path) -> None:
    lines = [{"step": step, "minutes": step / 2, "loss": 1 / step, "seen": 90} for step in (1, 2)]
    (tmp_path / "hearing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    titles = draw(tmp_path, tmp_path / "curves.png")
    assert len(titles) == 2
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_log_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--state"):
        draw(tmp_path, tmp_path / "curves.png")
