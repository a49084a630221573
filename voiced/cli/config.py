"""`voiced config`: every setting, its value, and where that comes from."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiced.configuration import Loaded, Resolved, Setting
    from voiced.setting_types import Value


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "config",
        help="show every setting and where it comes from",
        description="Show every setting, its value and where that comes from: the configuration file, a variable "
        "VOICED_… above it, or nowhere (the default). Wrong and unknown settings are told as errors.",
        epilog="Options of 'voiced run' go above both.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="one JSON object a line and setting")
    what.add_argument(
        "--init",
        action="store_true",
        help="write a configuration file that explains every setting, if there is none",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the settings, or write the file; return 0.

    Raises:
        UsageError: the configuration is wrong, or there is a file already.
        OutputError: the file cannot be written.
    """
    if args.init:
        return _write_file()

    import os

    from voiced.configuration import configuration_path, load_configuration

    loaded = load_configuration(configuration_path(), environment=os.environ, options={})
    for line in json_lines(loaded) if args.json else text_lines(loaded):
        print(line)
    return 0


def json_lines(loaded: "Loaded") -> list[str]:
    """Return one JSON object for each setting."""
    return [
        json.dumps(
            {
                "key": resolved.setting.key,
                "value": str(resolved.value)
                if isinstance(resolved.value, Path)
                else resolved.value,
                "origin": resolved.origin,
                "where": resolved.where or None,
                "variable": resolved.setting.variable,
            }
        )
        for resolved in loaded.values.values()
    ]


def text_lines(loaded: "Loaded") -> list[str]:
    """Return a line for the file, and below it one for each setting, by section."""
    missing = "" if loaded.path.exists() else " (not there; 'voiced config --init' writes one)"
    lines = [f"# {loaded.path}{missing}"]
    rows = [(_toml(one), _origin(one), one.setting) for one in loaded.values.values()]
    width = max(len(row[0]) for row in rows)
    section = None
    for assignment, origin, setting in rows:
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        lines.append(f"{assignment:{width}}  # {origin}")
    return lines


def template() -> str:
    """Return a configuration file with every setting explained and none set."""
    from voiced.configuration import SETTINGS

    lines = [
        "# Settings of voiced. Take the # away before the ones to change; 'voiced config' shows all."
    ]
    section = None
    for setting in SETTINGS.values():
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        says = f"{setting.says[0].upper()}{setting.says[1:]}"
        lines += ["", f"# {says} ({setting.kind.expected})."]
        lines.append(f"# {setting.name} = {_example(setting)}")
    return "\n".join(lines) + "\n"


def _write_file() -> int:
    from audio.writing import cannot_write
    from voiced.configuration import configuration_path
    from voiced.errors import UsageError

    path = configuration_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already and stays as it is; change it with an editor, or move it away"
        ) from error
    except OSError as error:
        raise cannot_write(str(path), error) from error
    print(f"wrote {path}")
    return 0


def _toml(resolved: "Resolved") -> str:
    if resolved.value is None:
        return f"# {resolved.setting.name}"
    return f"{resolved.setting.name} = {_literal(resolved.value)}"


def _origin(resolved: "Resolved") -> str:
    match resolved.origin:
        case "default":
            return "not set" if resolved.value is None else "default"
        case "environment":
            return f"from the variable {resolved.where}"
        case _:
            return f"from {resolved.where}"


def _literal(value: "Value") -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _example(setting: "Setting") -> str:
    """Return a value that may stand there: the default, or where there is none something likely."""
    examples: dict[str, Value] = {
        "model": "lfm2.5-audio",
        "threads": 4,
        "unload_after_s": 1800.0,
        "input_device": "USB",
        "output_device": "USB",
        "record": "~/talks",
    }
    return _literal(examples[setting.name] if setting.default is None else setting.default)
