"""A linear head as a task of the trainer: losses of a step, metrics of the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.heads.linear import to_probabilities
from actionspace.metrics.classification import (
    mean_average_precision,
    mean_class_accuracy,
    score_confusion,
    top_k_accuracy,
)
from actionspace.recognition.head_model import HeadModel
from actionspace.recognition.probe import Average
from actionspace.recognition.rows import Rows
from actionspace.recognition.view_table import ViewTable
from actionspace.training.pictures import confusion_picture
from actionspace.training.task import Evaluation, Evaluator, Samples


@dataclass(frozen=True)
class Validation:
    """The validation split: its feature rows, encoded once, and how they become metrics.

    The encoder is frozen and the views are fixed, so that nothing but the head has to run again.

    Attributes:
        table: every row of every event as a sample.
        rows: the same rows with targets and events.
        classes: class names.
        average: how the rows of an event are averaged.
    """

    table: ViewTable
    rows: Rows
    classes: Sequence[str]
    average: Average

    def judge(self, numbers: np.ndarray, logits: np.ndarray) -> Evaluation:
        """Return the metrics of logits ``[R, C]`` of the rows with these numbers ``[R]``."""
        targets, weight = self.rows.targets[numbers], self.rows.weight[numbers]
        loss = float(np.average(_row_losses(logits, targets), weights=weight))
        multi_label = targets.ndim == 2
        _, first, event = np.unique(
            self.rows.event[numbers], return_index=True, return_inverse=True
        )
        if self.average == "score":
            scores = to_probabilities(_means(logits, event), multi_label)
        else:
            scores = _means(to_probabilities(logits, multi_label), event)
        truth = targets[first]
        if multi_label:
            return Evaluation({"map": mean_average_precision(scores, truth), "loss": loss})
        metrics = {
            "top1_accuracy": top_k_accuracy(scores, truth, 1),
            "top5_accuracy": top_k_accuracy(scores, truth, 5),
            "mean_class_accuracy": mean_class_accuracy(scores, truth),
            "loss": loss,
        }
        counts = score_confusion(scores, truth)
        return Evaluation(metrics, {"confusion": partial(confusion_picture, counts, self.classes)})


def _row_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    z, y = torch.from_numpy(logits).double(), torch.from_numpy(targets)
    if y.ndim == 1:
        return functional.cross_entropy(z, y, reduction="none").numpy()
    each = functional.binary_cross_entropy_with_logits(z, y.double(), reduction="none")
    return each.mean(dim=1).numpy()


def _means(values: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Average rows ``[R, C]`` over the events ``[R]`` (0, 1, 2 ...) they belong to."""
    total = np.zeros((int(event.max()) + 1, values.shape[1]))
    np.add.at(total, event, values)
    return total / np.bincount(event)[:, None]


@dataclass(frozen=True)
class HeadTask:
    """Learn a linear head.

    Attributes:
        model: the head, with its encoder where samples are clips.
        train: clips of events, or their features; batches are ``(inputs, targets)``.
        val: what it is judged by, if there is anything.
        clips_at_once: clips that one forward pass should hold, None = by encoder and device.
    """

    model: HeadModel
    train: Samples
    val: Validation | None
    clips_at_once: int | None = None

    def pass_limit(self, device: torch.device) -> int | None:
        """Return the clips one forward pass should hold; of features any number fits."""
        if self.model.encoder is None:
            return None
        from actionspace.features.forward import default_batch_size

        return self.clips_at_once or default_batch_size(self.model.encoder)

    def set_training(self, model: nn.Module) -> None:
        """Train the head, not the encoder."""
        self.model.set_training()

    def step(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Return the loss and how well the batch was recognised."""
        inputs, targets = batch
        logits = model(inputs).float()
        found = logits.detach()
        losses = {"loss": self.model.loss(logits, targets)}
        if targets.ndim == 2:
            right = ((found > 0) == targets).all(dim=1)
            return losses | {"exact_match_accuracy": right.float().mean()}
        k = min(5, found.shape[1])
        hits = found.topk(k, dim=1).indices == targets[:, None]
        return losses | {
            "top1_accuracy": hits[:, 0].float().mean(),
            "top5_accuracy": hits.any(dim=1).float().mean(),
        }

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        """Judge the head on the validation split."""
        if self.val is None:
            return None
        numbers: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for batch in evaluator.batches(self.val.table):
            features, _ = batch.data
            numbers.append(batch.indices)
            logits.append(self.model.head(features).float().cpu().numpy())
        return self.val.judge(*evaluator.gather(numbers, logits))
