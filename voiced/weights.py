"""Which model folder a command uses: one that the user names, one that is installed, or the one that comes with voiced.

Nothing here uses the network; fetching is `voiced/hub.py`'s.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

import models
from voiced import __version__
from voiced.demonstration import FULL_MODEL, MINI_FOLDER, WORLD, read_demonstration
from voiced.errors import OutputError, UsageError
from voiced.published import DEFAULT, MINI, PUBLISHED, STAND_IN, Published, find_published

if TYPE_CHECKING:
    import torch

# Of the seeds tried, the one whose model always has something to say: sound for every text, and replies that end.
STAND_IN_SEED = 131
MAX_SHOWN = 200  # Characters of a name or path in a message.
DETOKENIZER_FILES = ("audio_detokenizer/config.json", "audio_detokenizer/model.safetensors")
MIMI_FILE = "tokenizer-e351c8d8-checkpoint125.safetensors"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model folder on this machine.

    Attributes:
        folder: holds config.json and the weights.
        name: the repository's name, the folder's, "voiced-mini" or "random".
        is_stand_in: it has random weights and answers noise.
    """

    folder: Path
    name: str
    is_stand_in: bool


def find_model(name: str | None, *, mini: Path = MINI_FOLDER) -> FoundModel:
    """Return the model that `name` stands for; makes the random stand-in when that is it.

    Args:
        name: a folder, a hub name, an alias, "voiced-mini", "random"; None: the default model if it is installed, else
            another published one that is, else voiced-mini, and without its weights the stand-in.
        mini: the folder of voiced-mini.

    Raises:
        UsageError: there is no such model on this machine, or its folder may not be entered; the message says what to do.
        OutputError: the stand-in cannot be written.
    """
    try:
        return _find_model(name, mini)
    except OSError as error:
        about = "a model" if name is None else f"model '{_shortened(name)}'"
        where = "" if error.filename is None else f" in {_shortened(str(error.filename))}"
        raise UsageError(
            f"cannot look for {about}{where}: {(error.strerror or str(error)).lower()}; "
            "give a folder that can be entered, or a name that 'voiced models' lists"
        ) from error


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _find_model(name: str | None, mini: Path) -> FoundModel:
    if name is None:
        for model in PUBLISHED:
            folder = find_installed(model.repository)
            if folder is not None and not missing_files(folder):
                return FoundModel(folder, model.repository, is_stand_in=False)
        if not missing_files(mini):
            return FoundModel(mini, MINI, is_stand_in=False)
        return FoundModel(_make_stand_in(), STAND_IN, is_stand_in=True)
    if name == MINI:
        return FoundModel(_require_mini(mini), MINI, is_stand_in=False)
    if name == STAND_IN:
        return FoundModel(_make_stand_in(), STAND_IN, is_stand_in=True)
    published = find_published(name)
    if published is not None:
        return FoundModel(
            _require_installed(published.repository, published),
            published.repository,
            is_stand_in=False,
        )
    folder = _expand_user(name)
    if name and folder.is_dir():
        return FoundModel(folder, folder.resolve().name, is_stand_in=False)
    if is_repository_name(name):
        return FoundModel(_require_installed(name, None), name, is_stand_in=False)
    raise UsageError(
        f"no model '{name}': it is no folder here, no hub name such as {DEFAULT.repository}, and no alias "
        f"({', '.join(model.alias for model in PUBLISHED)}, {MINI}, {STAND_IN}); 'voiced models' lists what is installed"
    )


def _require_mini(folder: Path) -> Path:
    missing = missing_files(folder)
    if missing:
        raise UsageError(
            f"model {MINI} in {folder} is incomplete, it lacks {', '.join(missing)}; it comes with voiced: install voiced again"
        )
    return folder


