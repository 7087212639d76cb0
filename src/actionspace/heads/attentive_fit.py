"""Fit an attentive probe on stored tokens: a grid of learning rates and decays, all at once.

The recipe of V-JEPA 2's evaluations: AdamW, the learning rate falling along half a cosine to 0,
one probe for each pair of learning rate and weight decay, all on the same batches. The probe that
is best on validation rows is kept; rows that a result is reported on must not be among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from actionspace.errors import DataError, UsageError
from actionspace.features.forward import arithmetic
from actionspace.heads.attentive import SINGLE, AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.attentive_many import ManyProbes
from actionspace.heads.attentive_rows import (
    IGNORED,
    Classes,
    TokenRows,
    Truth,
    as_tokens,
    row_weights,
)
from actionspace.metrics.classification import mean_average_precision, mean_class_accuracy
from actionspace.progress import bar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LRS = (5e-3, 3e-3, 1e-3, 3e-4, 1e-4)
"""Learning rates of V-JEPA 2's grid."""
WEIGHT_DECAYS = (0.01, 0.1, 0.4, 0.8)
"""Weight decays of V-JEPA 2's grid."""
BUDGET = 4e9
"""Bytes on a CPU that weights, gradients and averages of the probes trained at once may take."""


@dataclass(frozen=True)
class AttentiveFit:
    """The probe that was chosen.

    Attributes:
        probe: on the CPU, in evaluation mode.
        trials: of each pair: ``lr``, ``weight_decay``, on validation rows ``accuracy`` (mean over
            classes; of several labels the mean average precision; of several kinds of label the
            mean of theirs) and ``loss``, and whether it was ``chosen``.
        device: where it computes.
        precision: its arithmetic.
    """

    probe: AttentiveProbe
    trials: list[dict[str, Any]] = field(default_factory=list)
    device: str = "cpu"
    precision: str = "auto"

    def scores(self, x: ArrayLike, batch_size: int = 256) -> Any:
        """Return float32 logits ``[N, C]`` of tokens ``[N, L, D]``; by name, if there are several.

        Raises:
            DataError: tokens of another shape, or that are not finite.
        """
        tokens = as_tokens(x)
        device = torch.device(self.device)
        probe = self.probe.to(device)
        parts: list[dict[str, Tensor]] = []
        with torch.inference_mode(), arithmetic(self.precision, device):
            for rows in _blocks(tokens, batch_size):
                found = probe(rows.to(device).float())
                parts.append(found if isinstance(found, dict) else {SINGLE: found})
        probe.to("cpu")
        names = list(probe.heads)
        logits = {n: torch.cat([p[n].float().cpu() for p in parts]).numpy() for n in names}
        return logits[SINGLE] if probe.single else logits


def fit_attentive(
    x_train: ArrayLike,
    y_train: ArrayLike | Truth,
    x_val: ArrayLike | None,
    y_val: ArrayLike | Truth | None,
    *,
    classes: Classes,
    config: AttentiveConfig | None = None,
    lrs: Sequence[float] = LRS,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    epochs: int = 20,
    batch_size: int = 64,
    seed: int = 0,
    device: str = "cpu",
    multi_label: bool = False,
    class_weight: str | None = None,
    sample_weight: ArrayLike | None = None,
    precision: str = "auto",
    progress: bool = True,
) -> AttentiveFit:
    """Train a probe for each pair of learning rate and weight decay; keep the best on validation.

    Weights and batches are functions of the seed alone, and the same for all pairs.

    Args:
        x_train: tokens ``[N, L, D]``, of any float type.
        y_train: class numbers ``[N]``, or with several labels zeros and ones ``[N, C]``; with
            several kinds of label these by name, -1 where a row has none of a kind.
        x_val, y_val: what the pair is chosen on; None if there is one pair only.
        classes: number of classes C, or those of each kind of label by name.
        config: the probe.
        lrs, weight_decays: the grid.
        epochs: passes over the training rows.
        batch_size: rows per step.
        seed: of first weights and order.
        device: ``cpu``, ``cuda`` ...
        multi_label: a sigmoid per class instead of a softmax over classes.
        class_weight: ``"balanced"`` = each class weighs the same (one label per row).
        sample_weight: importance of each training row ``[N]``.
        precision: ``"auto"`` = bfloat16 on CUDA (weights stay float32), float32 elsewhere.
        progress: show a bar.

    Raises:
        UsageError: several pairs but nothing to choose on, or heads that do not divide D.
        DataError: shapes that do not fit, tokens that are not finite, every pair diverged.
    """
    config = config or AttentiveConfig()
    grid = list(product(lrs, weight_decays))
    if not grid or epochs < 1 or batch_size < 1:
        raise UsageError("An attentive probe needs a learning rate, a decay, epochs and a batch.")
    if len(grid) > 1 and x_val is None:
        raise UsageError(
            f"{len(grid)} pairs of learning rate and weight decay, but no validation rows to "
            "choose on: give some, or a single pair."
        )
    task = TokenRows.of(x_train, y_train, classes, multi_label)
    task = replace(task, weight=row_weights(task, class_weight, sample_weight))
    judged = None if x_val is None else TokenRows.of(x_val, y_val, classes, multi_label)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = AttentiveProbe(task.x.shape[2], classes, config)
    at_once = _at_once(start, device)
    rounds = [grid[i : i + at_once] for i in range(0, len(grid), at_once)]
    steps = epochs * math.ceil(len(task.x) / batch_size)
    line = bar(total=steps * len(rounds), what="Probes", unit="step") if progress else None
    best: AttentiveProbe | None = None
    trials: list[dict[str, Any]] = []
    for some in rounds:
        many = ManyProbes(start.to(device), config, *zip(*some, strict=True))
        run = _Run(many, torch.device(device), precision, batch_size)
        for step, rows in enumerate(_order(len(task.x), epochs, batch_size, seed), 1):
            run.step(task, rows, 0.5 * (1 + math.cos(math.pi * (step - 1) / steps)))
            if line is not None:
                line.update()
        found = run.judge(judged) if judged is not None else [{} for _ in some]
        trials += [
            {"lr": lr, "weight_decay": decay, **score}
            for (lr, decay), score in zip(some, found, strict=True)
        ]
        chosen = _best(trials)
        if chosen >= len(trials) - len(some):
            best = many.probe(chosen - (len(trials) - len(some)))
    if line is not None:
        line.close()
    assert best is not None
    if not all(bool(p.isfinite().all()) for p in best.parameters()):
        raise DataError("Every probe diverged; take smaller learning rates.")
    trials = [{**trial, "chosen": i == _best(trials)} for i, trial in enumerate(trials)]
    return AttentiveFit(best, trials, device, precision)


