"""The look of the region, in windows of every size."""

import io

import pyte
import pytest
from rich.console import Console

from protocols.events import State
from voiced.face.drawing import LABELS, View, draw_line, draw_region, meter
from voiced.face.transcript import Line


def console(width: int = 80, height: int = 24, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(
        file=file, force_terminal=True, width=width, height=height, color_system="standard"
    )


def rows(view: View, width: int = 80, height: int = 24, encoding: str = "utf-8") -> list[str]:
    """Return what a terminal of this size shows of the region."""
    drawn = console(width, height, encoding)
    with drawn.capture() as capture:
        drawn.print(draw_region(view, drawn), end="")
    screen = pyte.Screen(width, height + 20)
    pyte.Stream(screen).feed(capture.get().replace("\n", "\r\n"))
    return [row.rstrip() for row in screen.display if row.strip()]


def line(text: str, num_sure: int | None = None) -> Line:
    return Line(speaker="you", text=text, num_sure=len(text) if num_sure is None else num_sure)


@pytest.mark.parametrize("state", list(LABELS))
def test_every_state_is_a_word(state: State) -> None:
    assert rows(View(state=state))[-1].startswith(f"● {LABELS[state]}")


def test_the_status_has_a_meter_and_the_keys() -> None:
    assert rows(View(state="listening", level_dbfs=-33.0), width=100) == [
        "● listening     ▮▮▮▮▮▮▯▯▯▯▯▯   space to interrupt, m to mute, q to quit, or type"
    ]


def test_muted_the_meter_is_empty_and_the_key_is_told() -> None:
    (row,) = rows(View(state="muted", level_dbfs=-6.0))
    assert "▮" not in row
    assert "m to unmute" in row


def test_with_push_to_talk_the_space_bar_is_explained() -> None:
    assert "space to talk" in rows(View(state="listening", push_to_talk=True))[-1]
    talking = View(state="hearing", push_to_talk=True, is_talking=True)
    (row,) = rows(talking)
    assert row.startswith("● talking")
    assert "space when you are done" in row


def test_without_keys_none_is_told() -> None:
    assert "quit" not in rows(View(state="listening", has_keys=False))[-1]


def test_a_terminal_without_these_signs_gets_others() -> None:
    (row,) = rows(View(state="listening", level_dbfs=-6.0), encoding="ascii")
    assert row.isascii()
    assert row.startswith("* listening")
    assert "############" in row


@pytest.mark.parametrize(
    ("dbfs", "num_full"),
    [(-200.0, 0), (float("-inf"), 0), (-60.0, 0), (-33.0, 6), (-6.0, 12), (20.0, 12)],
)
def test_the_meter_goes_from_quiet_to_loud(dbfs: float, num_full: int) -> None:
    assert meter(dbfs, is_ascii=True) == "#" * num_full + "." * (12 - num_full)


def test_a_level_that_is_no_number_is_silence() -> None:
    assert meter(float("nan"), is_ascii=True) in {"." * 12, "#" * 12}


def test_what_is_being_typed_is_shown_with_what_enter_does() -> None:
    status, entry = rows(View(state="listening", entry="hello"))
    assert entry == "> hello"
    assert "Enter to send" in status


def test_of_a_long_entry_its_end_is_shown() -> None:
    row = rows(View(entry="abcdefghij" * 20 + "END"), width=20)[-1]
    assert row.startswith("> ")
    assert row.endswith("END")


@pytest.mark.parametrize("width", [1, 2, 5, 11, 20, 39, 40, 79, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 24])
def test_the_region_fits_every_window(width: int, height: int) -> None:
    view = View(
        lines=(line("words " * 60), line("語学の勉強" * 30, num_sure=7)),
        state="speaking",
        entry="語" * 50,
    )
    drawn = console(width, height)
    with drawn.capture() as capture:
        drawn.print(draw_region(view, drawn), end="")
    shown = rows(view, width, height)
    assert len(shown) <= max(2, height - 1)
    assert capture.get().count("\n") <= max(2, height)


def test_of_long_words_so_far_the_newest_rows_are_shown() -> None:
    shown = rows(View(lines=(line("old " * 200 + "new"),)), width=40)
    assert len(shown) == 7
    assert shown[-2].endswith("new")


def test_wide_characters_are_not_cut_in_half() -> None:
    shown = rows(View(lines=(line("語" * 30),)), width=21)
    assert "".join(shown[:-1]).replace(" ", "").count("語") == 30


def test_what_may_change_looks_different() -> None:
    drawn = draw_line(line("turn on the lie", num_sure=11))
    styles = {drawn.plain[span.start : span.end]: str(span.style) for span in drawn.spans}
    assert styles[" lie"] == "dim italic"


def test_marks_of_a_line_are_no_markup() -> None:
    text = draw_line(line("[bold]x[/bold] :smile:"))
    assert text.plain == "you: [bold]x[/bold] :smile:"


def test_without_colour_everything_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    drawn = console()
    with drawn.capture() as capture:
        drawn.print(draw_region(View(state="muted"), drawn))
    assert "muted" in capture.get()
    assert "\x1b[31m" not in capture.get()
    assert "\x1b[1;31m" not in capture.get()
