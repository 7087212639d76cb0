"""Anticipation as a task of the trainer: losses of a step, recall on the validation split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.anticipation.losses import anticipation_losses
from actionspace.anticipation.network.model import AnticipationNetwork
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.anticipation.samples import Observed, Questions
from actionspace.metrics.anticipation import class_mean_recall, guesses
from actionspace.metrics.classification import top_k_accuracy
from actionspace.training.task import Evaluation, Evaluator

#: Numbers (rows times tokens times width) that one forward pass holds where gradients are computed.
AT_ONCE = 1 << 26

RECALL, ACCURACY = "mean_topk_recall", "top1_accuracy"
METRICS = (RECALL, ACCURACY)
"""What the validation split is judged by: means over columns, at ``horizon.report``."""


@dataclass
class AnticipationTask:
    """Learn what comes next.

    Attributes:
        recipe: all options.
        model: the network.
        train: training events, each with a horizon drawn at random in each epoch.
        val: events that it is judged by, at ``horizon.report``, if there are any.
    """

    recipe: AnticipationRecipe
    model: AnticipationNetwork
    train: Questions
    val: Questions | None

    def pass_limit(self, device: torch.device) -> int | None:
        """Return the questions of one forward pass."""
        return max(1, AT_ONCE // max(self.train.numbers * self.recipe.network.depth, 1))

    def set_training(self, model: nn.Module) -> None:
        """Train all of it."""
        self.model.train()

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return the losses of a batch of questions."""
        assert isinstance(batch, Observed)
        return anticipation_losses(model(batch), batch, self.recipe.loss)

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        """Return recall and accuracy on the validation split, means over columns."""
        if self.val is None:
            return None
        numbers: list[np.ndarray] = []
        tables: list[np.ndarray] = []
        for batch in evaluator.batches(self.val):
            said = self.model(batch.data)[0].logits
            tables.append(torch.cat([v.float() for v in said.values()], dim=1).cpu().numpy())
            numbers.append(batch.indices)
        indices, rows = evaluator.gather(numbers, tables)
        return Evaluation(self._judge(rows, self.val.asked.targets[indices]))

    def _judge(self, rows: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        sizes = self.model.sizes
        found: dict[str, list[float]] = {name: [] for name in METRICS}
        for k, scores in enumerate(np.split(rows, np.cumsum(sizes)[:-1], axis=1)):
            truth = targets[:, k]
            known = truth >= 0
            if known.any():
                some, labels = scores[known], truth[known]
                found[RECALL].append(class_mean_recall(some, labels, guesses(some.shape[1])))
                found[ACCURACY].append(top_k_accuracy(some, labels, 1))
        return {name: float(np.mean(values or [np.nan])) for name, values in found.items()}
