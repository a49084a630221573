"""What is read of a talk: lines that stand, and lines that may still change.

Pure. What a user said is often known later than the reply to it begins, or never; what a reply said is known when it was
heard to its end or cut off. Each exchange is told in order, once, as soon as nothing of it can change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from protocols.events import Event, HowEnded, Noticed, TextAdded, Transcribed, TurnEnded, TurnTimed
from voiced.ledger import timing_header, timing_line
from voiced.text_output import without_controls

Speaker = Literal["you", "voiced", "note", "timing"]
# Two beginnings so near are the same one: the user went on, and all was said in one exchange.
SAME_START_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the talk.

    Attributes:
        speaker: who said it.
        text: what was said, without control characters.
        num_sure: characters at the beginning that will not change.
        at_s: seconds on the conversation's clock at which it began.
        remark: what is to be known of it, such as that it was cut off.
    """

    speaker: Speaker
    text: str
    num_sure: int
    at_s: float | None = None
    remark: str = ""


@dataclass(slots=True)
class _Exchange:
    turn: int
    start_s: float = 0.0
    said: str | None = None  # None until it is known.
    said_s: float = 0.0  # How long it took; 0 for written text.
    interim: str = ""
    is_said: bool = False  # The user's side is over,
    is_told: bool = False  # and stands.
    reply: str = ""
    reply_s: float | None = None  # Where the reply began.


class Transcript:
    """Takes events and returns the lines that stand from then on.

    Args:
        shows_timings: have a line of the latency ledger after each exchange.
    """

    def __init__(self, *, shows_timings: bool) -> None:
        self._shows_timings = shows_timings
        self._has_header = False
        self._exchanges: dict[int, _Exchange] = {}  # Those that may change, in order; mostly one.
        self._newest_over = 0  # Number of the newest exchange that stands.
        self._interim: Transcribed | None = None  # While the user speaks.

    def take(self, event: Event) -> list[Line]:
        """Take an event and return the lines that stand now."""
        match event:
            case Transcribed(is_final=False):
                self._interim = event
                return []
            case Transcribed(turn=turn, text=text):
                return self._know_said(turn, _clean(text))
            case TurnEnded(role="user"):
                return self._end_user(event)
            case TextAdded(turn=turn, text=text, start_s=start_s):
                exchange = self._of(turn)
                exchange.reply += _clean(text)
                if exchange.reply_s is None:
                    exchange.reply_s = start_s
                return self._tell_known(exchange)
            case TurnEnded():
                return self._end_reply(event)
            case Noticed(text=text):
                return [_line("note", _clean(text))]
            case TurnTimed() if self._shows_timings:
                header = [] if self._has_header else [_line("timing", timing_header())]
                self._has_header = True
                return [*header, _line("timing", timing_line(event))]
        return []

    def open_lines(self) -> list[Line]:
        """Return the lines that may still change."""
        lines = []
        for exchange in self._exchanges.values():
            if exchange.is_said and not exchange.is_told:
                lines.append(_said(exchange))
            if exchange.reply:
                lines.append(_line("voiced", exchange.reply.strip(), exchange.reply_s))
        if self._interim is not None and self._interim.text.strip():
            text = _clean(self._interim.text)
            lines.append(Line(speaker="you", text=text, num_sure=self._interim.num_agreed))
        return lines

    def finish(self) -> list[Line]:
        """Return all lines that were still open: the talk is over."""
        lines = [line for line in self.open_lines() if line.text]
        self._exchanges.clear()
        self._interim = None
        return [_line(line.speaker, line.text, line.at_s) for line in lines]

    def _of(self, turn: int) -> _Exchange:
        return self._exchanges.setdefault(turn, _Exchange(turn))

    def _end_user(self, event: TurnEnded) -> list[Line]:
        lines = list(self._end_older(event))
        exchange = self._of(event.turn)
        exchange.start_s, exchange.said_s = event.start_s, event.end_s - event.start_s
        exchange.is_said = True
        if event.text:
            exchange.said = _clean(event.text)
        if self._interim is not None:
            exchange.interim = _clean(self._interim.text)
            self._interim = None
        return lines + self._tell_known(exchange)

    def _end_older(self, event: TurnEnded) -> Iterator[Line]:
        """Let older exchanges stand as they are; those that this one says again are forgotten."""
        for turn in [turn for turn in self._exchanges if turn < event.turn]:
            exchange = self._exchanges.pop(turn)
            is_said_again = exchange.is_said and event.start_s <= exchange.start_s + SAME_START_S
            if exchange.is_said and not exchange.is_told and not is_said_again:
                yield _said(exchange)
            if exchange.reply.strip() and not is_said_again:
                yield _line("voiced", exchange.reply.strip(), exchange.reply_s, "not heard")

    def _know_said(self, turn: int, text: str) -> list[Line]:
        exchange = self._exchanges.get(turn)
        if exchange is None:  # It stands already, without words.
            return [_line("you", text, None, "said before")] if turn <= self._newest_over else []
        exchange.said = text
        return self._tell_known(exchange)

    def _tell_known(self, exchange: _Exchange) -> list[Line]:
        """Let the user's side stand once it is known and is being answered; before that the user may go on."""
        if exchange.is_told or not exchange.is_said or exchange.said is None or not exchange.reply:
            return []
        exchange.is_told = True
        return [_said(exchange)]

    def _end_reply(self, event: TurnEnded) -> list[Line]:
        exchange = self._exchanges.pop(event.turn, _Exchange(event.turn, is_told=True))
        self._newest_over = max(self._newest_over, event.turn)
        lines = [_said(exchange)] if exchange.is_said and not exchange.is_told else []
        text = _clean(event.text).strip() or "(no text)"
        return [*lines, _line("voiced", text, event.start_s, _REMARKS[event.ended])]


_REMARKS: dict[HowEnded, str] = {
    "end": "",
    "step limit": "cut off: as long as allowed",
    "context full": "cut off: the conversation is as long as the model can hold",
    "interrupted": "cut off here",
    "failed": "ended by an error",
}


def _said(exchange: _Exchange) -> Line:
    text = exchange.said if exchange.said is not None else exchange.interim
    if not text.strip():
        text = f"({exchange.said_s:.1f} s of speech)"
    sure = len(text) if exchange.said is not None or not exchange.interim else 0
    return Line(speaker="you", text=text.strip(), num_sure=sure, at_s=exchange.start_s)


def _line(speaker: Speaker, text: str, at_s: float | None = None, remark: str = "") -> Line:
    return Line(speaker=speaker, text=text, num_sure=len(text), at_s=at_s, remark=remark)


def _clean(text: str) -> str:
    return without_controls(text)
