"""What a setting may be: how it is read from TOML and from text, and what to say when it is something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Value = bool | int | float | str | Path | None
MAX_SHOWN = 60  # Characters of a wrong value in a message.


class SettingType(Protocol):
    """Reads values of one type; every method raises ValueError with what was expected and what came."""

    @property
    def expected(self) -> str:
        """What a value must be, for messages and help."""

    def from_toml(self, value: object, folder: Path) -> Value:
        """Return the setting for a value of a TOML file that lies in `folder`."""

    def from_text(self, text: str) -> Value:
        """Return the setting for the text of an option or a variable."""


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    expected: str = "true or false"

    def from_toml(self, value: object, folder: Path) -> bool:
        del folder
        if not isinstance(value, bool):
            raise _unexpected(value, self.expected)
        return value

    def from_text(self, text: str) -> bool:
        match text.strip().lower():
            case "true" | "on" | "yes" | "1":
                return True
            case "false" | "off" | "no" | "0":
                return False
        raise _unexpected(text, self.expected)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return one_of(self.words)

    def from_toml(self, value: object, folder: Path) -> str:
        del folder
        if not isinstance(value, str) or value not in self.words:
            raise _unexpected(value, self.expected)
        return value

    def from_text(self, text: str) -> str:
        return self.from_toml(text.strip(), Path())


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number within limits, which belong to the range."""

    least: float
    most: float
    unit: str
    is_whole: bool = False

    @property
    def expected(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        return f"{kind} of {self.unit} from {self.least:g} to {self.most:g}"

    def from_toml(self, value: object, folder: Path) -> float | int:
        del folder
        kinds: tuple[type, ...] = (int,) if self.is_whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise _unexpected(value, self.expected)
        assert isinstance(value, int | float)
        if not self.least <= value <= self.most:  # NaN is not either.
            raise _unexpected(value, self.expected)
        return value if self.is_whole else float(value)

    def from_text(self, text: str) -> float | int:
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            raise _unexpected(text, self.expected) from None
        return self.from_toml(value, Path())


@dataclass(frozen=True, slots=True)
class Text:
    """A few words on one line."""

    expected: str

    def from_toml(self, value: object, folder: Path) -> str:
        del folder
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise _unexpected(value, self.expected)
        return value

    def from_text(self, text: str) -> str:
        return self.from_toml(text, Path())


@dataclass(frozen=True, slots=True)
class DeviceName:
    """A sound device: its number, or a part of its name."""

    expected: str = "the number of a device or a part of its name"

    def from_toml(self, value: object, folder: Path) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return str(value)
        return Text(self.expected).from_toml(value, folder)

    def from_text(self, text: str) -> str:
        return self.from_toml(text, Path())


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, which need not exist; in a file it counts from the file's own folder, and `~` is the user's home."""

    expected: str = "the path of a folder"

    def from_toml(self, value: object, folder: Path) -> Path:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise _unexpected(value, self.expected)
        try:
            return folder / Path(value).expanduser()
        except RuntimeError:
            raise _unexpected(value, f"{self.expected}; no user has that name") from None

    def from_text(self, text: str) -> Path:
        return self.from_toml(text, Path())


def one_of(words: Sequence[str]) -> str:
    """Return the words as a list in a sentence: "'a', 'b' or 'c'"."""
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _unexpected(value: object, expected: str) -> ValueError:
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    if len(shown) > MAX_SHOWN:
        shown = f"{shown[:MAX_SHOWN]}…"
    return ValueError(f"{shown}: expected {expected}")