def _expand_user(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # There is no user of that name.
        return Path(name)


def is_repository_name(name: str) -> bool:
    """Tell whether `name` has the form OWNER/NAME of the hub, and not that of a path."""
    owner, slash, rest = name.partition("/")
    return (
        bool(owner and slash and rest)
        and "/" not in rest
        and owner[0] not in "~."
        and rest[0] != "."
    )


def _require_installed(repository: str, published: Published | None) -> Path:
    folder = find_installed(repository)
    short = repository if published is None else published.alias
    if folder is None:
        elsewhere = "" if published is not None else " (nor is there a folder of this name here)"
        raise UsageError(
            f"model {repository} is not installed{elsewhere}; fetch it with 'voiced pull {short}', "
            "or give the folder that holds it"
        )
    missing = missing_files(folder)
    if missing:
        raise UsageError(
            f"model {repository} in {folder} is incomplete, it lacks {', '.join(missing)}; "
            f"fetch it with 'voiced pull {short}'"
        )
    return folder


def models_folder() -> Path:
    """Where `voiced pull` installs, one folder a repository."""
    return platformdirs.user_data_path("voiced") / "models"


def installed_folder(repository: str) -> Path:
    """Where `voiced pull` installs this repository."""
    return models_folder() / repository.replace("/", "--")


def is_installed_folder(folder: Path) -> bool:
    """Tell whether a folder of `installed_folder` is there.

    Raises:
        UsageError: that cannot be known, as the folder around it may not be entered.
    """
    try:
        return folder.is_dir()
    except OSError as error:
        raise UsageError(
            f"cannot look for {_shortened(str(folder))}: {(error.strerror or str(error)).lower()}; "
            "see that the folder can be entered, or let XDG_DATA_HOME name another"
        ) from error


def find_installed(repository: str) -> Path | None:
    """Return the folder of a repository that `voiced pull` installed or that lies in the hub's cache, else None.

    Raises:
        UsageError: our own folder of models may not be entered.
    """
    own = installed_folder(repository)
    if is_installed_folder(own):
        return own
    # Late: 0.2 s that a model in our own folder does not need.
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(repository, "config.json")
    except ValueError:  # No name that a repository can have.
        return None
    return Path(config).parent if isinstance(config, str) else None


def find_fetched_by_name() -> dict[str, Path]:
    """Return the folders of the repositories that `voiced pull` installed and that are none of the published ones."""
    published = {installed_folder(model.repository).name for model in PUBLISHED}
    return {
        path.name.replace("--", "/", 1): path
        for path in sorted(models_folder().glob("*--*"))
        if path.is_dir() and path.name not in published
    }


def missing_files(folder: Path) -> list[str]:
    """Return the files that a model folder needs and does not have; looks at names only."""
    needed = ["config.json", "tokenizer.json", *_weight_files(folder)]
    if (folder / "audio_detokenizer").is_dir() or not (folder / MIMI_FILE).is_file():
        needed += DETOKENIZER_FILES
    return [name for name in needed if not (folder / name).is_file()]


def _weight_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file() or not index.is_file():
        return ["model.safetensors"]
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, OSError):
        return []  # Loading says what is wrong with it.


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below `folder`; a file that several links lead to counts once."""
    sizes = {}
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def stand_in_folder() -> Path:
    """Where the random stand-in of this version lies, whether it has been made or not."""
    # A stand-in made by other code could be of another layout: its name says by which code it was made. The code is
    # read, not imported, so that `voiced models` needs no torch.
    source = Path(models.__path__[0]) / "lfm2_audio" / "random_checkpoint.py"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    return platformdirs.user_cache_path("voiced") / f"random-{__version__}-{STAND_IN_SEED}-{digest}"


def _make_stand_in() -> Path:
    """Return the stand-in's folder, made if need be: written beside and renamed, so that it is whole or not there."""
    folder = stand_in_folder()
    if folder.is_dir():
        return folder
    from models.lfm2_audio.random_checkpoint import write_random_checkpoint

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            write_random_checkpoint(beside, preset="tiny", seed=STAND_IN_SEED)
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():  # Else another process was faster, and made the same.
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{folder.parent}: the random stand-in (12 MB) cannot be written there ({error.strerror}); "
            "make room, let XDG_CACHE_HOME name another folder, or give a model with --model"
        ) from error
    return folder


def announce(found: FoundModel) -> None:
    """Say on standard error what the model is, in one line, if it is no full one, and how to get that.

    Raises:
        CheckpointError: its demonstration.json is damaged.
    """
    demonstration = read_demonstration(found.folder)
    if demonstration is not None:
        print(
            f"voiced: {demonstration.name} answers, the demonstration model: it hears and speaks the English of a small "
            f"world, a home assistant's ({WORLD}); fetch the full one, {FULL_MODEL}",
            file=sys.stderr,
        )
    if found.is_stand_in:
        print(
            "voiced: the model is a random stand-in: it has learned nothing, and its words and sounds are noise; "
            f"fetch {FULL_MODEL}, or give a folder with --model",
            file=sys.stderr,
        )


def choose_device(device: str) -> str:
    """Return "cpu", "cuda" or "cuda:N" for what the user asked for; "auto" is CUDA where there is a device.

    Raises:
        UsageError: no such kind of device, or none of that number on this machine.
    """
    import torch

    kind, colon, number = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (
        kind == "cuda" and colon and number.isdecimal()
    ):
        raise UsageError(f"device '{device}': expected auto, cpu, cuda or cuda:N with a number")
    if device == "cpu":
        return device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A driver that is too old is told by the answer.
        num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if num_devices else "cpu"
    if num_devices == 0:
        raise UsageError(
            f"device '{device}': no CUDA device can be used here; use --device cpu, or see 'voiced doctor'"
        )
    if number and int(number) >= num_devices:
        raise UsageError(
            f"device '{device}': there are {num_devices}, numbered from 0; 'voiced doctor' lists them"
        )
    return device


def choose_dtype(dtype: str) -> "torch.dtype | None":
    """Return torch's type of this name; None for "auto": the checkpoint's own.

    Raises:
        UsageError: it is not one that models are computed in.
    """
    import torch

    types = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
    if dtype != "auto" and dtype not in types:
        raise UsageError(f"number format '{dtype}': expected auto, {', '.join(types)}")
    return types.get(dtype)
