"""What is right and wrong with this machine, and how to mend it: one `Check` for each thing that voiced rests on.

Each function decides from values that it is given or reads itself; none changes anything.
"""

import importlib
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from voiced.demonstration import MINI_FOLDER
from voiced.errors import CheckpointError, ModelError
from voiced.manifest import find_damage, read_manifest
from voiced.published import DEFAULT, MINI, PUBLISHED
from voiced.weights import (
    DETOKENIZER_FILES,
    MIMI_FILE,
    FoundModel,
    find_fetched_by_name,
    find_installed,
    folder_bytes,
    missing_files,
    models_folder,
)

# Above the weights, for torch, caches and sound: a cautious estimate.
WORKING_BYTES = 10**9
DEFAULT_MODEL_BYTES = 3_400_000_000
# Flags of the processor that speed depends on: as the Linux kernel spells them, and as people do.
CPU_FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_tile": "AMX",
    "amx_bf16": "AMX BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "i8mm": "I8MM",
    "bf16": "BF16",
}


class State(Enum):
    """How serious a finding is: nothing to do, something limited, something that has to be mended."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Check:
    """A finding: `says` what there is, and how to mend it when it is not well."""

    state: State
    about: str
    says: str


def check_machine() -> Iterator[Check]:
    """Check everything but models; takes some seconds, most of them for importing torch."""
    yield check_python(sys.version_info[:2])
    yield check_torch(installed_versions("torch", "torchaudio", "torchvision"))
    yield check_cuda(has_driver=Path("/dev/nvidia0").exists())
    yield check_cpu(platform.machine(), read_cpu_flags(Path("/proc/cpuinfo")))
    yield check_memory()
    yield check_disk(models_folder(), num_bytes_needed=DEFAULT_MODEL_BYTES)
    yield check_sound_files()
    yield check_portaudio()
    yield check_espeak(shutil.which("espeak-ng"))


def check_python(version: tuple[int, int]) -> Check:
    """Tell whether this Python is one that the project is tested with."""
    text = f"{version[0]}.{version[1]}"
    if (3, 11) <= version <= (3, 13):
        return Check(State.OK, "Python", text)
    return Check(
        State.WRONG,
        "Python",
        f"{text}: expected 3.11 to 3.13; install one of them and run 'make setup'",
    )


def installed_versions(*names: str) -> dict[str, str | None]:
    """Return the version of each package, None for one that is not installed."""
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def check_torch(versions: Mapping[str, str | None]) -> Check:
    """Tell whether torch, torchaudio and torchvision are of one release, outside of which they do not load."""
    told = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    mend = "run 'make setup', which installs the three of one release"
    if None in versions.values():
        return Check(State.WRONG, "torch", f"{told}; {mend}")
    torch, audio, vision = (_minor(str(version)) for version in versions.values())
    # torchvision 0.15 came with torch 2.0, and so on to 0.26 with 2.11.
    if audio != torch or vision != (0, torch[1] + 15):
        return Check(State.WRONG, "torch", f"{told}: not of one release; {mend}")
    for name in versions:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            return Check(State.WRONG, "torch", f"{told}: {name} does not load ({error}); {mend}")
    return Check(State.OK, "torch", told)


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def check_cuda(*, has_driver: bool) -> Check:
    """Tell which CUDA devices torch can use; none is no fault, unless the machine has one."""
    import torch

    from voiced.weights import choose_device

    if choose_device("auto") == "cpu":
        if has_driver and torch.version.cuda is not None:
            mend = f"install a driver for CUDA {torch.version.cuda}, or use the CPU as it is"
            return Check(
                State.NOTE, "CUDA", f"there is an NVIDIA device, and torch cannot use it; {mend}"
            )
        return Check(State.OK, "CUDA", "no device: models run on the CPU")
    devices = [
        torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())
    ]
    told = ", ".join(f"{device.name} with {_gigabytes(device.total_memory)}" for device in devices)
    return Check(State.OK, "CUDA", told)


def read_cpu_flags(cpuinfo: Path) -> frozenset[str]:
    """Return the processor's flags as Linux tells them; none where it does not."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def check_cpu(machine: str, flags: frozenset[str]) -> Check:
    """Tell which instructions there are that make models fast."""
    import psutil

    num_cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    told = f"{machine}, {num_cores} cores, {', '.join(CPU_FLAGS[flag] for flag in CPU_FLAGS if flag in flags) or 'no known flags'}"
    if machine in ("x86_64", "AMD64") and flags and "avx2" not in flags:
        return Check(
            State.NOTE, "processor", f"{told}: without AVX2 speech is far slower than real time"
        )
    return Check(State.OK, "processor", told)


def check_memory() -> Check:
    """Tell whether the default model fits into the memory that is free."""
    import psutil

    memory = psutil.virtual_memory()
    told = f"{_gigabytes(memory.available)} free of {_gigabytes(memory.total)}"
    needed = DEFAULT_MODEL_BYTES + WORKING_BYTES
    if memory.available < needed:
        return Check(
            State.NOTE,
            "memory",
            f"{told}: a model of 1.5 billion parameters needs {_gigabytes(needed)}; end other programs before loading one",
        )
    return Check(State.OK, "memory", told)


