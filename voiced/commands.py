"""What the user does in a talk besides speaking."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ToggleMute:
    """Close the microphone, or open it again."""

    command: ClassVar[str] = "toggle_mute"


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Cut the reply off."""

    command: ClassVar[str] = "interrupt"


@dataclass(frozen=True, slots=True)
class Press:
    """Begin to talk."""

    command: ClassVar[str] = "press"


@dataclass(frozen=True, slots=True)
class Release:
    """End talking."""

    command: ClassVar[str] = "release"


@dataclass(frozen=True, slots=True)
class EnterText:
    """Say something in writing."""

    command: ClassVar[str] = "enter_text"
    text: str


@dataclass(frozen=True, slots=True)
class Quit:
    """End the talk."""

    command: ClassVar[str] = "quit"


Command = ToggleMute | Interrupt | Press | Release | EnterText | Quit
COMMANDS: dict[str, type[Command]] = {
    kind.command: kind for kind in (ToggleMute, Interrupt, Press, Release, EnterText, Quit)
}
