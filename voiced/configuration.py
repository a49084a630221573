"""What the user has set: one TOML file, environment variables above it, options above both.

A setting has a section and a name. `headset` of the section `sound` is written so:

    [sound]
    headset = true          in the file
    VOICED_HEADSET=on       in the environment
    --headset               as an option

Nothing is set silently: what is unknown, of a wrong type or out of range is an error that says where it stands.
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import platformdirs

from voiced.errors import UsageError
from voiced.setting_types import (
    Choice,
    DeviceName,
    Folder,
    Number,
    SettingType,
    Switch,
    Text,
    Value,
    one_of,
)

PREFIX = "VOICED_"
# So like the name of a setting that it is taken for a slip of the pen; other variables of that prefix are not ours to judge.
LIKENESS = 0.8

DTYPES = ("auto", "bfloat16", "float16", "float32")
NO_WAKE_WORD = "off"
# Those whose networks the package pymicro-wakeword has in it.
WAKE_WORDS = ("alexa", "hey jarvis", "hey mycroft", "okay nabu")

Origin = Literal["default", "file", "environment", "option"]


def _setting(default: Value, kind: SettingType, says: str) -> Any:
    return field(default=default, metadata={"kind": kind, "says": says})


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What computes."""

    model: str | None = _setting(
        None,
        Text("a folder, a hub name or an alias that 'voiced models' lists"),
        "the model that answers; without it the best one installed",
    )
    device: str = _setting("auto", Text("auto, cpu, cuda or cuda:N"), "what computes")
    dtype: str = _setting("auto", Choice(DTYPES), "number format to compute in")
    threads: int | None = _setting(
        None,
        Number(1, 1024, "threads", is_whole=True),
        "of the processor; without it as many as help",
    )
    unload_after_s: float | None = _setting(
        None,
        Number(10, 31_536_000, "seconds"),
        "when nobody has talked for so long the model leaves memory, and comes back when somebody speaks; without it it stays",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSettings:
    """Microphone and speaker."""

    input_device: str | None = _setting(
        None, DeviceName(), "the microphone; without it the system's default"
    )
    output_device: str | None = _setting(
        None, DeviceName(), "the speaker; without it the system's default"
    )
    headset: bool = _setting(
        False, Switch(), "the microphone cannot hear the speaker: cancel no echo"
    )
    noise_suppression: bool = _setting(True, Switch(), "take steady noise out of what is heard")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """Who may speak."""

    longest_turn_s: float = _setting(
        30.0, Number(2, 60, "seconds"), "a turn of the user's that is longer is cut there"
    )
    push_to_talk: bool = _setting(False, Switch(), "listen only after a key, not to every voice")
    wake_word: str = _setting(
        NO_WAKE_WORD,
        Choice((NO_WAKE_WORD, *WAKE_WORDS)),
        "listen only after this word, and for 8 seconds after each reply",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySettings:
    """What is answered."""

    max_reply_s: float = _setting(
        60.0, Number(0.1, 600, "seconds"), "a reply with more sound is cut off there"
    )
    preemptive: bool = _setting(
        True, Switch(), "prepare the reply in pauses of the user's, so that it comes at once"
    )
    transcripts: str = _setting(
        "auto",
        Choice(("auto", "on", "off")),
        "write down what the user says; auto: as long as the machine keeps up",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What is kept."""

    record: Path | None = _setting(  # noqa: RUF009 - it makes a field, like the others.
        None, Folder(), "keep every talk in a folder of its own in here; without it none"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All settings."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)
    turns: TurnSettings = field(default_factory=TurnSettings)
    reply: ReplySettings = field(default_factory=ReplySettings)
    session: SessionSettings = field(default_factory=SessionSettings)


SECTIONS: dict[str, type[Any]] = {
    "engine": EngineSettings,
    "sound": SoundSettings,
    "turns": TurnSettings,
    "reply": ReplySettings,
    "session": SessionSettings,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; names are unique among all sections, so that variables and options need no section."""

    section: str
    name: str
    default: Value
    kind: SettingType
    says: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        """As on the command line; the unit is left to the help."""
        return "--" + self.name.removesuffix("_s").replace("_", "-")


def _settings() -> Iterator[Setting]:
    for section, cls in SECTIONS.items():
        for item in dataclasses.fields(cls):
            meta = item.metadata
            default: Any = item.default  # Every field has one.
            yield Setting(section, item.name, default, meta["kind"], meta["says"])


SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _settings()}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The value of a setting and where it comes from.

    Attributes:
        where: the file and line, the variable or the option; empty for a default.
    """

    setting: Setting
    value: Value
    origin: Origin
    where: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration, and where each value of it comes from.

    Attributes:
        path: the file that was read, or would have been.
        values: by name, in the order of the sections.
    """

    configuration: Configuration
    path: Path
    values: Mapping[str, Resolved]


def configuration_path() -> Path:
    """Return where the file is looked for: `voiced/config.toml` in the user's configuration folder (XDG_CONFIG_HOME)."""
    return platformdirs.user_config_path("voiced") / "config.toml"


def load_configuration(
    path: Path, *, environment: Mapping[str, str], options: Mapping[str, Value]
) -> Loaded:
    """Return the configuration of this file, these variables and these options, by name.

    Raises:
        UsageError: the file cannot be read or is no TOML; something is unknown, of a wrong type or out of range, or two
            settings exclude each other.
    """
    resolved = {name: Resolved(s, s.default, "default") for name, s in SETTINGS.items()}
    resolved |= _read_file(path)
    resolved |= _read_environment(environment)
    return _loaded(path, resolved | _read_options(options))


def recorded_configuration(
    path: Path, recorded: Mapping[str, object], *, options: Mapping[str, Value]
) -> Loaded:
    """Return the configuration that a talk was recorded with, and these options above it.

    Args:
        path: where it is recorded.
        recorded: by key. What this version does not know is left out.
        options: by name.

    Raises:
        UsageError: a value is of a wrong type or out of range.
    """
    resolved = {name: Resolved(s, s.default, "default") for name, s in SETTINGS.items()}
    for setting in SETTINGS.values():
        value = recorded.get(setting.key)
        if value is None:
            continue
        try:
            read = setting.kind.from_toml(value, path.parent)
        except ValueError as error:
            raise UsageError(f"{path}: {setting.key} is {error}") from error
        resolved[setting.name] = Resolved(setting, read, "file", str(path))
    return _loaded(path, resolved | _read_options(options))


def changed_settings(before: Loaded, after: Loaded) -> list[Setting]:
    """Return the settings whose values differ."""
    return [
        setting
        for name, setting in SETTINGS.items()
        if before.values[name].value != after.values[name].value
    ]


def _loaded(path: Path, resolved: Mapping[str, Resolved]) -> Loaded:
    _check_openers(resolved["push_to_talk"], resolved["wake_word"])
    sections = {
        section: cls(**{f.name: resolved[f.name].value for f in dataclasses.fields(cls)})
        for section, cls in SECTIONS.items()
    }
    return Loaded(Configuration(**sections), path, resolved)


def _read_options(options: Mapping[str, Value]) -> dict[str, Resolved]:
    return {
        name: Resolved(SETTINGS[name], value, "option", SETTINGS[name].option)
        for name, value in options.items()
    }


def _check_openers(key: Resolved, word: Resolved) -> None:
    if key.value and word.value != NO_WAKE_WORD:
        raise UsageError(
            f"{key.setting.key} ({key.where}) and {word.setting.key} ({word.where}) are both on: expected one of them, "
            f"as either alone says when to listen; switch one off with {key.setting.option.replace('--', '--no-', 1)} "
            f"or {word.setting.option} {NO_WAKE_WORD}"
        )


def _read_file(path: Path) -> Iterator[tuple[str, Resolved]]:
    try:
        text = path.read_bytes().decode()
        table = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot read the configuration {path}: {reason}; see that you may read it, or move it away"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: byte {error.start} is not UTF-8: expected a TOML file in UTF-8; save it so in the editor"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{path}: not valid TOML: {_first_lower(str(error))}; mend it there"
        ) from error
    for section, content in table.items():
        if section not in SECTIONS:
            raise UsageError(_unknown_section(path, text, section))
        if not isinstance(content, dict):
            place = _place(path, text, section, None)
            raise UsageError(
                f"{place}: '{section}' is a section: expected [{section}] on a line of its own, and settings below it"
            )
        for name, value in content.items():
            place = _place(path, text, section, name)
            setting = SETTINGS.get(name)
            if setting is None or setting.section != section:
                raise UsageError(
                    f"{place}: no setting '{name}' in [{section}]{_nearest(section, name)}"
                )
            try:
                read = setting.kind.from_toml(value, path.parent)
            except ValueError as error:
                raise UsageError(f"{place}: {setting.key} is {error}") from error
            yield name, Resolved(setting, read, "file", place)


def _read_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Resolved]]:
    known = {setting.variable: setting for setting in SETTINGS.values()}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or not text:  # Empty is as good as not set.
            continue
        setting = known.get(variable)
        if setting is None:
            similar = get_close_matches(variable, known, n=1, cutoff=LIKENESS)
            if similar:
                raise UsageError(
                    f"environment: no setting {variable}; did you mean {similar[0]}? else unset it"
                )
            continue
        try:
            yield (
                setting.name,
                Resolved(setting, setting.kind.from_text(text), "environment", variable),
            )
        except ValueError as error:
            raise UsageError(f"environment: {variable} is {error}") from error


