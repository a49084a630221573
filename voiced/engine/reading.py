"""Reading a text aloud, as a job that is done a frame at a time; see `voiced.speech`."""

from collections.abc import Callable, Iterator
from typing import Final

from audio.chunk import Samples
from voiced.engine import messages as m

MOST_WARNINGS: Final = 8


class Reading:
    """The making of the sound of one text."""

    def __init__(
        self,
        request: m.Speak,
        read: Callable[[m.Speak, Callable[[str], None]], Iterator[Samples]],
        emit: Callable[[m.FromEngine], None],
        now_s: Callable[[], float],
    ) -> None:
        """Take note of what is to be read; nothing is computed yet.

        Args:
            request: the text and how to read it.
            read: returns its sound, part by part, and tells a function what is odd about it.
            emit: takes what is said.
            now_s: tells the time.

        Raises:
            UsageError: the text or the voice is none that the model can speak.
        """
        self.request = request
        self._parts = read(request, self._warn)
        self._emit, self._now_s = emit, now_s
        self._received_s = now_s()
        self._first_frame_s: float | None = None
        self._num_samples = 0
        self._warnings: list[str] = []
        self.is_done = False

    def advance(self) -> None:
        """Do one step.

        Raises:
            VoicedError: it cannot be read.
        """
        session, turn = self.request.session, self.request.turn
        samples = next(self._parts, None)
        if samples is not None:
            if self._first_frame_s is None:
                self._first_frame_s = self._now_s()
            self._emit(
                m.Sound(
                    session=session,
                    turn=turn,
                    pcm=m.pack_samples(samples),
                    position_samples=self._num_samples,
                )
            )
            self._num_samples += len(samples)
            return
        self.is_done = True
        self._emit(
            m.Ended(
                session=session,
                turn=turn,
                how="step limit" if self._warnings else "end",
                num_samples=self._num_samples,
                warnings=tuple(self._warnings),
                timings=m.Timings(
                    received_s=self._received_s,
                    first_frame_s=self._first_frame_s,
                    ended_s=self._now_s(),
                ),
            )
        )

    def _warn(self, text: str) -> None:
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(text)
