"""The check that comes before every other import: the four packages are ours.

`audio` and `models` are names that a script or a folder of someone else can have too. Python then imports that one, and
the error that follows names neither. This module imports nothing of the project, so that it works just then.
"""

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("audio", "models", "protocols", "voiced")


def refuse_shadows() -> None:
    """End the program with one sentence when a package of the project is shadowed or missing; cost: under 1 ms."""
    message = describe_shadow(Path(__file__).resolve().parent.parent)
    if message is not None:
        sys.exit(f"voiced: {message}")


def describe_shadow(home: Path) -> str | None:
    """Return what is wrong when one of the four packages is not the one in `home`, else None."""
    for name in PACKAGES:
        expected, found = home / name, _find(name)
        if found is None:
            return f"package '{name}' is missing: expected {expected}; install voiced again"
        if found != expected:
            return (
                f"package '{name}' is {found}: expected {expected}; "
                "rename that one, start voiced from another folder, or take its folder out of PYTHONPATH"
            )
    return None


def _find(name: str) -> Path | None:
    """Return the folder of the package or the file of the module that `import name` takes; imports nothing."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # Something put a module without a spec into sys.modules.
        return Path("<made at run time>")
    if spec is None:
        return None
    if spec.origin is None:  # A folder without __init__.py.
        return Path(next(iter(spec.submodule_search_locations or ["<unknown>"]))).resolve()
    origin = Path(spec.origin).resolve()
    return origin.parent if origin.name.startswith("__init__.") else origin
