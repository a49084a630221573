"""The shape of the project: who imports whom, what ships, what things are called."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from importlinter.cli import lint_imports

from voiced.cli.main import COMMANDS
from voiced.startup import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchaudio", "torchvision", "transformers")


def sources(*folders: str) -> Iterator[Path]:
    """Every Python file below the folders of the checkout, without what tests keep as data."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in path.parts and ROOT / "tests" / "data" not in path.parents:
                yield path


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after it has executed `code`."""
    listing = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(result.stdout.split())


def test_imports_go_down_only(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize("package", ["audio", "protocols"])
def test_sound_and_wire_import_no_torch(package: str) -> None:
    files = [path.relative_to(ROOT).with_suffix("") for path in sources(package)]
    modules = [".".join(path.parts).removesuffix(".__init__") for path in files]
    assert imported_by(f"import {', '.join(modules)}").isdisjoint(HEAVY)


@pytest.mark.skipif(not (ROOT / "voiced" / "client.py").exists(), reason="there is no client yet")
def test_the_client_imports_no_torch() -> None:
    assert imported_by("import voiced.client").isdisjoint(HEAVY)


def test_building_the_command_line_imports_neither_torch_nor_numpy() -> None:
    held = imported_by("from voiced.cli.main import build_parser; build_parser()")
    assert held.isdisjoint({*HEAVY, "numpy", "soundfile", "onnxruntime", "huggingface_hub", "rich"})


def test_the_wheel_holds_the_four_packages_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        names = set(wheel.namelist())
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()
        metadata = wheel.read(f"{info}/METADATA").decode()
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, info}
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {str(path.relative_to(ROOT)) for path in sources(*PACKAGES)} <= names
    weights = (path for path in (ROOT / "voiced" / "mini").rglob("*") if path.is_file())
    assert {str(path.relative_to(ROOT)) for path in weights} <= names
    assert f"{info}/licenses/LICENSE" in names
    assert "voiced = voiced.cli.main:script" in entry_points
    assert "\nRequires-Python: <3.14,>=3.11\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata


def test_the_weights_that_ship_have_at_most_24_mb() -> None:
    folder = ROOT / "voiced" / "mini"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 24_000_000


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "training", *PACKAGES])
def test_every_folder_of_python_files_is_a_package(folder: str) -> None:
    folders = {path.parent for path in sources(folder)}
    assert folders
    assert [path for path in sorted(folders) if not (path / "__init__.py").exists()] == []


def test_no_script_has_the_name_of_a_package() -> None:
    """A script's folder comes first in the search path: `scripts/audio.py` would be imported as `audio`."""
    names = {f"{package}.py" for package in PACKAGES}
    beside = [path for path in ROOT.glob("*.py") if path.name in names]
    below = [
        path
        for path in sources("benchmarks", "docs", "scripts", "tests", "training")
        if path.name in names
    ]
    assert beside + below == []


def test_loggers_are_named_under_voiced() -> None:
    wrong = []
    for path in sources(*PACKAGES):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith("getLogger"):
                continue
            name = (
                call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
            )
            # A library's logger is called by the library's name.
            ours = str(name).partition(".")[0] in {*PACKAGES, "__main__"}
            if not isinstance(name, str) or (ours and not f"{name}.".startswith("voiced.")):
                wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}")
    assert wrong == []


def test_every_pinned_requirement_is_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {match[0].lower() for line in required if (match := re.match(r"[\w-]+", line))}
    lines = [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] != "#"
    ]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)] == []
    assert names <= {line.partition("==")[0].lower().replace("_", "-") for line in lines}


def test_every_package_that_is_imported_is_required() -> None:
    """Not only by chance there, as what another package requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (extra for name, extra in project["optional-dependencies"].items() if name != "dev")
    required = {normal(line) for line in chain(project["dependencies"], *extras)}
    found: dict[str, str] = {}
    for path in sources(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    homes = importlib.metadata.packages_distributions()
    missing = {
        name: place
        for name, place in found.items()
        if name not in sys.stdlib_module_names and name not in PACKAGES
        if not {normal(home) for home in homes.get(name, ())} & required
    }
    assert missing == {}


def normal(requirement: str) -> str:
    """Return the name that a requirement begins with, as package indexes spell it."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_shows_every_command(command: str) -> None:
    assert f"voiced {command}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "target", [*"setup run test check bench fuzz soak train-mini eval-mini".split()]
)
def test_make_knows_every_target_and_help_names_it(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert f"make {target} " in makefile