@dataclass(frozen=True)
class _Run:
    """Probes at work."""

    many: ManyProbes
    device: torch.device
    precision: str
    batch_size: int

    def logits(self, task: TokenRows, rows: Tensor) -> dict[str, Tensor]:
        """Return float32 ``[K, B, C]`` by kind of label."""
        x = task.x[rows].to(self.device, non_blocking=True).float()
        with arithmetic(self.precision, self.device):
            return {name: value.float() for name, value in self.many(x).items()}

    def losses(self, task: TokenRows, rows: Tensor, logits: dict[str, Tensor]) -> Tensor:
        """Return the loss of each probe ``[K]``: mean over rows, and over kinds of label."""
        total = torch.zeros(self.many.count, device=self.device)
        for name, found in logits.items():
            truth = task.y[name][rows].to(self.device)
            truth = truth.expand(self.many.count, *truth.shape)
            if task.multi_label:
                each = F.binary_cross_entropy_with_logits(found, truth, reduction="none").mean(-1)
            else:
                each = F.cross_entropy(
                    found.flatten(0, 1), truth.flatten(), reduction="none", ignore_index=IGNORED
                ).view(self.many.count, -1)
            if name in task.weight:
                each = each * task.weight[name][rows].to(self.device)
            total = total + each.mean(dim=1)
        return total / len(logits)

    def step(self, task: TokenRows, rows: Tensor, share: float) -> None:
        """Learn from some rows."""
        self.many.step(self.losses(task, rows, self.logits(task, rows)).sum(), share)

    def judge(self, task: TokenRows) -> list[dict[str, float]]:
        """Return accuracy and loss of each probe."""
        parts: list[dict[str, Tensor]] = []
        losses = torch.zeros(self.many.count, dtype=torch.float64)
        with torch.inference_mode():
            for rows in _blocks(torch.arange(len(task.x)), max(self.batch_size, 64)):
                logits = self.logits(task, rows)
                losses += self.losses(task, rows, logits).double().cpu() * len(rows)
                parts.append({name: value.cpu() for name, value in logits.items()})
        every = {n: torch.cat([p[n] for p in parts], dim=1).numpy() for n in parts[0]}
        return [
            {
                "accuracy": float(np.mean([_accuracy(every[n][k], task, n) for n in every])),
                "loss": float(losses[k]) / len(task.x),
            }
            for k in range(self.many.count)
        ]


def _accuracy(logits: np.ndarray, task: TokenRows, name: str) -> float:
    """Return what a probe is chosen by; one that diverged has -1."""
    truth = task.y[name].numpy()
    if not np.isfinite(logits).all():
        return -1.0
    if task.multi_label:
        return mean_average_precision(logits, truth.astype(bool))
    known = truth != IGNORED
    return mean_class_accuracy(logits[known], truth[known])


def _best(trials: Sequence[Mapping[str, Any]]) -> int:
    """Return the best one: of equal accuracy the one of less loss, then the first."""
    keys = [(-trial.get("accuracy", 0.0), trial.get("loss", 0.0)) for trial in trials]
    return min(range(len(keys)), key=keys.__getitem__)


def _blocks(rows: Tensor, size: int) -> Iterator[Tensor]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _order(rows: int, epochs: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of each step, a function of the seed and the epoch."""
    for epoch in range(epochs):
        order = np.random.default_rng((seed, epoch)).permutation(rows)
        yield from _blocks(torch.from_numpy(order), batch_size)


def _at_once(start: AttentiveProbe, device: str) -> int:
    """Return how many probes fit: weights, gradients and two averages, in half of the memory."""
    each = 16 * sum(p.numel() for p in start.parameters())
    budget = BUDGET
    if device.startswith("cuda"):
        budget = torch.cuda.mem_get_info(torch.device(device))[0] / 2
    return max(1, int(budget // each))
