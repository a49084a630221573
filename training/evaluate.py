"""Examines a model folder of voiced-mini: every figure that is demanded of it, with its 95 % interval.

All sentences are held out from training, and so are some of the voices; the same options ask the same questions.
Run: make eval-mini, or python -m training.evaluate --model FOLDER [--quick]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.card import write_card
from training.exam import CHOOSING_SEED, SEED, Exam, as_heard_back
from training.examinee import Examinee, Reply
from training.figures import (
    Figure,
    Trial,
    answered_trial,
    at_least,
    at_most,
    error_points,
    error_rate,
    heard_trial,
    median,
    share_right,
    table,
    words_right,
    worst,
)
from training.judge import Judge, Sentences
from training.state import default_folder, write_json
from training.voices import HELD_OUT_SPEAKERS, REPLY_SPEAKERS, TRAINING_SPEAKERS
from training.world import NOT_UNDERSTOOD
from voiced.demonstration import MINI_FOLDER
from voiced.errors import VoicedError

COUNT, QUICK_COUNT = 200, 40
NUM_TIMED = 21  # Replies that are timed, after two that are not.
TIMED_THREADS = 2
NOISE_DB = 15.0


@dataclass(slots=True)
class Report:
    """What came out.

    Attributes:
        figures: the table.
        trials: by the figure's name, what it was counted from.
        remarks: what a reader of the figures must know.
    """

    figures: list[Figure] = field(default_factory=list)
    trials: dict[str, Sequence[Trial]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, figure: Figure, trials: Sequence[Trial] = ()) -> None:
        """Take in a figure."""
        self.figures.append(figure)
        if trials:
            self.trials[figure.name] = trials

    def as_json(self) -> dict[str, Any]:
        """Return everything that matters later, the worst errors among it."""
        return {
            "figures": [figure.as_json() for figure in self.figures],
            "remarks": self.remarks,
            "worst": {
                name: [asdict(trial) for trial in worst(trials)]
                for name, trials in self.trials.items()
            },
        }


Say = Callable[[str], None]


def examine(examinee: Examinee, exam: Exam, count: int, say: Say) -> Report:
    """Return the figures of a model.

    Args:
        examinee: the model.
        exam: what it is asked.
        count: how many sentences, questions or replies each figure rests on; half as many where nothing is asked.
        say: told what is being done.
    """
    report = Report()
    say("transcription")
    ask_for_transcripts(examinee, exam, count, report)
    say("questions")
    replies = ask_questions(examinee, exam, count, report)
    say("sums and phrases")
    ask_what_training_heard(examinee, exam, report)
    say("follow-ups")
    ask_follow_ups(examinee, exam, count, report)
    say("speech")
    ask_to_speak(examinee, exam, count, report)
    say("sound of the replies")
    hear_replies(examinee, replies, report)
    say("speed")
    time_replies(examinee, exam, min(count, NUM_TIMED), report)
    say("what is no question")
    ask_nothing(examinee, exam, -(count // -2), report)
    report.add(
        share_right("ends", "ends its turns by itself", examinee.endings, at_least(99), of="turns"),
        examinee.endings,
    )
    return report


def ask_for_transcripts(examinee: Examinee, exam: Exam, count: int, report: Report) -> None:
    """Transcribe questions of voices that training heard, that it did not hear, and under noise."""
    for name, what, demand, sounds in (
        (
            "asr",
            "ASR word error rate, training voices, unseen sentences",
            at_most(3),
            exam.questions(count, "asr", TRAINING_SPEAKERS),
        ),
        (
            "asr_unseen_voices",
            "ASR word error rate, voices never trained on",
            at_most(12),
            exam.questions(count, "asr unseen voices", HELD_OUT_SPEAKERS),
        ),
        (
            "asr_noise",
            f"ASR word error rate under {NOISE_DB:g} dB noise, training voices",
            at_most(8),
            exam.questions(count, "asr noise", TRAINING_SPEAKERS, snr_db=NOISE_DB),
        ),
    ):
        trials = [
            heard_trial(
                f"{spoken.exchange.intent}, {spoken.voice}",
                spoken.exchange.question,
                examinee.transcribe(spoken.sound),
            )
            for spoken in sounds
        ]
        report.add(error_rate(name, what, trials, demand, of="sentences"), trials)


def ask_questions(examinee: Examinee, exam: Exam, count: int, report: Report) -> list[Reply]:
    """Ask questions that stand alone; return the replies."""
    trials, replies = [], []
    for spoken in exam.questions(count, "questions", TRAINING_SPEAKERS):
        reply = examinee.reply(examinee.dialogue(), spoken.sound)
        replies.append(reply)
        about = f"{spoken.exchange.intent}, {spoken.voice}: {spoken.exchange.question}"
        trials.append(answered_trial(about, spoken.exchange.answer, reply.text))
    report.add(
        share_right(
            "answers",
            "spoken question → exactly right text answer",
            trials,
            at_least(95),
            of="questions",
        ),
        trials,
    )
    return replies


def ask_what_training_heard(examinee: Examinee, exam: Exam, report: Report) -> None:
    """Ask what is too short to be held out, and every sum, so that what is hard does not hide among the rest."""
    for name, what, questions in (
        ("phrases", "greetings, thanks, yes, no and the like, not held out", exam.phrases),
        ("sums", "every sum of the world, not held out", exam.sums),
    ):
        trials = []
        for spoken in questions(TRAINING_SPEAKERS):
            reply = examinee.reply(examinee.dialogue(), spoken.sound)
            about = f"{spoken.exchange.intent}, {spoken.voice}: {spoken.exchange.question}"
            trials.append(answered_trial(about, spoken.exchange.answer, reply.text))
        report.add(share_right(name, f"of these: {what}", trials, of="questions"), trials)


def ask_follow_ups(examinee: Examinee, exam: Exam, count: int, report: Report) -> None:
    """Hold dialogues in which the second or third turn needs the one before; what the model said before, it said."""
    trials = []
    for dialogue in exam.dialogues(count, TRAINING_SPEAKERS):
        conversation, before = examinee.dialogue(), ""
        for spoken in dialogue:
            exchange = spoken.exchange
            reply = examinee.reply(conversation, spoken.sound)
            said = f"{before}{exchange.question}"
            if exchange.is_follow_up:
                about = f"{exchange.intent}, {spoken.voice}: {said}"
                trials.append(answered_trial(about, exchange.answer, reply.text))
            before = f"{said} ({reply.text}) / "
    report.add(
        share_right(
            "follow_ups",
            "follow-up question that needs the turn before",
            trials,
            at_least(90),
            of="follow-ups",
        ),
        trials,
    )


def ask_to_speak(examinee: Examinee, exam: Exam, count: int, report: Report) -> None:
    """Have sentences read aloud, and let the model itself and an independent recogniser hear them."""
    judge = Judge(Sentences.of_questions(exam.world))
    own: list[Trial] = []
    judged: list[Trial] = []
    judged_espeak: list[Trial] = []
    voices = list(REPLY_SPEAKERS)
    for index, exchange in enumerate(exam.sentences(count, "speech")):
        text, voice = exchange.question, voices[index % len(voices)]
        about = f"{exchange.intent}, {voice}"
        sound = as_heard_back(examinee.speak(text, voice))
        own.append(heard_trial(about, text, examinee.transcribe(sound)))
        if judge.sentences.holds(text):
            target = as_heard_back(exam.reply_sound(text, voice))
            judged.append(heard_trial(about, text, judge.hear(sound)))
            judged_espeak.append(heard_trial(about, text, judge.hear(target)))
    report.add(
        error_rate(
            "tts", "TTS heard by its own ASR, word error rate", own, at_most(5), of="sentences"
        ),
        own,
    )
    report.add(
        error_points(
            "tts_judged",
            "TTS heard by pocketsphinx, word error rate above that on espeak-ng's own speech",
            judged,
            judged_espeak,
            at_most(10),
            of="sentences",
        ),
        judged,
    )
    report.add(
        error_rate(
            "espeak_judged",
            "for comparison: espeak-ng's own speech heard by pocketsphinx",
            judged_espeak,
            of="sentences",
        ),
        judged_espeak,
    )


def hear_replies(examinee: Examinee, replies: Iterable[Reply], report: Report) -> None:
    """Compare what replies say with what is written in them."""
    trials = [
        heard_trial("reply", reply.text, examinee.transcribe(as_heard_back(reply.sound)))
        for reply in replies
        if reply.text
    ]
    report.add(
        words_right(
            "reply_speech",
            "speech in the reply says what its text says (own ASR), words",
            trials,
            at_least(95),
            of="replies",
        ),
        trials,
    )


def time_replies(examinee: Examinee, exam: Exam, count: int, report: Report) -> None:
    """Time replies on two threads, hearing the question included."""
    threads = torch.get_num_threads()
    torch.set_num_threads(TIMED_THREADS)
    questions = list(exam.questions(count + 2, "speed", TRAINING_SPEAKERS))
    replies = [examinee.reply(examinee.dialogue(), spoken.sound) for spoken in questions][2:]
    torch.set_num_threads(threads)
    spoken_s = [(reply, len(reply.sound) / 24_000) for reply in replies if len(reply.sound)]
    if not spoken_s:
        report.remarks.append("No reply had sound, so none was timed.")
        return
    load = os.getloadavg()[0]
    if load > TIMED_THREADS + 0.5:
        report.remarks.append(
            f"Other programs were running while the replies were timed (load {load:.1f} on {os.cpu_count()} cores): "
            "the model alone is faster."
        )
    report.add(
        median(
            "real_time_factor",
            f"real-time factor of a spoken reply, {TIMED_THREADS} threads, plain PyTorch, median",
            [reply.total_s / length_s for reply, length_s in spoken_s],
            at_most(0.4),
            unit="",
            of="replies",
        )
    )
    report.add(
        median(
            "first_sound",
            "from the end of the question to the first sound, median",
            [reply.first_sound_s for reply, _ in spoken_s],
            unit="s",
            of="replies",
        )
    )


def ask_nothing(examinee: Examinee, exam: Exam, count: int, report: Report) -> None:
    """Let the model hear silence, noise, tones and other languages, in conversation and for transcription."""
    answers: dict[str, list[Trial]] = {}
    transcripts = []
    for negative in exam.negatives(count):
        text = examinee.reply(examinee.dialogue(), negative.sound).text
        wanted = text if text in {"", NOT_UNDERSTOOD} else NOT_UNDERSTOOD
        answers.setdefault(negative.kind, []).append(answered_trial(negative.about, wanted, text))
        transcripts.append(answered_trial(negative.about, "", examinee.transcribe(negative.sound)))
    together = [trial for trials in answers.values() for trial in trials]
    report.add(
        share_right(
            "negatives",
            f"silence, noise, tones, other languages → “{NOT_UNDERSTOOD}” or nothing",
            together,
            at_least(100),
            of="sounds",
        ),
        together,
    )
    for kind, trials in answers.items():
        name = f"negatives_{kind.replace(' ', '_')}"
        report.add(share_right(name, f"of these: {KINDS[kind]}", trials, of="sounds"))
    report.add(
        share_right(
            "negatives_asr", "the same sounds → an empty transcript", transcripts, of="sounds"
        ),
        transcripts,
    )


KINDS = {
    "silence": "silence",
    "noise": "noise",
    "tones": "tones",
    "foreign": "languages that training heard, other sentences",
    "unheard language": "languages that training never heard",
}


def described_errors(report: Report) -> Iterator[str]:
    """Yield lines that show the worst errors of each figure."""
    for name, trials in report.trials.items():
        wrong = sum(trial.errors > 0 for trial in trials)
        yield f"\n{name}: {wrong} of {len(trials)} with errors"
        for trial in worst(trials):
            yield f"  [{trial.about}] wanted '{trial.wanted}', got '{trial.got}'"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument(
        "--model",
        type=Path,
        default=MINI_FOLDER,
        metavar="FOLDER",
        help="the model folder (default: that in the source)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=default_folder(),
        metavar="FOLDER",
        help="of the training, for what the card says of it (default: %(default)s)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--count", type=int, default=COUNT, help="trials of each figure (default: %(default)s)"
    )
    size.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_COUNT} trials of each figure; writes no card unless one is named",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="the model card to write the figures into (default: README.md of the model folder)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        help=f"of the sentences (default: %(default)s; to choose among weights: {CHOOSING_SEED})",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show the worst errors of each figure"
    )
    args = parser.parse_args(given)
    if args.count < 1:
        parser.error(f"--count {args.count}: expected 1 or more")
    if args.quick:
        args.count = QUICK_COUNT
    elif args.card is None:
        args.card = args.model / "README.md"
    return args


def main(given: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = arguments(given)
    torch.set_num_threads(1)
    begun_at = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun_at:5.0f} s  {text}", file=sys.stderr, flush=True)

    try:
        examinee = Examinee(args.model)
    except VoicedError as error:
        sys.exit(f"error: {error}")
    report = examine(examinee, Exam(args.seed), args.count, say)
    say("done")
    print(table(report.figures))
    for remark in report.remarks:
        print(f"\n{remark}")
    if args.verbose:
        print("\n".join(described_errors(report)))
    if args.json is not None:
        write_json(
            args.json,
            {"model": str(args.model), "count": args.count, "seed": args.seed} | report.as_json(),
        )
    if args.card is not None:
        write_card(args.card, args.model, args.state, report.figures, report.remarks)
        print(f"\nwritten to {args.card}")


if __name__ == "__main__":
    main()
