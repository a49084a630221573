"""`voiced install-service`: the assistant as a systemd user service."""

import argparse
from pathlib import Path

from voiced.errors import UsageError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "install-service",
        help="start the assistant with your session (systemd)",
        description="Write a systemd user unit that runs 'voiced run', with what it may do bounded. Nothing is started; "
        "what to run next is said. The settings are those of the configuration file, see 'voiced config'.",
    )
    parser.add_argument("--print", action="store_true", help="print the unit, write nothing")
    parser.add_argument(
        "--force", action="store_true", help="overwrite a unit that was changed by hand"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the unit and say what to run next; return 0.

    Raises:
        UsageError: there is a unit that was changed by hand, or the configuration is wrong.
        OutputError: the unit or a folder of the service cannot be written.
    """
    from audio.writing import cannot_write
    from voiced import service_unit
    from voiced.configuration import configuration_path, load_configuration

    # The service gets the file's settings, not the variables and options of this shell.
    loaded = load_configuration(configuration_path(), environment={}, options={})
    folders = service_unit.own_folders(loaded.configuration.session.record)
    text = service_unit.unit_text(service_unit.own_command(), folders)
    if args.print:
        print(text, end="")
        return 0
    path = service_unit.unit_folder() / service_unit.NAME
    try:
        before = _read(path)
        if before is not None and not service_unit.is_as_written(before) and not args.force:
            raise UsageError(
                f"{path} was changed by hand and stays as it is; see what is new with 'voiced install-service --print', "
                "or overwrite it with --force"
            )
        for folder in (path.parent, *folders):  # What is not there cannot be made writable.
            folder.mkdir(parents=True, exist_ok=True)
        if before != text:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(str(error.filename or path), error) from error
    print("unchanged" if before == text else "wrote", path)
    print("run next:")
    print("  systemctl --user daemon-reload")
    print(f"  systemctl --user enable --now {service_unit.NAME}")
    print(f"and see what it does with: journalctl --user -fu {service_unit.NAME}")
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
