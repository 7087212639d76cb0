"""A small task for tests of the trainer: which of three blobs a point belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.errors import DataError
from actionspace.training.freeze import train_mode
from actionspace.training.task import Evaluation, Evaluator


@dataclass
class Points:
    """Points of three classes, loaded one by one; some may be broken."""

    n: int
    seed: int = 0
    bad: frozenset[int] = frozenset()
    poison: int | None = None
    loads: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.y = rng.integers(0, 3, self.n)
        centre = np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
        self.x = (centre[self.y] + rng.normal(size=(self.n, 4))).astype(np.float32)
        if self.poison is not None:
            self.x[self.poison] = np.nan

    def __len__(self) -> int:
        return self.n

    def name(self, index: int) -> str:
        return f"point{index}.mp4"

    def load(self, index: int, epoch: int) -> tuple[np.ndarray, int]:
        self.loads.append((index, epoch))
        if index in self.bad:
            raise DataError(f"point{index}.mp4 cannot be read")
        noise = np.random.default_rng((self.seed, epoch, index)).normal(size=4)
        return self.x[index] + 0.1 * noise.astype(np.float32), int(self.y[index])

    def collate(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        x = torch.from_numpy(np.stack([s[0] for s in samples]))
        return {"x": x, "y": torch.tensor([s[1] for s in samples])}


class Table(Points):
    """The same in one vectorised call."""

    def gather(self, indices: np.ndarray, epoch: int) -> dict[str, Tensor]:
        return {"x": torch.from_numpy(self.x[indices]), "y": torch.from_numpy(self.y[indices])}


@dataclass
class Blobs:
    """The task."""

    train: Points
    val: Points | None = None
    dropout: float = 0.0
    hidden: int = 16

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(4, self.hidden),
            nn.GELU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, 3),
        )

    def pass_limit(self, device: torch.device) -> int | None:
        return None

    def set_training(self, model: nn.Module) -> None:
        train_mode(model)

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        logits = model(batch["x"])
        right = (logits.argmax(1) == batch["y"]).float().mean()
        return {"loss": functional.cross_entropy(logits, batch["y"]), "top1_accuracy": right}

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        if self.val is None:
            return None
        numbers, rows = [], []
        for batch in evaluator.batches(self.val):
            logits = model(batch.data["x"])
            loss = functional.cross_entropy(logits, batch.data["y"], reduction="none")
            right = logits.argmax(1) == batch.data["y"]
            numbers.append(batch.indices)
            rows.append(torch.stack([loss, right.float()], 1).double().cpu().numpy())
        numbers, found = evaluator.gather(numbers, rows)
        means = found.mean(0)
        return Evaluation(
            {"top1_accuracy": means[1], "loss": means[0], "seen": float(len(set(numbers)))}
        )
