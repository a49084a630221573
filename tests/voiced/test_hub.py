"""Fetching a model from a hub on the loopback: whole, resumed, damaged, refused."""

import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.voiced.fake_hub import REVISION, FakeHub, running_hub
from voiced.cli.main import main
from voiced.errors import NetworkError, OutputError, UsageError
from voiced.hub import describe, fetch
from voiced.manifest import MANIFEST_FILE, find_damage, read_manifest
from voiced.weights import find_model, installed_folder, models_folder

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "LiquidAI/LFM2.5-Audio-1.5B"
WEIGHTS = bytes(range(256)) * 4000
FILES = {
    "config.json": b'{"lfm": {}}',
    "tokenizer.json": b"{}" * 600,
    "model.safetensors": WEIGHTS,
    "LICENSE": b"LFM Open License v1.0",
    "audio_detokenizer/config.json": b"{}",
    "audio_detokenizer/model.safetensors": WEIGHTS[:5000],
}
NOT_NEEDED = {
    "README.md": b"# LFM2.5-Audio",
    "assets/picture.png": b"picture",
    "onnx/model.safetensors": b"another form",
    ".gitattributes": b"",
    "pytorch_model.bin": b"pickle",
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with running_hub(REPOSITORY, FILES | NOT_NEEDED) as server:
        ask_hub_at(server.url, monkeypatch)
        yield server


def ask_hub_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what HF_ENDPOINT does, which is read at import only."""
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def pull(**options: Any) -> Path:
    """What the command does, without waiting before a new attempt."""
    return fetch(describe(REPOSITORY), **({"retry_pauses_s": ()} | options))


def ranges_of(hub: FakeHub, name: str) -> list[str | None]:
    return [asked_range for asked, asked_range in hub.asked if asked == name]


def test_the_needed_files_are_installed_and_no_others(hub: FakeHub) -> None:
    folder = pull()
    assert folder == installed_folder(REPOSITORY)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*FILES, MANIFEST_FILE}
    assert all((folder / name).read_bytes() == content for name, content in FILES.items())
    assert find_model(None).folder == folder
    assert list((models_folder() / ".partial").iterdir()) == []


def test_progress_adds_up_to_every_file(hub: FakeHub) -> None:
    seen: dict[str, int] = {}
    pull(on_progress=lambda name, num_bytes: seen.update({name: seen.get(name, 0) + num_bytes}))
    assert seen == {name: len(content) for name, content in FILES.items()}


def test_the_manifest_names_the_revision_and_finds_no_damage(hub: FakeHub) -> None:
    folder = pull()
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.repository, manifest.revision) == (REPOSITORY, REVISION)
    assert find_damage(folder, manifest) == []


def test_a_transfer_that_was_cut_goes_on_in_the_same_call(hub: FakeHub) -> None:
    hub.cut_after = [10**9] * 5 + [300_000, 200_000]
    folder = pull(retry_pauses_s=(0, 0))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert ranges_of(hub, "model.safetensors") == [None, "bytes=300000-", "bytes=500000-"]


def test_a_transfer_that_was_cut_goes_on_in_the_next_call(hub: FakeHub) -> None:
    hub.cut_after = [10**9] * 5 + [300_000]
    with pytest.raises(
        NetworkError, match=r"ended after 300000 of 1024000 bytes .*run the same command again"
    ):
        pull()
    assert not installed_folder(REPOSITORY).exists()
    hub.asked.clear()
    folder = pull()
    assert hub.asked == [("model.safetensors", "bytes=300000-")]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_an_interruption_keeps_what_is_there(hub: FakeHub) -> None:
    def interrupt(name: str, num_bytes: int) -> None:
        if name == "model.safetensors" and num_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(on_progress=interrupt)
    assert not installed_folder(REPOSITORY).exists()
    hub.asked.clear()
    folder = pull()
    assert [name for name, _ in hub.asked] in ([], ["model.safetensors"])
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_server_without_ranges_sends_the_file_anew(hub: FakeHub) -> None:
    hub.cut_after, hub.ignores_range = [10**9] * 5 + [300_000], True
    seen: list[int] = []
    folder = pull(
        retry_pauses_s=(0,),
        on_progress=lambda name, num_bytes: seen.append(
            num_bytes if name == "model.safetensors" else 0
        ),
    )
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert sum(seen) == len(WEIGHTS)


def test_a_remainder_longer_than_the_file_begins_anew(hub: FakeHub) -> None:
    part = (
        models_folder()
        / ".partial"
        / installed_folder(REPOSITORY).name
        / REVISION
        / "model.safetensors.part"
    )
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(WEIGHTS) + 10))
    folder = pull(retry_pauses_s=(0,))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_server_error_is_tried_again(hub: FakeHub) -> None:
    hub.failures = [503, 500]
    assert (pull(retry_pauses_s=(0, 0)) / "config.json").read_bytes() == FILES["config.json"]


def test_a_server_that_stays_broken_is_a_network_error(hub: FakeHub) -> None:
    hub.failures = [503] * 3
    with pytest.raises(NetworkError, match=r"0 of 2 bytes \(answer 503\)"):
        pull(retry_pauses_s=(0, 0))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_flipped_bit_is_found_and_the_file_removed(hub: FakeHub, name: str) -> None:
    content = bytearray(FILES[name])
    content[len(content) // 2] ^= 1
    hub.damaged[name] = bytes(content)
    with pytest.raises(
        NetworkError, match=rf"{name}.*its digest is .*has been removed; run the same command"
    ):
        pull()
    assert not installed_folder(REPOSITORY).exists()
    assert list(models_folder().glob(f".partial/*/*/{name}*")) == []
    hub.damaged.clear()
    assert find_model(str(pull())).folder.is_dir()


def test_more_bytes_than_promised_are_not_taken(hub: FakeHub) -> None:
    hub.damaged["model.safetensors"] = WEIGHTS + b"more"
    assert (pull() / "model.safetensors").read_bytes() == WEIGHTS


def test_a_newer_revision_takes_the_place_of_the_old_one(hub: FakeHub) -> None:
    pull()
    hub.revision = "f" * 40
    hub.files = FILES | {"config.json": b'{"newer": 1}'}
    folder = pull()
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.revision == "f" * 40
    assert (folder / "config.json").read_bytes() == b'{"newer": 1}'
    assert sorted(path.name for path in models_folder().iterdir()) == [".partial", folder.name]


def test_names_that_lead_out_of_the_folder_are_not_fetched(hub: FakeHub) -> None:
    hub.files = FILES | {"../evil.safetensors": WEIGHTS, "audio_detokenizer/../../evil.json": b"{}"}
    assert {file.name for file in describe(REPOSITORY).files} == set(FILES)


def test_a_repository_of_something_else_is_refused_before_the_transfer(hub: FakeHub) -> None:
    hub.files = {"README.md": b"", "config.json": b"{}"}
    with pytest.raises(
        UsageError, match=r"lacks tokenizer\.json, \*\.safetensors: expected a published LFM2"
    ):
        describe(REPOSITORY)
    assert hub.asked == []


def test_an_unknown_repository_is_named(hub: FakeHub) -> None:
    with pytest.raises(UsageError, match=r"no repository someone/else on the hub"):
        describe("someone/else")


def test_a_name_that_is_none_is_refused(hub: FakeHub) -> None:
    with pytest.raises(UsageError, match="expected OWNER/NAME"):
        describe("someone/else--or..other")


def test_no_server_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # Bound and not listening: connections are refused.
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        ask_hub_at(address, monkeypatch)
        with pytest.raises(
            NetworkError, match=rf"hub at {address} cannot be reached.*check network"
        ):
            describe(REPOSITORY)


def test_offline_mode_forbids_the_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    model = describe(REPOSITORY)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NetworkError, match="HF_HUB_OFFLINE forbids the network: unset it"):
        describe(REPOSITORY)
    with pytest.raises(NetworkError, match="HF_HUB_OFFLINE forbids the network: unset it"):
        fetch(model)
    assert hub.asked == []


def test_a_disk_that_is_too_small_is_told_before_the_transfer(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(10**9, 10**9, 10**6)  # total, used, free
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(
        OutputError, match=r"0\.1 GB are needed there and 0\.0 GB are free; make room"
    ):
        pull()
    assert hub.asked == []


def test_a_folder_that_cannot_be_written_is_named(hub: FakeHub) -> None:
    models_folder().parent.mkdir(parents=True)
    models_folder().write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"models: cannot write the model there.*XDG_DATA_HOME"):
        pull()


def test_a_second_process_is_told_to_wait(hub: FakeHub) -> None:
    def pull_again(name: str, _: int) -> None:
        with pytest.raises(UsageError, match="another process is fetching"):
            pull()

    pull(on_progress=pull_again)


def run_command(*arguments: str, hub: FakeHub, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voiced.cli.main", "pull", *arguments],
        cwd=ROOT,
        env=os.environ | {"HF_ENDPOINT": hub.url} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_fetches_once_and_says_where(hub: FakeHub) -> None:
    first = run_command("--yes", hub=hub)
    assert (first.returncode, first.stdout) == (
        0,
        f"{REPOSITORY} is installed: {installed_folder(REPOSITORY)}\n",
    )
    assert "LFM Open License" in first.stderr
    hub.asked.clear()
    second = run_command(hub=hub)
    assert second.returncode == 0
    assert "installed already" in second.stdout
    assert hub.asked == []


@pytest.mark.parametrize("content", [WEIGHTS[:-1000], b"\1" + WEIGHTS[1:], None])
def test_the_command_fetches_again_what_is_damaged_and_nothing_else(
    hub: FakeHub, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pull()
    (folder / "model.safetensors").unlink()
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)
    hub.asked.clear()
    assert main(["pull"]) == 0
    assert "is damaged: model.safetensors " in capsys.readouterr().err
    assert hub.asked == [("model.safetensors", None)]
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    manifest = read_manifest(folder)
    assert manifest is not None
    assert set(manifest.files) == set(FILES)
    assert find_damage(folder, manifest) == []
    assert main(["pull"]) == 0
    assert "installed already" in capsys.readouterr().out


def test_the_command_writes_a_damaged_manifest_anew(hub: FakeHub) -> None:
    folder = pull()
    (folder / MANIFEST_FILE).write_text("{")
    hub.asked.clear()
    assert main(["pull"]) == 0
    assert hub.asked == []
    manifest = read_manifest(folder)
    assert manifest is not None
    assert set(manifest.files) == set(FILES)


def test_the_command_fetches_nothing_without_agreement(hub: FakeHub) -> None:
    result = run_command("lfm2.5-audio", hub=hub)
    assert result.returncode == 2
    assert "give --yes to agree" in result.stderr
    assert hub.asked == []


def test_the_command_in_offline_mode_says_so(hub: FakeHub) -> None:
    result = run_command("--yes", hub=hub, HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert "voiced: HF_HUB_OFFLINE forbids the network" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["random", "lfm9", "./folder"])
def test_the_command_refuses_what_is_not_on_a_hub(hub: FakeHub, name: str) -> None:
    result = run_command(name, "--yes", hub=hub)
    assert result.returncode == 2
    assert result.stderr.startswith("voiced: ")


class Keyboard(io.StringIO):
    """Standard input with somebody at it."""

    def isatty(self) -> bool:
        return True


def test_the_command_asks_who_can_be_asked(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    assert main(["pull"]) == 2
    assert "not agreed to: nothing was fetched" in capsys.readouterr().err
    assert hub.asked == []
    monkeypatch.setattr("sys.stdin", Keyboard("yes\n"))
    assert main(["pull"]) == 0
    assert capsys.readouterr().out == f"{REPOSITORY} is installed: {installed_folder(REPOSITORY)}\n"


def test_an_interrupted_command_says_that_it_goes_on(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("voiced.hub.fetch", interrupt)
    assert main(["pull", "lfm2.5-audio", "--yes"]) == 130
    assert "run 'voiced pull lfm2.5-audio' again to go on" in capsys.readouterr().err
