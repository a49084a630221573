"""Each finding is well, or says how to mend it."""

import importlib.metadata
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from voiced import health
from voiced.health import Check, State
from voiced.manifest import FileDigest, Manifest, digest_of
from voiced.weights import MIMI_FILE, FoundModel

CHECKPOINT = Path(__file__).resolve().parents[1] / "data" / "golden" / "checkpoint"
RELEASE = {"torch": "2.11.0+cpu", "torchaudio": "2.11.0", "torchvision": "0.26.0"}


@pytest.fixture
def model(tmp_path: Path) -> FoundModel:
    """A whole model that `voiced pull` could have made."""
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    digests = {
        name: FileDigest((folder / name).stat().st_size, digest_of(folder / name)) for name in names
    }
    Manifest("someone/else", "0" * 40, digests).write(folder)
    return FoundModel(folder, "someone/else", is_stand_in=False)


def states(model: FoundModel) -> dict[str, State]:
    return {check.about: check.state for check in health.check_model(model)}


def finding(model: FoundModel, about: str) -> Check:
    return next(check for check in health.check_model(model) if check.about == about)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_supported_pythons_are_well(version: tuple[int, int]) -> None:
    assert health.check_python(version).state is State.OK


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_wrong(version: tuple[int, int]) -> None:
    check = health.check_python(version)
    assert check.state is State.WRONG
    assert "expected 3.11 to 3.13" in check.says


def test_the_installed_torch_is_of_one_release() -> None:
    versions = health.installed_versions(*RELEASE)
    assert versions["torch"] == importlib.metadata.version("torch")
    assert health.check_torch(versions).state is State.OK


@pytest.mark.parametrize(
    "change",
    [
        {"torchaudio": "2.10.0"},
        {"torchvision": "0.25.0"},
        {"torchaudio": None},
        {"torch": "2.13.0"},
    ],
)
def test_a_mixture_of_releases_is_wrong(change: dict[str, str | None]) -> None:
    check = health.check_torch(RELEASE | change)
    assert check.state is State.WRONG
    assert "make setup" in check.says


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert health.installed_versions("no-such-package-at-all") == {"no-such-package-at-all": None}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_an_nvidia_device_that_torch_cannot_use_is_noted() -> None:
    assert health.check_cuda(has_driver=False).state is State.OK
    if torch.version.cuda is not None:
        assert "install a driver for CUDA" in health.check_cuda(has_driver=True).says


def test_processor_flags_are_read(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\nflags\t\t: other\n")
    assert health.read_cpu_flags(cpuinfo) == {"fpu", "avx2", "avx512f"}
    cpuinfo.write_text("Features\t: fp asimd\n")
    assert health.read_cpu_flags(cpuinfo) == {"fp", "asimd"}
    assert health.read_cpu_flags(tmp_path / "missing") == frozenset()


def test_a_processor_without_avx2_is_noted() -> None:
    assert health.check_cpu("x86_64", frozenset(("avx2", "avx512_vnni"))).state is State.OK
    assert health.check_cpu("x86_64", frozenset(("avx",))).state is State.NOTE
    assert "NEON" in health.check_cpu("aarch64", frozenset(("asimd",))).says


def test_a_small_disk_is_noted(tmp_path: Path) -> None:
    assert health.check_disk(tmp_path / "not" / "yet", num_bytes_needed=1).state is State.OK
    check = health.check_disk(tmp_path, num_bytes_needed=10**18)
    assert check.state is State.NOTE
    assert "make room" in check.says


def test_sound_files_can_be_read() -> None:
    assert health.check_sound_files().state is State.OK


def test_sound_devices_never_make_a_machine_wrong() -> None:
    assert health.check_portaudio().state in (State.OK, State.NOTE)


def test_espeak_that_is_missing_says_how_to_get_it() -> None:
    assert health.check_espeak("/usr/bin/espeak-ng").state is State.OK
    assert "apt-get install espeak-ng" in health.check_espeak(None).says


def test_memory_is_told_with_its_unit() -> None:
    assert " GB free of " in health.check_memory().says


def test_a_sound_model_is_well(model: FoundModel) -> None:
    assert states(model) == {"model": State.OK, "digests": State.OK, "weights": State.OK}


def test_a_model_from_elsewhere_has_no_digests_and_is_well() -> None:
    assert set(states(FoundModel(CHECKPOINT, "checkpoint", is_stand_in=False)).values()) == {
        State.OK
    }


def test_a_missing_file_is_named(model: FoundModel) -> None:
    (model.folder / "tokenizer.json").unlink()
    check = finding(model, "model")
    assert check.state is State.WRONG
    assert "lacks tokenizer.json; fetch it again" in check.says


def test_a_changed_file_is_named(model: FoundModel) -> None:
    path = model.folder / "tokenizer_config.json"
    path.write_text(path.read_text() + " ")
    check = finding(model, "digests")
    assert check.state is State.WRONG
    assert check.says.startswith("tokenizer_config.json has")
    assert "'voiced pull someone/else'" in check.says


def test_a_truncated_file_is_wrong_in_digest_and_loading(model: FoundModel) -> None:
    path = model.folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert states(model) == {"model": State.OK, "digests": State.WRONG, "weights": State.WRONG}


@pytest.mark.parametrize("file", ["model.safetensors", "audio_detokenizer/model.safetensors"])
def test_a_weight_that_is_not_a_number_is_named(model: FoundModel, file: str) -> None:
    tensors = load_file(model.folder / file)
    name = next(name for name in sorted(tensors) if name.startswith(("lfm.layers", "lin")))
    tensors[name].flatten()[0] = torch.nan
    save_file(tensors, model.folder / file)
    check = finding(model, "weights")
    assert check.state is State.WRONG
    assert name in check.says


def test_a_mimi_that_is_cut_short_is_wrong_beside_a_detokenizer(model: FoundModel) -> None:
    path = model.folder / MIMI_FILE
    path.write_bytes(path.read_bytes()[:-1000])
    check = finding(model, "weights")
    assert check.state is State.WRONG
    assert MIMI_FILE in check.says


def test_a_check_that_fails_is_a_finding(
    model: FoundModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> int:
        raise PermissionError(13, "Permission denied", "config.json")

    monkeypatch.setattr(health, "folder_bytes", fail)
    (check,) = health.check_model(model)
    assert check.state is State.WRONG
    assert "cannot be checked (PermissionError" in check.says
    assert "'voiced pull'" in check.says
