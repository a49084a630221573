"""One reply as a job: from what the user said to the last sound, a step at each call, to be left after any of them."""

import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

from models.lfm2_audio import AudioFrame, EndOfTurn, Mode, Sampling, TextToken
from protocols.events import HowEnded
from voiced.engine import messages as m
from voiced.engine.cutting import MadeStep
from voiced.engine.talk import (
    KEPT,
    PREFILL_POSITIONS,
    Rebuild,
    Talk,
    Turn,
    estimated_positions,
)
from voiced.speech_model import FRAME_SAMPLES, FRAMES_PER_S

if TYPE_CHECKING:
    from models.decoding import FrameDecoder
    from models.lfm2_audio import Step

TEXT_PER_AUDIO = 6 / 12  # Interleaved: 6 text tokens, then 12 audio frames.
SPARE_STEPS = 16  # For text after the last sound.


class Stage(Enum):
    """How far a reply is."""

    WAITING = "waiting"  # Nothing was computed.
    ROOM = "making room"  # The oldest turns leave, as the model can hold no more.
    PREFILL = "prefill"
    STEPS = "steps"
    FLUSH = "flush"  # The last sound.
    DONE = "done"


class Reply:
    """The making of one reply.

    Attributes:
        request: that it answers.
        stage: how far it is.
        is_cut: it goes on only until the talk holds what the user said; set from outside.
        computed_s: time that its steps took.
    """

    def __init__(
        self,
        request: m.Prepare,
        talk: Talk,
        *,
        sampling: Sampling,
        max_reply_s: float,
        encode: Callable[[bytes], Any],
        emit: Callable[[m.FromEngine], None],
        now_s: Callable[[], float],
    ) -> None:
        """Take note of what is to be done; nothing is computed yet.

        Args:
            request: what the user said.
            talk: that it is said in.
            sampling: of the reply.
            max_reply_s: of sound.
            encode: makes embeddings of the user's sound.
            emit: takes Text, Sound, Trimmed and Ended.
            now_s: tells the time.
        """
        self.request, self._talk = request, talk
        self._sampling, self._max_frames = sampling, round(max_reply_s * FRAMES_PER_S)
        self._max_steps = math.ceil(self._max_frames * (1 + TEXT_PER_AUDIO)) + SPARE_STEPS
        self._encode, self._emit, self._now_s = encode, emit, now_s
        self._said: Any = None  # Once encoded.
        self._rebuild: Rebuild | None = None  # While room is made.
        self._turn: Turn | None = None  # In the talk, from PREFILL on.
        self._steps: Iterator[Step] = iter(())
        self._decoder: FrameDecoder | None = None
        self._unsent: list[m.Step] = []  # Steps since the last Text or Sound.
        self._how: HowEnded = "end"
        self._num_tokens = self._num_frames = self._num_samples = 0
        self._times: dict[str, float] = {}
        self._received_s = now_s()
        self.stage = Stage.WAITING
        self.is_cut = False
        self.computed_s = 0.0

    @property
    def turn(self) -> int:
        """Its number."""
        return self.request.turn

    @property
    def is_prefilling(self) -> bool:
        """Whether the next step is a part of a prefill."""
        return self.stage in {Stage.ROOM, Stage.PREFILL}

    @property
    def has_begun(self) -> bool:
        """Whether the talk holds what the user said."""
        return self._turn is not None

    @property
    def timings(self) -> m.Timings:
        """When what was reached, so far."""
        return m.Timings(received_s=self._received_s, computed_s=self.computed_s, **self._times)

    def advance(self) -> None:
        """Do one step.

        Raises:
            VoicedError: the reply cannot be made; what it has left in the talk is the caller's to take back.
        """
        begun_s = self._now_s()
        self._times.setdefault("begun_s", begun_s)
        try:
            match self.stage:
                case Stage.WAITING | Stage.ROOM:
                    self._make_room()
                case Stage.PREFILL:
                    if not self._talk.conversation.prefill(PREFILL_POSITIONS):
                        self._begin_steps()
                case Stage.STEPS:
                    self._step()
                case Stage.FLUSH:
                    self._flush()
                case Stage.DONE:
                    pass
        finally:
            self.computed_s += self._now_s() - begun_s

    def _make_room(self) -> None:
        if self._said is None:
            text = self.request.text
            self._said = text or self._encode(self.request.pcm)
            self._times["encoded_s"] = self._now_s()
        if self._rebuild is not None:
            num_left = self._rebuild.num_left
            if not self._rebuild.advance():
                return
            self._emit(
                m.Trimmed(
                    session=self.request.session,
                    num_turns=num_left,
                    num_positions=self._talk.num_positions,
                )
            )
        most = self._talk.model.max_positions
        needed = estimated_positions(self._said, min(self._max_steps, most // 4))
        if self._rebuild is None and self._talk.turns and not self._talk.has_room(needed):
            kept = min(int(KEPT * self._talk.most_positions), most - needed - self._talk.num_system)
            self._rebuild = Rebuild(
                self._talk,
                most_positions=kept,
                encode=lambda samples: self._encode(m.pack_samples(samples)),
            )
            self.stage = Stage.ROOM
            return
        self._rebuild = None
        self._turn = self._talk.begin(self.turn, self._said)
        self.stage = Stage.PREFILL

    def _begin_steps(self) -> None:
        self._times["prefilled_s"] = self._now_s()
        self._decoder = self._talk.model.decoder()
        self._steps = self._talk.conversation.generate(
            Mode.INTERLEAVED, max_steps=self._max_steps, sampling=self._sampling
        )
        self.stage = Stage.STEPS

    def _step(self) -> None:
        assert self._decoder is not None
        match next(self._steps):
            case TextToken(token=token, text=text):
                self._made(token, text)
                self._num_tokens += 1
                self._times.setdefault("first_token_s", self._now_s())
                if text:
                    self._emit(
                        m.Text(
                            session=self.request.session,
                            turn=self.turn,
                            text=text,
                            position_samples=self._num_frames * FRAME_SAMPLES,
                            steps=self._take_unsent(),
                        )
                    )
            case AudioFrame(codes=codes) as frame:
                self._made(codes)
                if not frame.is_sound:
                    return
                self._num_frames += 1
                self._sound(self._decoder.push(codes))
                if self._num_frames >= self._max_frames:
                    self._end("step limit")
            case EndOfTurn(reason=reason):
                self._end(reason)

    def _end(self, how: HowEnded) -> None:
        assert self._turn is not None
        self._turn.has_ended = True
        self._how, self.stage = how, Stage.FLUSH

    def _flush(self) -> None:
        assert self._decoder is not None
        self._sound(self._decoder.flush())
        self._times["ended_s"] = self._now_s()
        self.stage = Stage.DONE
        self._emit(
            m.Ended(
                session=self.request.session,
                turn=self.turn,
                how=self._how,
                num_tokens=self._num_tokens,
                num_frames=self._num_frames,
                num_samples=self._num_samples,
                num_positions=self._talk.num_positions,
                steps=self._take_unsent(),
                timings=self.timings,
            )
        )

    def _made(self, step: m.Step, text: str = "") -> None:
        self._talk.add(MadeStep(step, text))
        self._unsent.append(step)

    def _sound(self, samples: Any) -> None:
        if not len(samples):
            return
        self._times.setdefault("first_frame_s", self._now_s())
        self._emit(
            m.Sound(
                session=self.request.session,
                turn=self.turn,
                pcm=m.pack_samples(samples),
                position_samples=self._num_samples,
                steps=self._take_unsent(),
            )
        )
        self._num_samples += len(samples)

    def _take_unsent(self) -> tuple[m.Step, ...]:
        steps, self._unsent = tuple(self._unsent), []
        return steps
