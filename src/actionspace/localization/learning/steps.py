"""Training samples that know the optimiser step they are part of.

The losses of a step are divided by a running mean of the points that learn an event, over all of
its videos. A process, or one of several forward passes, has some of the videos only; but which ones
the others have, and which windows of them, are functions of seed and epoch. So each counts for all,
without features and without asking.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from actionspace.errors import ActionspaceError
from actionspace.localization.data.sample import Sample, SampleBatch
from actionspace.localization.data.samples import FeatureSamples
from actionspace.localization.learning.assign import assign, collect
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.heatmap import count_moments
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.points import pyramid_points
from actionspace.training.options import TrainingConfig
from actionspace.training.plan import epoch_order, steps_per_epoch


@dataclass(frozen=True)
class StepFacts:
    """One optimiser step, over all processes and forward passes.

    Attributes:
        number: of the step since the beginning.
        samples: videos in it.
        positives: points in them that learn an event; of moments, those of each level.
    """

    number: int
    samples: int
    positives: tuple[int, ...]


class StepSamples:
    """Training videos; a batch is ``(SampleBatch, StepFacts)``.

    Args:
        samples: the videos, with random windows.
        training: seed, order and size of the steps.
        model, loss: which points learn what.
    """

    def __init__(
        self,
        samples: FeatureSamples,
        training: TrainingConfig,
        model: ModelConfig,
        loss: LossConfig,
    ) -> None:
        self.samples = samples
        self._training, self._model, self._loss = training, model, loss
        self._steps = steps_per_epoch(
            len(samples), training.batch_size, drop_last=training.drop_last
        )
        self._order = functools.lru_cache(maxsize=2)(self._make_order)
        self._positives = functools.lru_cache(maxsize=8 * training.batch_size)(self._count)

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int) -> str:
        """Return the video of a sample."""
        return self.samples.name(index)

    def load(self, index: int, epoch: int) -> tuple[Sample, StepFacts]:
        """Return the window of a video, and the step it is part of."""
        return self.samples.load(index, epoch), self._step(index, epoch)

    def collate(self, samples: Sequence[tuple[Sample, StepFacts]]) -> tuple[SampleBatch, StepFacts]:
        """Return a batch of windows, and the step."""
        return self.samples.collate([sample for sample, _ in samples]), samples[0][1]

    def _step(self, index: int, epoch: int) -> StepFacts:
        order, place = self._order(epoch)
        size = self._training.batch_size
        k = int(place[index]) // size
        members = order[k * size : (k + 1) * size].tolist()
        counts = [self._positives(i, epoch) for i in members]
        positives = tuple(sum(part) for part in zip(*counts, strict=True))
        return StepFacts(epoch * self._steps + k, len(members), positives)

    def _make_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of an epoch, and the place of each sample in it."""
        training = self._training
        order = epoch_order(len(self), training.seed, epoch, shuffle=training.shuffle)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return order, place

    def _count(self, index: int, epoch: int) -> tuple[int, ...]:
        """Return the points of a sample that learn an event; none where it cannot be read."""
        try:
            sample = self.samples.outline(index, epoch)
        except ActionspaceError:
            levels = len(self._model.strides) if self._model.head == "points" else 1
            return (0,) * levels
        return count_positives(sample, self._model, self._loss)


def count_positives(sample: Sample, model: ModelConfig, loss: LossConfig) -> tuple[int, ...]:
    """Return how many points of a video, or of a window of it, learn an event.

    Where moments are learnt, those of each level; else those of all levels together.
    """
    rows = -(-len(sample) // model.divisor) * model.divisor
    points = pyramid_points(model, rows, torch.device("cpu"))
    points = points[points[:, 0] < len(sample)]
    if model.head == "points":
        classes = 1 + max(sample.labels.tolist(), default=0)
        truth = collect([sample.segments], [sample.labels])
        return count_moments(points, truth, classes, model.points)
    truth = collect([sample.segments], [torch.zeros_like(sample.labels)])
    return (int(assign(points, truth, 1, loss).learnt.sum()),)