def check_disk(folder: Path, *, num_bytes_needed: int) -> Check:
    """Tell whether another model fits on the disk that `folder` is on or will be on."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    told = f"{_gigabytes(free)} free for models in {folder}"
    if free < num_bytes_needed:
        return Check(
            State.NOTE,
            "disk",
            f"{told}: a model needs {_gigabytes(num_bytes_needed)}; make room, "
            "or let XDG_DATA_HOME name a folder on another disk",
        )
    return Check(State.OK, "disk", told)


def check_sound_files() -> Check:
    """Tell whether sound files can be read and written, and speech be found in them."""
    for name in ("soundfile", "soxr", "models.vad", "silero_vad"):
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            return Check(
                State.WRONG, "sound files", f"{name} does not load ({error}); run 'make setup'"
            )
    import soundfile

    return Check(State.OK, "sound files", f"libsndfile {soundfile.__libsndfile_version__}")


def check_portaudio() -> Check:
    """Tell whether microphone and speaker can be used."""
    try:
        import sounddevice
    except OSError as error:
        return Check(
            State.NOTE,
            "PortAudio",
            f"{error}: files work, microphone and speaker do not; 'sudo apt-get install libportaudio2' on Debian",
        )
    try:
        devices = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        return Check(State.NOTE, "PortAudio", f"devices cannot be listed ({error}); files work")
    num_inputs = sum(device["max_input_channels"] > 0 for device in devices)
    num_outputs = sum(device["max_output_channels"] > 0 for device in devices)
    version = sounddevice.get_portaudio_version()[1].split(",")[0]
    told = f"{version}, {num_inputs} devices to hear with, {num_outputs} to speak with"
    if not (num_inputs and num_outputs):
        return Check(State.NOTE, "PortAudio", f"{told}: connect one to talk; files work without")
    return Check(State.OK, "PortAudio", told)


def check_espeak(path: str | None) -> Check:
    """Tell whether espeak-ng is there; only tests with real speech need it."""
    if path is None:
        says = "not found: tests that need real speech are skipped; 'sudo apt-get install espeak-ng' on Debian"
        return Check(State.NOTE, "espeak-ng", says)
    return Check(State.OK, "espeak-ng", path)


def find_models_to_check() -> list[FoundModel]:
    """Return the models that are installed, complete or not: published ones, those fetched by name, and voiced-mini."""
    published = {model.repository: find_installed(model.repository) for model in PUBLISHED}
    mini = {MINI: MINI_FOLDER if MINI_FOLDER.is_dir() else None}
    return [
        FoundModel(folder, name, is_stand_in=False)
        for name, folder in (published | find_fetched_by_name() | mini).items()
        if folder is not None
    ]


def check_full_model(found: Sequence[FoundModel]) -> Iterator[Check]:
    """Tell what answers while no full model is installed."""
    if any(model.name != MINI for model in found):
        return
    answers = (
        "voiced-mini answers, of its small world"
        if found
        else "a random stand-in answers, with noise"
    )
    says = f"no full one is installed: {answers}; 'voiced pull {DEFAULT.alias}' fetches one"
    yield Check(State.NOTE, "model", says)


def check_model(found: FoundModel) -> Iterator[Check]:
    """Check a model folder: its files, their digests, and everything that loading checks; reads all of it twice.

    Whatever goes wrong is a finding, so that one model does not keep the others from being checked.
    """
    try:
        yield from _check_model(found)
    except Exception as error:
        says = (
            f"{found.name} in {found.folder} cannot be checked ({type(error).__name__}: {error}); "
            "see that its files can be read, or fetch it again with 'voiced pull'"
        )
        yield Check(State.WRONG, "model", says)


def _check_model(found: FoundModel) -> Iterator[Check]:
    missing = missing_files(found.folder)
    if missing:
        mend = "fetch it again with 'voiced pull', or give a complete folder"
        yield Check(
            State.WRONG,
            "model",
            f"{found.name} in {found.folder} lacks {', '.join(missing)}; {mend}",
        )
        return
    yield Check(
        State.OK,
        "model",
        f"{found.name}, {_gigabytes(folder_bytes(found.folder))} in {found.folder}",
    )
    yield _check_digests(found)
    yield _check_loading(found)


def _check_digests(found: FoundModel) -> Check:
    try:
        manifest = read_manifest(found.folder)
    except CheckpointError as error:
        return Check(State.WRONG, "digests", str(error))
    if manifest is None:
        whose = (
            "it comes with voiced"
            if found.folder == MINI_FOLDER
            else "the folder was not made by 'voiced pull'"
        )
        return Check(State.OK, "digests", f"none to compare with: {whose}")
    damage = find_damage(found.folder, manifest)
    if damage:
        mend = f"'voiced pull {manifest.repository}' fetches what differs"
        return Check(State.WRONG, "digests", f"{'; '.join(damage)}; {mend}")
    return Check(State.OK, "digests", f"all {len(manifest.files)} files are as the hub had them")


def _check_loading(found: FoundModel) -> Check:
    from models.lfm2_audio import Lfm2Audio
    from models.mimi import Mimi

    try:
        model = Lfm2Audio.load(found.folder)
        model.decoder()
        # With a detokenizer nothing else reads Mimi, which only turns sound into codes then.
        if all((found.folder / name).is_file() for name in (MIMI_FILE, *DETOKENIZER_FILES)):
            Mimi.load(found.folder)
    except ModelError as error:
        return Check(State.WRONG, "weights", str(error))
    dtype = str(model.dtype).removeprefix("torch.")
    return Check(State.OK, "weights", f"{dtype}; configuration, names, shapes and values are sound")


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 10**8 else f"{num_bytes / 1e6:.1f} MB"
