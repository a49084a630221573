"""A run that was left goes on as if it never had been, and what is saved is whole."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from training.state import FIXED, Run, load_into, write_json


class Little(nn.Module):
    """A text embedding that is fixed, and a layer that learns."""

    def __init__(self, rows: int, *, value: float = 1.0) -> None:
        super().__init__()
        self.lfm = nn.Module()
        self.lfm.embed_tokens = nn.Embedding(rows, 3)
        self.layer = nn.Linear(3, 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(value)


def optimizer_of(model: Little) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.layer.parameters(), lr=0.1)


def learn(model: Little, optimizer: torch.optim.Optimizer, index: int) -> None:
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(index))
    loss: Tensor = model.layer(inputs).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def test_a_run_that_was_left_and_resumed_goes_on_exactly(tmp_path: Path) -> None:
    whole = Little(5)
    optimizer = optimizer_of(whole)
    learn(whole, optimizer, 1)
    learn(whole, optimizer, 2)

    first = Little(5)
    optimizer = optimizer_of(first)
    learn(first, optimizer, 1)
    Run(tmp_path, "little", 1.0).save(first, optimizer)
    second = Little(5, value=0.0)
    optimizer = optimizer_of(second)
    assert Run(tmp_path, "little", 1.0).resume(second, optimizer)
    learn(second, optimizer, 2)

    assert torch.equal(second.layer.weight, whole.layer.weight)
    assert torch.equal(second.layer.bias, whole.layer.bias)


def test_steps_and_time_count_over_all_sittings(tmp_path: Path) -> None:
    first = Run(tmp_path, "little", 1.0)
    first.progress.step, first.progress.seconds = 7, 30.0
    first.save(Little(5), None)

    second = Run(tmp_path, "little", 1.0)
    assert second.fraction == 0
    assert second.resume(Little(5), None)
    assert second.progress.step == 7
    assert second.fraction == 0.5
    second.advance(loss=1.0)
    assert second.progress.step == 8
    assert 0.5 <= second.fraction < 1


def test_where_nothing_was_saved_a_run_begins_anew(tmp_path: Path) -> None:
    assert not Run(tmp_path, "little", 1.0).resume(Little(5), None)


def test_a_state_is_safetensors_and_json_and_leaves_nothing_beside_them(tmp_path: Path) -> None:
    model = Little(5)
    optimizer = optimizer_of(model)
    learn(model, optimizer, 1)
    Run(tmp_path, "little", 1.0).save(model, optimizer)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "little.json",
        "little.safetensors",
    ]
    assert json.loads((tmp_path / "little.json").read_text()) == {"step": 0, "seconds": 0.0}
    with safe_open(tmp_path / "little.safetensors", "pt") as tensors:
        assert {"model.layer.weight", "optimizer.exp_avg.layer.weight"} <= set(tensors.keys())


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    before = Little(5)
    Run(tmp_path, "little", 1.0).save(before, None)
    (tmp_path / "little.part").mkdir()  # Where the next would be written.
    with pytest.raises(Exception, match="directory"):
        Run(tmp_path, "little", 1.0).save(Little(5, value=9.0), None)

    after = Little(5, value=0.0)
    assert Run(tmp_path, "little", 1.0).resume(after, None)
    assert torch.equal(after.layer.weight, before.layer.weight)


def test_a_text_embedding_stays_the_models_own_also_when_the_world_has_grown(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, "little", 1.0)
    run.save(Little(5, value=2.0), None)
    grown = Little(8, value=1.0)
    assert run.resume(grown, None)
    assert grown.layer.weight.unique().tolist() == [2.0]
    assert grown.get_parameter(FIXED).shape == (8, 3)
    assert grown.get_parameter(FIXED).unique().tolist() == [1.0]


def test_a_state_of_other_layers_is_refused() -> None:
    model = Little(5)
    with pytest.raises(KeyError, match=r"layer\.bias"):
        load_into(model, {"model.layer.weight": torch.ones(2, 3)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_into(
            model, {"model.layer.weight": torch.ones(2, 4), "model.layer.bias": torch.ones(2)}
        )


def test_a_line_of_the_log_has_the_means_since_the_line_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "little", 1.0)
    run.advance(loss=1.0)
    run.advance(loss=3.0)
    run.log(held_out=5.0)
    run.advance(loss=7.0)
    run.log()

    first, second = map(json.loads, (tmp_path / "little.jsonl").read_text().splitlines())
    assert (first["step"], first["loss"], first["held_out"]) == (2, 2.0, 5.0)
    assert (second["step"], second["loss"]) == (3, 7.0)
    assert capsys.readouterr().out.startswith(
        "little [....................]   0%, 1 min left: step 2  "
    )


def test_json_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    write_json(path, [2])
    assert json.loads(path.read_text()) == [2]
    assert list(tmp_path.iterdir()) == [path]
