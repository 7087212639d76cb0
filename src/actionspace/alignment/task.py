"""Alignment as a task of the trainer: the loss of a step, Kendall's tau while training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.alignment.infer import embed_video
from actionspace.alignment.losses.config import FrameClassificationConfig, SclConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.objective import alignment_loss
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.samples import ClipBatch, ViewSamples, WholeVideos
from actionspace.metrics.kendall_tau import kendalls_tau
from actionspace.training.augment.frames import FrameAugment
from actionspace.training.task import Evaluation, Evaluator

#: Pictures that one forward pass holds where gradients are computed.
PICTURES_AT_ONCE = 480


@dataclass
class AlignmentTask:
    """Learn embeddings in which the same moments of videos lie together.

    Attributes:
        recipe: all options.
        model: the network.
        train: views of training videos.
        val: videos that tau is measured on while training, two at least; or None.
    """

    recipe: AlignmentRecipe
    model: AlignmentNetwork
    train: ViewSamples
    val: WholeVideos | None
    _change: FrameAugment = field(init=False)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self._change = FrameAugment(recipe.augment, recipe.pictures.size, recipe.training.seed)

    def pass_limit(self, device: torch.device) -> int | None:
        """Return the videos of one forward pass: all of a step where they are compared."""
        recipe, loss = self.recipe, self.recipe.loss
        alone = isinstance(loss, FrameClassificationConfig) or (
            isinstance(loss, SclConfig) and loss.negatives.startswith("single")
        )
        if recipe.network.input == "features" or not alone:
            return None
        return max(1, PICTURES_AT_ONCE // (recipe.views * recipe.make.train_frames))

    def set_training(self, model: nn.Module) -> None:
        """Train what ``network.train_base`` says."""
        self.model.train()

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return the losses of a batch of views."""
        assert isinstance(batch, ClipBatch)
        loss = self.recipe.loss
        inputs = torch.stack([self._input(batch, view) for view in range(self.recipe.views)], 1)
        outputs = model(
            inputs.flatten(0, 1),
            batch.masks.flatten(0, 1),
            project=isinstance(loss, SclConfig),
            classify=isinstance(loss, FrameClassificationConfig),
        )
        frames = Frames.of(batch.steps, batch.lengths, batch.masks)
        return alignment_loss(
            outputs.unflatten(0, batch.steps.shape[:2]), frames, loss, batch.labels
        )

    def _input(self, batch: ClipBatch, view: int) -> Tensor:
        clips = batch.inputs[view]
        if self.recipe.network.input == "features":
            return torch.stack(clips)
        return self._change.train(clips, batch.samples, batch.epoch, view)

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        """Return Kendall's tau on the validation split; NaN where it is undefined."""
        if self.val is None:
            return None
        videos, width = self.val.videos, self.recipe.network.embedding_dim
        longest = max(len(videos.times(i)) for i in range(len(self.val)))
        numbers: list[np.ndarray] = []
        tables: list[np.ndarray] = []
        for batch in evaluator.batches(self.val):
            table = np.full((len(batch.data), longest, width), np.nan, np.float32)
            for row, video in zip(table, batch.data, strict=True):
                found = embed_video(self.model, videos, video.index, self.recipe)
                row[: len(found)] = found
            numbers.append(batch.indices)
            tables.append(table)
        _, rows = evaluator.gather(numbers, tables)
        kept = [video[~np.isnan(video[:, 0])] for video in rows]
        stride = self.recipe.evaluation.made().tau_stride
        return Evaluation({"kendall_tau": kendalls_tau(kept, stride=stride).mean})
