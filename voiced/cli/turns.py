"""One exchange of a conversation: a turn of the user and the reply to it, shown and written as they are made."""

from collections.abc import Callable, Iterator
from pathlib import Path

from audio.chunk import Samples
from protocols.events import Event, HowEnded, TextAdded, TurnEnded, encode_line
from voiced.cli.notes import note
from voiced.dialogue import Dialogue, ReplyEnded, ReplySound, ReplyText
from voiced.questions import Said
from voiced.speech_model import SOUND_RATE_HZ
from voiced.text_output import TextOutput, without_controls


class Exchange:
    """The reply to one turn of the user, as far as it has come.

    Attributes:
        late_s: silence before and within the reply where its sound was not made in time; set by who writes the sound.
        end_s: where the reply's sound ends so far, on the conversation's clock.
    """

    def __init__(self, turn: int, reply_start_s: float) -> None:
        """Begin exchange `turn` (from 1), whose reply can begin at `reply_start_s` on the conversation's clock."""
        self._turn = turn
        self._reply_start_s = reply_start_s
        self.late_s = 0.0
        self.end_s = reply_start_s

    def events(
        self,
        dialogue: Dialogue,
        said: Said,
        *,
        max_reply_s: float,
        write: Callable[[Samples], None],
        audio: Path | None = None,
        offset_s: float = 0.0,
    ) -> Iterator[Event]:
        """Yield the events of the reply; `write` gets each part of its sound before the next is made.

        The last event is a TurnEnded, also when an error or Ctrl-C cuts the reply off; that is raised after it.

        Args:
            dialogue: gives the reply.
            said: what it replies to.
            max_reply_s: of sound; a longer reply is cut off.
            write: takes mono float32 samples at 24 kHz.
            audio: the file that `write` writes to.
            offset_s: what to add to a time on the conversation's clock to get the place in that file.
        """
        text = ""
        num_samples = 0
        start_s = self._reply_start_s
        ended: HowEnded = "failed"
        failure: BaseException | None = None
        content = said.text if said.samples is None else said.samples
        try:
            for part in dialogue.reply(content, max_reply_s=max_reply_s):
                match part:
                    case ReplyText(text=added, position_samples=position):
                        text += added
                        time_s = self._reply_start_s + self.late_s + position / SOUND_RATE_HZ
                        yield TextAdded(
                            turn=self._turn, role="assistant", text=added, start_s=time_s
                        )
                    case ReplySound(samples=samples):
                        write(samples)
                        if not num_samples:
                            start_s += self.late_s
                        num_samples += len(samples)
                        self.end_s = self._reply_start_s + self.late_s + num_samples / SOUND_RATE_HZ
                    case ReplyEnded(ended=how):
                        ended = how
        except KeyboardInterrupt as interruption:
            ended, failure = "interrupted", interruption
        except Exception as error:
            failure = error  # Raised again below, when the turn's end has been told.
        has_file = audio is not None and num_samples > 0
        yield TurnEnded(
            turn=self._turn,
            role="assistant",
            text=text,
            start_s=start_s,
            end_s=self.end_s,
            ended=ended,
            audio=str(audio) if has_file else None,
            audio_start_s=start_s + offset_s if has_file else None,
        )
        if failure is not None:
            raise failure


def user_turn(said: Said, turn: int, start_s: float) -> TurnEnded:
    """Return the event of what the user said, beginning at `start_s` on the conversation's clock."""
    return TurnEnded(
        turn=turn,
        role="user",
        text=said.text,
        start_s=start_s,
        end_s=start_s + said.duration_s,
        audio=None if said.path is None else str(said.path),
        audio_start_s=None if said.path is None else 0.0,
    )


class JsonTranscript:
    """Writes each event as one JSON object on a line of standard output, at once."""

    def __init__(self) -> None:
        self._output = TextOutput(None, on_failure=note)

    def show(self, event: Event) -> None:
        self._output.write(encode_line(event) + "\n")


class TextTranscript:
    """Writes a conversation for a reader to standard output, each turn after the time of its beginning, text as it comes."""

    def __init__(self) -> None:
        self._output = TextOutput(None, on_failure=note)
        self._is_open = False  # Whether a reply's line has begun and not ended.

    def show(self, event: Event) -> None:
        match event:
            case TextAdded():
                begun = "" if self._is_open else f"{clock(event.start_s)}  assistant: "
                self._output.write(begun + without_controls(event.text))
                self._is_open = True
            case TurnEnded(role="user"):
                content = (
                    without_controls(event.text)
                    or f"({event.audio}, {event.end_s - event.start_s:.2f} s)"
                )
                self._output.write(f"{clock(event.start_s)}  user: {content}\n")
            case TurnEnded():
                begun = "" if self._is_open else f"{clock(event.start_s)}  assistant: (no text)"
                self._output.write(f"{begun}\n{clock(event.end_s)}  {_how_ended(event)}\n")
                self._is_open = False


Transcript = JsonTranscript | TextTranscript


def clock(time_s: float) -> str:
    """Return a time as minutes, seconds and hundredths: `01:02.50`."""
    hundredths = round(time_s * 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def note_end(event: Event) -> None:
    """Say what is odd about how a reply ended: without sound, or cut off."""
    if not isinstance(event, TurnEnded) or event.role == "user":
        return
    sound_s = event.end_s - event.start_s
    if event.ended == "step limit":
        note(
            f"reply {event.turn} was cut off after {sound_s:.2f} s of sound; allow more with --max-reply"
        )
    elif event.ended == "context full":
        note(f"reply {event.turn} was cut off: the conversation is as long as the model can hold")
    if event.ended in ("end", "step limit", "context full") and not sound_s:
        note(f"reply {event.turn} has no sound: the model made no audio frame")


def _how_ended(event: TurnEnded) -> str:
    how = {"end": "end", "failed": "ended by an error", "step limit": "cut off (step limit)"}.get(
        event.ended, f"cut off ({event.ended})"
    )
    kept = f", in {event.audio} from {clock(event.audio_start_s or 0.0)}" if event.audio else ""
    return f"[{how}: {event.end_s - event.start_s:.2f} s of sound{kept}]"
