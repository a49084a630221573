"""A name becomes a folder: named, installed, or made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.permissions import without_root
from voiced.errors import OutputError, UsageError
from voiced.weights import (
    FoundModel,
    announce,
    choose_device,
    choose_dtype,
    find_model,
    folder_bytes,
    installed_folder,
    missing_files,
    stand_in_folder,
)

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "tests" / "data" / "golden" / "checkpoint"
DEFAULT = "LiquidAI/LFM2.5-Audio-1.5B"
OLDER = "LiquidAI/LFM2-Audio-1.5B"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any model: own folder, cache and the hub's cache."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def install(repository: str) -> Path:
    """Put the names of a complete model where `voiced pull` puts a model."""
    folder = installed_folder(repository)
    fill(folder)
    return folder


def fill(folder: Path) -> None:
    names = ["config.json", "tokenizer.json", "model.safetensors"]
    names += ["audio_detokenizer/config.json", "audio_detokenizer/model.safetensors"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def put_into_hub_cache(home: Path, repository: str) -> Path:
    """Lay out a complete model as huggingface_hub's cache does."""
    storage = home / "hub" / f"models--{repository.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(commit)
    fill(storage / "snapshots" / commit)
    return storage / "snapshots" / commit


def test_without_any_model_the_one_that_comes_with_voiced_answers(home: Path) -> None:
    mini = home / "mini"
    fill(mini)
    expected = FoundModel(mini, "voiced-mini", is_stand_in=False)
    assert find_model(None, mini=mini) == find_model("voiced-mini", mini=mini) == expected
    folder = install(OLDER)
    assert find_model(None, mini=mini).folder == folder
    assert find_model("voiced-mini", mini=mini) == expected


def test_a_model_that_should_have_come_with_voiced_and_is_incomplete_is_named(home: Path) -> None:
    mini = home / "mini"
    fill(mini)
    (mini / "model.safetensors").unlink()
    with pytest.raises(
        UsageError, match=r"voiced-mini .* lacks model.safetensors; .* install voiced"
    ):
        find_model("voiced-mini", mini=mini)
    assert find_model(None, mini=mini).is_stand_in


def test_without_any_weights_the_stand_in_is_made_once(home: Path) -> None:
    first = find_model(None, mini=home / "none")
    assert first == FoundModel(stand_in_folder(), "random", is_stand_in=True)
    assert missing_files(first.folder) == []
    written = (first.folder / "model.safetensors").stat().st_mtime_ns
    assert find_model("random") == first
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == written


def test_the_stand_in_loads() -> None:
    from models.lfm2_audio import Lfm2Audio

    assert Lfm2Audio.load(find_model("random").folder).device == torch.device("cpu")


def test_two_processes_that_make_the_stand_in_at_once_both_get_it() -> None:
    code = "from voiced.weights import find_model; print(find_model('random').folder)"
    runs = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [run.communicate(timeout=100)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert answers == [str(stand_in_folder())] * 2
    assert list(stand_in_folder().parent.iterdir()) == [stand_in_folder()]


def test_a_stand_in_that_was_interrupted_leaves_nothing_that_looks_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop_half_way(folder: Path, **_: object) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("models.lfm2_audio.random_checkpoint.write_random_checkpoint", stop_half_way)
        with pytest.raises(KeyboardInterrupt):
            find_model("random")
    assert list(stand_in_folder().parent.iterdir()) == []
    assert missing_files(find_model("random").folder) == []


def test_a_cache_that_cannot_be_written_is_named(home: Path) -> None:
    (home / "cache").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"cache/voiced.*cannot be written.*XDG_CACHE_HOME"):
        find_model("random")


def test_the_stand_in_is_announced_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    announce(FoundModel(Path("x"), "random", is_stand_in=True))
    output = capsys.readouterr()
    assert output.out == ""
    assert "noise" in output.err
    assert "voiced pull" in output.err


def test_a_demonstration_model_is_announced_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "demonstration.json").write_text('{"name": "little"}')
    announce(FoundModel(home, "little", is_stand_in=False))
    output = capsys.readouterr()
    assert output.out == ""
    [line] = output.err.splitlines()
    assert line.startswith("voiced: little answers, the demonstration model")
    assert "docs/voiced-mini.md" in line
    assert f"{DEFAULT} (3.3 GB) with 'voiced pull'" in line


def test_a_real_model_is_not_announced(capsys: pytest.CaptureFixture[str]) -> None:
    announce(FoundModel(Path("x"), DEFAULT, is_stand_in=False))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", [None, "lfm2.5-audio", "LFM2.5-Audio", DEFAULT, DEFAULT.lower()])
def test_the_default_model_is_found_by_all_its_names(name: str | None) -> None:
    folder = install(DEFAULT)
    install(OLDER)
    assert find_model(name) == FoundModel(folder, DEFAULT, is_stand_in=False)


def test_another_published_model_answers_when_the_default_is_not_installed() -> None:
    folder = install(OLDER)
    assert find_model(None) == FoundModel(folder, OLDER, is_stand_in=False)


