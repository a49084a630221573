"""The benchmark runs and writes its table; what it measures is for `make bench`."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from benchmarks import contestants, make_checkpoint, run
from tests.models.golden import CHECKPOINT


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # The published implementation fixes the detokenizer's full size, so it cannot take part here.
    monkeypatch.setattr(run, "contestants", lambda: [contestants.Voiced])


def test_every_stage_is_timed_and_text_around_the_table_stays(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("# Benchmarks\n\nBefore.\n")
    for _ in range(2):
        run.main(["--checkpoint", str(CHECKPOINT), "--repeats", "1", "--output", str(document)])
    text = document.read_text()
    assert text.startswith("# Benchmarks\n\nBefore.\n")
    assert text.count("| load |") == 1
    for row in (
        "mel, 5 s",
        "encoder and adapter, 30 s",
        "prefill, 500",
        "backbone step",
        "audio frame",
        "peak, MiB",
    ):
        assert f"| {row}" in text


def test_make_checkpoint_writes_the_same_for_the_same_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        arguments = ["make_checkpoint", "--preset", "tiny", "--seed", "5", str(tmp_path / name)]
        monkeypatch.setattr("sys.argv", arguments)
        make_checkpoint.main()
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert one.keys() == two.keys()
    assert one["depth_linear.weight"].equal(two["depth_linear.weight"])
