"""Where a training run stands: saved whole or not at all, without pickle, and taken up again."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SAVE_EVERY_S = 180.0
LOG_EVERY_S = 30.0
BAR_WIDTH = 20
FIXED = "lfm.embed_tokens.weight"  # Made from the words, so that its size follows the world's.


def default_folder() -> Path:
    """Where states and made data lie unless another folder is named; outside any checkout."""
    return platformdirs.user_cache_path("voiced") / "mini"


@dataclass(slots=True)
class Progress:
    """How far a run has come, over all the sittings it took.

    Attributes:
        step: optimizer steps done.
        seconds: time spent training, in all sittings.
    """

    step: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Run:
    """A training run that can be left and taken up: its clock, its log, its saved state.

    Attributes:
        folder: holds NAME.safetensors, NAME.json and NAME.jsonl.
        name: of the run.
        minutes: how long it shall train in all sittings together.
    """

    folder: Path
    name: str
    minutes: float
    progress: Progress = field(default_factory=Progress)
    _resumed_at: float = field(default_factory=time.monotonic)
    _saved_at: float = field(default_factory=time.monotonic)
    _logged_at: float = field(default_factory=time.monotonic)
    _before_s: float = 0.0
    _sums: dict[str, float] = field(default_factory=dict)
    _num_summed: int = 0
    _logged_step: int = 0

    @property
    def fraction(self) -> float:
        """Part of the time that is spent, 0 to 1."""
        return min(1.0, self.progress.seconds / (60 * self.minutes))

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> bool:
        """Load what an earlier sitting saved into `model` and `optimizer`; return whether there was anything."""
        path = self.folder / f"{self.name}.safetensors"
        if not path.is_file():
            return False
        tensors = load_file(path)
        values = json.loads((self.folder / f"{self.name}.json").read_text(encoding="utf-8"))
        load_into(model, tensors)
        if optimizer is not None:
            load_optimizer(model, optimizer, tensors)
        self.progress = Progress(values["step"], values["seconds"])
        self._before_s = values["seconds"]
        self._logged_step = values["step"]
        return True

    def advance(self, **figures: float) -> None:
        """Count a step, and add its figures to those that the next line of the log gives the means of."""
        self.progress.step += 1
        self.progress.seconds = self._before_s + time.monotonic() - self._resumed_at
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._num_summed += 1

    @property
    def log_is_due(self) -> bool:
        """Whether the last line of the log is old enough for another."""
        return time.monotonic() - self._logged_at > LOG_EVERY_S

    @property
    def save_is_due(self) -> bool:
        """Whether the last save is old enough for another."""
        return time.monotonic() - self._saved_at > SAVE_EVERY_S

    def log(self, **held_out: float) -> None:
        """Print a line with the mean figures since the last one and append it to NAME.jsonl."""
        passed_s = max(1e-9, time.monotonic() - self._logged_at)
        left_min = max(0.0, self.minutes - self.progress.seconds / 60)
        line: dict[str, float] = {
            "step": self.progress.step,
            "minutes": round(self.progress.seconds / 60, 2),
            "steps_per_s": round((self.progress.step - self._logged_step) / passed_s, 3),
        }
        line |= {
            name: round(total / max(1, self._num_summed), 4) for name, total in self._sums.items()
        }
        line |= {name: round(value, 4) for name, value in held_out.items()}
        self._sums.clear()
        self._num_summed, self._logged_at = 0, time.monotonic()
        self._logged_step = self.progress.step
        bar = "#" * round(BAR_WIDTH * self.fraction)
        print(
            f"{self.name} [{bar:.<{BAR_WIDTH}}] {self.fraction:4.0%}, {left_min:.0f} min left: "
            + "  ".join(f"{name} {value:g}" for name, value in line.items()),
            flush=True,
        )
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
        """Save everything that `resume` needs."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        if optimizer is not None:
            tensors |= optimizer_tensors(model, optimizer)
        save_tensors(self.folder / f"{self.name}.safetensors", tensors)
        write_json(
            self.folder / f"{self.name}.json",
            {"step": self.progress.step, "seconds": self.progress.seconds},
        )
        self._saved_at = time.monotonic()


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file beside `path` and rename it, so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, beside
    )
    beside.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside `path` and rename it."""
    beside = path.with_suffix(".json.part")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def load_into(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors `model.*` into a model of the same layout; a fixed text embedding stays the model's own."""
    own = model.state_dict()
    model.load_state_dict(
        {name: own[name] if name == FIXED else tensors[f"model.{name}"] for name in own}
    )


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an AdamW's state as tensors `optimizer.KEY.PARAMETER`."""
    return {
        f"optimizer.{key}.{name}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Give an AdamW the state that `optimizer_tensors` returned; what is not in it begins anew."""
    for name, parameter in model.named_parameters():
        state = {
            key: tensors[f"optimizer.{key}.{name}"]
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"optimizer.{key}.{name}" in tensors
        }
        if state:
            optimizer.state[parameter] = {
                key: value.clone() if key == "step" else value.to(parameter.device)
                for key, value in state.items()
            }
