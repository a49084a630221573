"""Settings as options of a command, and the configuration that they and the rest add up to."""

import argparse
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.configuration import Loaded, Setting
    from voiced.setting_types import Value


def add_setting_options(parser: "argparse._ActionsContainer", names: Iterable[str]) -> None:
    """Add an option for each of these settings; what is not given is absent from the parsed arguments."""
    from voiced.configuration import SETTINGS
    from voiced.setting_types import Choice, Switch

    for setting in map(SETTINGS.__getitem__, names):
        if isinstance(setting.kind, Switch):
            parser.add_argument(
                setting.option,
                dest=setting.name,
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=f"{setting.says} (default: {'on' if setting.default else 'off'})",
            )
            continue
        default = "" if setting.default is None else f" (default: {_shown(setting.default)})"
        metavar = "|".join(setting.kind.words) if isinstance(setting.kind, Choice) else None
        parser.add_argument(
            setting.option,
            dest=setting.name,
            type=_reader(setting),
            default=argparse.SUPPRESS,
            metavar=metavar or setting.name.rpartition("_")[2].upper(),
            help=f"{setting.says}{default}".replace("%", "%%"),
        )


def load_settings(args: argparse.Namespace) -> "Loaded":
    """Return the configuration of the user's file, the environment and these arguments.

    Raises:
        UsageError: see `load_configuration`.
    """
    from voiced.configuration import configuration_path, load_configuration

    return load_configuration(
        configuration_path(), environment=os.environ, options=given_settings(args)
    )


def given_settings(args: argparse.Namespace) -> "dict[str, Value]":
    """Return the settings among these arguments, by name."""
    from voiced.configuration import SETTINGS

    return {name: value for name, value in vars(args).items() if name in SETTINGS}


def _reader(setting: "Setting") -> "Callable[[str], Value]":
    def read(text: str) -> "Value":
        try:
            return setting.kind.from_text(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _shown(value: "Value") -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
