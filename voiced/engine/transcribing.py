"""What the user said in words, as jobs of lower priority than replies: a second pass of the model over the same sound."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from audio.chunk import Samples
from models.lfm2_audio import EndOfTurn, Mode, Sampling, TextToken
from voiced.engine import messages as m
from voiced.engine.model import EngineConversation, EngineModel
from voiced.engine.talk import PREFILL_POSITIONS, append_said
from voiced.speech_model import HEARING_RATE_HZ
from voiced.transcription import SYSTEM_PROMPT, is_loop, max_tokens

if TYPE_CHECKING:
    from models.lfm2_audio import Step

WINDOW_SAMPLES: Final = 512
MOST_FINAL: Final = 8  # That wait; when one more comes, the oldest fails.


class Transcription:
    """The making of one transcript, piece by piece, a step at each call of `advance`."""

    def __init__(
        self,
        request: m.Transcribe,
        model: EngineModel,
        *,
        longest_piece_s: float | None,
        encode: Callable[[bytes], Any],
    ) -> None:
        """Take note of what is to be done; nothing is computed yet.

        Args:
            request: the sound.
            model: writes it down, each piece in a conversation of its own.
            longest_piece_s: that the model was trained on; None: any turn is one piece.
            encode: makes embeddings of sound.
        """
        self.request = request
        self._model, self._encode = model, encode
        samples = m.unpack_samples(request.pcm)
        longest = (
            len(samples) if longest_piece_s is None else round(longest_piece_s * HEARING_RATE_HZ)
        )
        self._pieces = deque(cut_in_pieces(samples, longest))
        self._conversation: EngineConversation | None = None  # Of the present piece.
        self._steps: Iterator[Step] | None = None  # From the end of its prefill on.
        self._tokens: list[int] = []  # Of the present piece.
        self._most_tokens = 0
        self._texts: list[str] = []  # Of all pieces so far.
        self.is_complete = True  # Whether the model ended each piece by itself.
        self.is_done = False

    @property
    def is_prefilling(self) -> bool:
        """Whether the next step is a part of a prefill."""
        return self._conversation is not None and self._steps is None

    @property
    def text(self) -> str:
        """The words so far."""
        return " ".join(text.strip() for text in self._texts if text.strip())

    def advance(self) -> None:
        """Do one step.

        Raises:
            VoicedError: it cannot be done.
        """
        if self._conversation is None:
            self._begin_piece()
        elif self._steps is None:
            if not self._conversation.prefill(PREFILL_POSITIONS):
                self._steps = self._conversation.generate(
                    Mode.SEQUENTIAL, max_steps=self._most_tokens, sampling=Sampling()
                )
        else:
            self._step(next(self._steps))

    def _begin_piece(self) -> None:
        piece = self._pieces.popleft()
        encoded = self._encode(m.pack_samples(piece))
        conversation = self._model.conversation()
        conversation.begin_turn("system")
        conversation.append_text(SYSTEM_PROMPT)
        conversation.end_turn()
        append_said(conversation, encoded)
        self._conversation, self._steps = conversation, None
        self._tokens, self._most_tokens = [], max_tokens(len(piece))
        self._texts.append("")

    def _step(self, step: "Step") -> None:
        match step:
            case TextToken(token=token, text=text):
                self._texts[-1] += text
                self._tokens.append(token)
                if is_loop(self._tokens):
                    self._end_piece(is_complete=False)
            case EndOfTurn(reason=reason):
                self._end_piece(is_complete=reason == "end")
            case _:  # The model speaks instead of writing.
                self._end_piece(is_complete=False)

    def _end_piece(self, *, is_complete: bool) -> None:
        self.is_complete = self.is_complete and is_complete
        self._conversation = self._steps = None
        self.is_done = not self._pieces


class Desk:
    """The transcriptions of one session: one that is made, final ones that wait, and the newest interim one.

    An interim request takes the place of the one that waits, and a final one that of the interim ones of its turn, made or
    waiting. Final ones are made in order; at most MOST_FINAL wait.
    """

    def __init__(self) -> None:
        self.job: Transcription | None = None
        self._final: deque[m.Transcribe] = deque()
        self._interim: m.Transcribe | None = None
        self._shown: tuple[int, str, int] = (-1, "", 0)  # Turn, text and agreed part of the last.

    @property
    def has_work(self) -> bool:
        """Whether there is something to do."""
        return self.job is not None or bool(self._final) or self._interim is not None

    def take(self, request: m.Transcribe) -> m.Transcribe | None:
        """Take a request; return the one that has to make room for it, if it was a final one."""
        if not request.is_final:
            newest_final = max((final.turn for final in self._final), default=-1)
            if request.turn > newest_final:
                self._interim = request
            return None
        if self._interim is not None and self._interim.turn <= request.turn:
            self._interim = None
        running = self.job.request if self.job is not None else None
        if running is not None and not running.is_final and running.turn <= request.turn:
            self.job = None
        self._final.append(request)
        return self._final.popleft() if len(self._final) > MOST_FINAL else None

    def next_request(self) -> m.Transcribe:
        """Return what is to be done next; there is something."""
        if self._final:
            return self._final.popleft()
        interim, self._interim = self._interim, None
        assert interim is not None
        return interim

    def transcript(self, job: Transcription) -> m.Transcript:
        """Return what is told of a transcription that is done: agreed words stay as they were told."""
        request = job.request
        turn, shown, num_agreed = self._shown
        if request.is_final:
            text, agreed = job.text, len(job.text)
        elif turn != request.turn:
            text, agreed = job.text, 0
        else:
            text, agreed = agreement(shown, num_agreed, job.text)
        self._shown = (request.turn, text, agreed)
        return m.Transcript(
            session=request.session,
            turn=request.turn,
            text=text,
            num_agreed=agreed,
            is_final=request.is_final,
            num_samples=len(request.pcm) // 4,
            is_complete=job.is_complete,
        )


def agreement(shown: str, num_agreed: int, heard: str) -> tuple[str, int]:
    """Return the next interim text and how many characters of it are agreed on.

    Words are agreed on when two decodings in a row have them in the same place; they are kept from then on, and what a later
    decoding has instead of them is left out. Source: LocalAgreement-2 of Liu et al. 2020, "Low-latency sequence-to-sequence
    speech recognition and translation by partial hypothesis selection".
    """
    before, now = shown.split(), heard.split()
    kept = shown[:num_agreed].split()
    text = kept + now[len(kept) :]
    num_common = len(kept)
    while num_common < min(len(before), len(text)) and _bare(before[num_common]) == _bare(
        text[num_common]
    ):
        num_common += 1
    return " ".join(text), len(" ".join(text[:num_common]))


def cut_in_pieces(samples: Samples, longest: int) -> list[Samples]:
    """Return sound in pieces of at most `longest` samples, about equally long, cut at quiet places."""
    num_pieces = -(-len(samples) // longest)
    if num_pieces <= 1:
        return [samples]
    pieces = []
    start = 0
    for left in range(num_pieces, 1, -1):
        even = (len(samples) - start) / left
        # Early enough that the rest still fits into the pieces that are left, and no later than a piece may end.
        first = max(len(samples) - (left - 1) * longest, start + round(0.75 * even))
        last = min(start + longest, start + round(1.25 * even))
        end = _quietest(samples, min(first, last), last)
        pieces.append(samples[start:end])
        start = end
    return [*pieces, samples[start:]]


def _quietest(samples: Samples, first: int, last: int) -> int:
    """Return the middle of the quietest window between two positions."""
    num_windows = (last - first) // WINDOW_SAMPLES
    if num_windows < 1:
        return first
    windows = samples[first : first + num_windows * WINDOW_SAMPLES].reshape(num_windows, -1)
    return first + int(np.argmin(np.square(windows).mean(1))) * WINDOW_SAMPLES + WINDOW_SAMPLES // 2


def _bare(word: str) -> str:
    return word.strip(".,;:!?…\"'").casefold()
