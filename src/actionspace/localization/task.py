"""Localization as a task of the trainer: losses of a step, average precision while training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.localization.data.sample import Sample
from actionspace.localization.data.samples import FeatureSamples
from actionspace.localization.detection.detector import COLUMNS, Detector, detections_frame
from actionspace.localization.learning.assign import counted
from actionspace.localization.learning.create import create_loss
from actionspace.localization.learning.steps import StepFacts, StepSamples
from actionspace.localization.network.create import create_network
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.points import pyramid_points
from actionspace.localization.network.trident import TridentPredictions
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.training.task import Evaluation, Evaluator

if TYPE_CHECKING:
    from actionspace.events.table import Events

#: Rows of features that one forward pass holds where gradients are computed.
ROWS_AT_ONCE = 40_000


class Localizer(nn.Module):
    """The network and the running mean its losses are divided by: what a training changes.

    Args:
        recipe: model and loss.
        dim: values per row of features.
        classes: how many.
        empty: classes that no training video has.
    """

    def __init__(
        self, recipe: LocalizationRecipe, dim: int, classes: int, empty: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.classes = classes
        self.network = create_network(recipe.model, dim, classes, empty)
        self.loss = create_loss(recipe.model, recipe.loss)

    def forward(
        self, features: Tensor, mask: Tensor, learnt: Tensor | None = None
    ) -> Predictions | TridentPredictions:
        """Return what the network says, see :class:`.network.model.ActionFormer`."""
        said: Predictions | TridentPredictions = self.network(features, mask, learnt)
        return said


class WholeVideos:
    """Videos of a split as samples that are not put together: each is evaluated at its length."""

    def __init__(self, samples: FeatureSamples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def name(self, index: int) -> str:
        """Return the video."""
        return self._samples.name(index)

    def load(self, index: int, epoch: int) -> Sample:
        """Read a video, the same in each epoch."""
        return self._samples.whole(index)

    def collate(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """Return the videos as they are."""
        return tuple(samples)


@dataclass(frozen=True)
class Validation:
    """What the network is judged by while it learns.

    Attributes:
        samples: the videos of the split.
        truth: their events.
        classes: names in the order of their numbers.
    """

    samples: WholeVideos
    truth: Events
    classes: Sequence[str]


@dataclass
class LocalizationTask:
    """Learn when which event begins and ends.

    Attributes:
        recipe: all options.
        model: the network with its loss.
        train: random windows of training videos.
        val: what it is judged by, if there is anything.
    """

    recipe: LocalizationRecipe
    model: Localizer
    train: StepSamples
    val: Validation | None
    _step: int = -1

    def pass_limit(self, device: torch.device) -> int | None:
        """Return the videos that one forward pass should hold."""
        return max(1, ROWS_AT_ONCE // self.recipe.model.max_length)

    def set_training(self, model: nn.Module) -> None:
        """Train all of it."""
        self.model.train()

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return the losses of a batch that is a part of a step."""
        data, facts = batch
        assert isinstance(facts, StepFacts)
        points = pyramid_points(self.recipe.model, data.features.shape[-1], data.features.device)
        targets = self.model.loss.targets(points, data.truth, self.model.classes)
        if facts.number != self._step:  # the first of its passes
            self.model.loss.advance(*facts.positives)
            self._step = facts.number
        # Sizes that depend on data stop a GPU, and a compiled network.
        some = data.features.device.type == "cpu" and not self.recipe.training.compile
        said = model(data.features, data.mask, targets.learnt if some else None)
        if data.uncounted is not None:
            said = said._replace(mask=said.mask & counted(points, targets, data.uncounted))
        losses: dict[str, Tensor] = self.model.loss(
            said, targets, len(data.videos) / facts.samples, counted=True
        )
        return losses

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        """Return mean average precision and recall on the validation split."""
        if self.val is None:
            return None
        detector = Detector.of(self.recipe, self.model.network, self.val.classes)
        most = self.recipe.suppression.max_segments
        numbers: list[np.ndarray] = []
        tables: list[np.ndarray] = []
        for batch in evaluator.batches(self.val.samples):
            found = detector(batch.data)
            table = np.full((len(found), most, COLUMNS), np.nan)
            for i, one in enumerate(found):
                table[i, : len(one)] = one.as_array()[:most]
            numbers.append(batch.indices)
            tables.append(table)
        indices, rows = evaluator.gather(numbers, tables)
        return Evaluation(self._judge(indices, rows))

    def _judge(self, indices: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        from actionspace.localization.measure import measured

        assert self.val is not None
        names = [self.val.samples.name(int(i)) for i in indices]
        kept = [part[~np.isnan(part[:, 0])] for part in rows]
        frame = detections_frame(names, kept, self.val.classes, self.recipe.column)
        return measured(frame, self.val.truth, self.recipe).metrics()