def test_a_model_in_the_cache_of_the_hub_is_found(home: Path) -> None:
    snapshot = put_into_hub_cache(home, DEFAULT)
    assert find_model("lfm2.5-audio").folder == snapshot
    assert find_model(None).folder == snapshot


def test_a_repository_of_someone_else_is_found(home: Path) -> None:
    snapshot = put_into_hub_cache(home, "someone/else")
    assert find_model("someone/else") == FoundModel(snapshot, "someone/else", is_stand_in=False)


def test_an_incomplete_model_is_an_error_when_named_and_passed_over_when_not(home: Path) -> None:
    snapshot = put_into_hub_cache(home, DEFAULT)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(
        UsageError, match=r"lacks model\.safetensors; .*'voiced pull lfm2\.5-audio'"
    ):
        find_model("lfm2.5-audio")
    assert find_model(None).name in ("voiced-mini", "random")


def test_a_folder_is_taken_as_it_is() -> None:
    assert find_model(str(CHECKPOINT)) == FoundModel(CHECKPOINT, "checkpoint", is_stand_in=False)


def test_a_folder_of_two_parts_comes_before_a_hub_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "some" / "model").mkdir(parents=True)
    monkeypatch.chdir(home)
    assert find_model("some/model").folder == Path("some/model")


@pytest.mark.parametrize("name", ["lfm2-audio", OLDER])
def test_a_published_model_that_is_not_installed_says_how_to_get_it(name: str) -> None:
    with pytest.raises(UsageError, match=r"not installed; fetch it with 'voiced pull lfm2-audio'"):
        find_model(name)


def test_an_unknown_repository_says_how_to_get_it() -> None:
    with pytest.raises(UsageError, match=r"nor is there a folder.*'voiced pull someone/else'"):
        find_model("someone/else")


@pytest.mark.parametrize("name", ["lfm9", "/no/such/folder", "./missing", "~/missing", "a/b/c", ""])
def test_an_unknown_name_lists_what_is_possible(name: str) -> None:
    with pytest.raises(UsageError, match=r"no model '.*lfm2\.5-audio.*random.*'voiced models'"):
        find_model(name)


def test_nothing_here_opens_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert find_model(None).name in ("voiced-mini", "random")
    with pytest.raises(UsageError):
        find_model(DEFAULT)


def test_shards_that_are_missing_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    fill(folder)
    (folder / "model.safetensors").unlink()
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (folder / shards["a"]).touch()
    assert missing_files(folder) == [shards["b"]]


def test_a_model_with_mimi_needs_no_detokenizer(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "audio_detokenizer")
    assert missing_files(tmp_path / "copy") == []


def test_a_file_with_two_links_counts_once(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(1000))
    (tmp_path / "model.safetensors").symlink_to("blob")
    assert folder_bytes(tmp_path) == 1000


def test_auto_takes_a_device_that_is_there() -> None:
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", ""])
def test_an_unknown_device_says_what_is_expected(device: str) -> None:
    with pytest.raises(UsageError, match="expected auto, cpu, cuda or cuda:N"):
        choose_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_that_is_not_there_says_what_to_do(device: str) -> None:
    with pytest.raises(UsageError, match=r"no CUDA device.*--device cpu"):
        choose_device(device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_number_past_the_last_device_is_refused() -> None:
    assert choose_device("cuda:0") == "cuda:0"
    with pytest.raises(UsageError, match="numbered from 0"):
        choose_device("cuda:99")


def test_number_formats_have_their_names() -> None:
    assert choose_dtype("auto") is None
    assert choose_dtype("bfloat16") == torch.bfloat16
    with pytest.raises(UsageError, match="expected auto, bfloat16"):
        choose_dtype("int8")


@pytest.mark.parametrize("name", ["m" * 300, f"./{'m' * 300}"])
def test_a_name_that_is_too_long_for_a_folder_is_no_model(name: str) -> None:
    with pytest.raises(UsageError, match="file name too long; give a folder"):
        find_model(name)


@pytest.mark.parametrize("name", [f"someone/{'m' * 300}", "someone/a model"])
def test_a_name_that_no_repository_can_have_is_not_installed(name: str) -> None:
    with pytest.raises(UsageError, match="is not installed"):
        find_model(name)


def test_a_folder_below_one_that_may_not_be_entered_is_named(home: Path) -> None:
    folder = home / "closed" / "model"
    folder.mkdir(parents=True)
    folder.parent.chmod(0)
    try:
        with (
            without_root(),
            pytest.raises(UsageError, match="closed/model: permission denied; give a folder"),
        ):
            find_model(str(folder))
    finally:
        folder.parent.chmod(0o700)


def test_a_home_of_nobody_is_no_model() -> None:
    with pytest.raises(UsageError, match="no model '~no-such-user/model'"):
        find_model("~no-such-user/model")


def test_a_folder_of_models_that_may_not_be_entered_is_named(home: Path) -> None:
    (home / "data").mkdir(mode=0)
    try:
        with (
            without_root(),
            pytest.raises(UsageError, match="permission denied; see that the folder"),
        ):
            find_model(DEFAULT)
    finally:
        (home / "data").chmod(0o700)
