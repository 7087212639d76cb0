"""A classifier as a task of the trainer: losses of a step, metrics of the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.errors import DataError
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
from actionspace.training.augment.augment import Augment
from actionspace.training.pictures import confusion_picture
from actionspace.training.task import Evaluation, Evaluator, Samples

if TYPE_CHECKING:
    from actionspace.recognition.joint_validation import JointValidation

#: How many times fewer clips fit into memory where an encoder is trained than where it only runs.
GRADIENT_COST = 8


@dataclass(frozen=True)
class Truth:
    """What validation clips are of.

    Attributes:
        targets: int64 class numbers ``[R]``, or bool ``[R, C]`` with several labels.
        weight: float64 ``[R]``: one over the views of the event, so that events count alike.
        event: int64 ``[R]``: number of the event.
    """

    targets: np.ndarray
    weight: np.ndarray
    event: np.ndarray


@dataclass(frozen=True)
class Validation:
    """The validation split, in views that are the same in each epoch, and its metrics.

    Where the encoder is frozen the views are feature rows, encoded once, so that nothing but the
    head has to run again; else they are clips.

    Attributes:
        samples: every view of every event.
        rows: what they are of, in the same order.
        classes: class names.
        average: how the views of an event are averaged.
    """

    samples: Samples
    rows: Rows | Truth
    classes: Sequence[str]
    average: Average

    def judge(self, numbers: np.ndarray, logits: np.ndarray) -> Evaluation:
        """Return the metrics of logits ``[R, C]`` of the rows with these numbers ``[R]``."""
        targets, weight = self.rows.targets[numbers], self.rows.weight[numbers]
        loss = float(np.average(_row_losses(logits, targets), weights=weight))
        _, scores, truth = self.averaged(numbers, logits)
        if truth.ndim == 2:
            return Evaluation({"map": mean_average_precision(scores, truth), "loss": loss})
        metrics = {
            "top1_accuracy": top_k_accuracy(scores, truth, 1),
            "top5_accuracy": top_k_accuracy(scores, truth, 5),
            "mean_class_accuracy": mean_class_accuracy(scores, truth),
            "loss": loss,
        }
        counts = score_confusion(scores, truth)
        return Evaluation(metrics, {"confusion": partial(confusion_picture, counts, self.classes)})

    def averaged(
        self, numbers: np.ndarray, logits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return numbers of events ``[E]``, their probabilities ``[E, C]`` and what they are."""
        targets = self.rows.targets[numbers]
        multi_label = targets.ndim == 2
        events, first, event = np.unique(
            self.rows.event[numbers], return_index=True, return_inverse=True
        )
        if self.average == "score":
            scores = to_probabilities(_means(logits, event), multi_label)
        else:
            scores = np.asarray(_means(to_probabilities(logits, multi_label), event))
        return events, scores, targets[first]


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
    """Learn a linear head, and what of its encoder is not frozen.

    Attributes:
        model: the head, with its encoder where samples are clips.
        train: clips of events, or their features; batches are ``(inputs, targets)``.
        val: what it is judged by, if there is anything.
        clips_at_once: clips that one forward pass should hold, None = by encoder and device.
        augment: what is changed in training clips; batches then are those of ``Numbered``.
    """

    model: HeadModel
    train: Samples
    val: Validation | JointValidation | None
    clips_at_once: int | None = None
    augment: Augment | None = None

    def pass_limit(self, device: torch.device) -> int | None:
        """Return the clips one forward pass should hold; of features any number fits."""
        if self.model.encoder is None:
            return None
        from actionspace.features.forward import default_batch_size

        fits = default_batch_size(self.model.encoder)
        if not self.model.frozen:
            fits = max(fits // GRADIENT_COST, 1)
        return self.clips_at_once or fits

    def set_training(self, model: nn.Module) -> None:
        """Train the head and what of the encoder is not frozen."""
        self.model.set_training()

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return the loss and how well the batch was recognised, mixed clips by the larger part."""
        if self.augment is None:
            inputs, targets = batch
        else:
            (inputs, targets), indices, epoch = batch
            inputs, targets = self.augment(inputs, targets, indices, epoch)
        return self.model.loss.parts(model(inputs).float(), targets)

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        """Judge it on the validation split.

        Raises:
            DataError: not one clip of the split can be read.
        """
        if self.val is None:
            return None
        numbers: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for batch in evaluator.batches(self.val.samples):
            inputs, _ = batch.data
            numbers.append(batch.indices)
            logits.append(self.model(inputs).float().cpu().numpy())
        found = evaluator.gather(numbers, logits)
        if not len(found[0]):
            raise DataError("None of the validation clips can be read; check the manifest.")
        return self.val.judge(*found)
