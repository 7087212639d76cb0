"""The loss of several columns at once: the mean of theirs, each over the events it has labels of.

The SlowFast baseline of EPIC-KITCHENS-100 (Damen et al. 2022) is trained by the same loss,
0.5 (verb + noun).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.errors import DataError
from actionspace.recognition.columns import JointTargets
from actionspace.recognition.head_model import HeadLoss, hits
from actionspace.recognition.recipe import HeadConfig


class JointLoss(nn.Module):
    """The mean over columns of each column's loss.

    A sample without a label in a column counts nothing there. Those that have one count 1 / share,
    ``share`` being how many of all training samples do: so the parts of a step still add up, and
    over an epoch the mean is one over labelled samples.
    """

    def __init__(self, table: np.ndarray, targets: JointTargets, config: HeadConfig) -> None:
        """Prepare.

        Args:
            table: of all training samples, bool ``[N, S + K]`` as in ``targets``; they balance.
            targets: the columns.
            config: class weights, label smoothing.

        Raises:
            DataError: not one training sample has a label in a column.
        """
        super().__init__()
        self._targets = targets
        self._smoothing = config.label_smoothing
        self.each: list[HeadLoss] = []
        self.share: list[float] = []
        for column, told in targets.each.items():
            values, known = targets.split(table, column)
            if not known.any():
                raise DataError(f"No training event has a '{column}', so nothing can be learnt.")
            self.each.append(HeadLoss(values[known], len(told.classes), config))
            self.share.append(float(known.mean()))
        self.parts_of_it = nn.ModuleList(self.each)  # so that they go where this goes

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits ``[B, S]``; targets are ``[B, S + K]``, mixed or not."""
        return self.parts(logits, targets)["loss"]

    def parts(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the loss, and of each column its loss and how well the batch was recognised.

        Where samples lack labels, accuracies are means over samples that have one, too, but over
        an epoch and not in each batch.
        """
        table = targets.to(logits.dtype)
        found: dict[str, Tensor] = {}
        losses = []
        for column, loss, share in zip(self._targets.each, self.each, self.share, strict=True):
            part = self._targets.part(column)
            z, truth, known = logits[:, part], table[:, part], table[:, self._targets.flag(column)]
            losses.append(self._one(loss, z, truth, known) / share)
            found[f"{column}_loss"] = losses[-1]
            for name, right in hits(z.detach(), truth, loss.multi_label).items():
                found[f"{column}_{name}"] = (right & (known > 0.5)).float().mean() / share
        return {"loss": torch.stack(losses).mean(), **found}

    def _one(self, loss: HeadLoss, z: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        """Return a column's loss as the mean over all samples; unknown ones add nothing.

        Like the targets of a mixed sample, what is known of it is a share: everything is linear in
        both, so that mixing samples mixes their losses.
        """
        weight, classes = loss.weight, z.shape[1]
        if loss.multi_label:
            absent, present = (known[:, None] - truth), truth
            if weight is not None:
                absent, present = absent * weight[0], present * weight[1]
            each = absent * functional.softplus(z) + present * functional.softplus(-z)
            return each.mean()
        if self._smoothing:
            truth = truth * (1 - self._smoothing) + known[:, None] * (self._smoothing / classes)
        weighted = truth if weight is None else truth * weight
        return -(weighted * functional.log_softmax(z, dim=1)).sum() / len(z)