def _unknown_section(path: Path, text: str, section: str) -> str:
    setting = SETTINGS.get(section)
    place = _place(path, text, section, None)
    if setting is not None:
        return f"{place}: '{section}' stands in no section: expected it below [{setting.section}]"
    similar = get_close_matches(section, SECTIONS, n=1)
    hint = f"; did you mean [{similar[0]}]?" if similar else f": expected {one_of(list(SECTIONS))}"
    return f"{place}: no section '{section}'{hint}"


def _nearest(section: str, name: str) -> str:
    """Return what to write instead of an unknown name."""
    if name in SETTINGS:
        return f"; it belongs to [{SETTINGS[name].section}]"
    similar = get_close_matches(name, SETTINGS, n=1)
    if not similar:
        own = [setting.name for setting in SETTINGS.values() if setting.section == section]
        return f": expected {one_of(own)}"
    setting = SETTINGS[similar[0]]
    where = "" if setting.section == section else f" in [{setting.section}]"
    return f"; did you mean '{setting.name}'{where}?"


def _place(path: Path, text: str, section: str, name: str | None) -> str:
    """Return `path:line` of a setting, or of a section; the path alone where the file writes it in an unusual way."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header is not None:
            current = header[1].strip("\"' ")
            if name is None and current == section:
                return f"{path}:{number}"
            continue
        key = re.match(r"\s*([\w.\"' -]+?)\s*=", line)
        if key is None:
            continue
        parts = [part.strip("\"' ") for part in f"{current}.{key[1]}".strip(".").split(".")]
        if parts[: 1 if name is None else 2] == [section, *([] if name is None else [name])]:
            return f"{path}:{number}"
    return str(path)


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
