"""Heat maps of moments: what each point is to learn of them, and the focal loss it is learnt by.

Heat and loss are those of "CornerNet: Detecting Objects as Paired Keypoints" (Law and Deng, ECCV
2018) over time: around a moment, wrong answers cost less the nearer they are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.learning.assign import Truth
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.points_config import Moment, PointsConfig

HARD, NEAR = 2, 4  # exponents: of the score that is still missing, and of the heat that is lacking
REACH = 3  # widths to each side at which the heat ends
PER_LENGTH = 6  # lengths of an event that lasts, per width


class HeatTargets(NamedTuple):
    """What is to be learnt.

    Attributes:
        heat: float32 ``[B, F, K]``, 1 at the point nearest to a moment, falling to 0 around it.
    """

    heat: Tensor

    @property
    def learnt(self) -> Tensor:
        """Points at a moment, bool ``[B, F]``."""
        return (self.heat == 1).any(dim=-1)


def moments(segments: Tensor, at: Moment) -> Tensor:
    """Return the moment ``[...]`` of each segment ``[..., 2]`` that counts."""
    begin, end = segments.unbind(-1)
    return {"start": begin, "end": end, "center": (begin + end) / 2}[at]


def heat(points: Tensor, truth: Truth, classes: int, config: PointsConfig) -> HeatTargets:
    """Return the heat that every point has.

    Where several moments of a class are near, the hottest counts.

    Args:
        points: ``[F, 4]``, see ``points.level_points``.
        truth: the events.
        classes: how many.
        config: which moment of an event, and how wide.
    """
    time, _, _, stride = (column[:, None] for column in points.unbind(1))  # [F, 1]
    begin, end = truth.segments[:, None].unbind(-1)  # [B, 1, N]
    centre = moments(truth.segments[:, None], config.at) / stride  # [B, F, N], in cells
    width = torch.full_like(centre, config.sigma)
    if config.at == "center":
        width = torch.maximum(width, (end - begin) / stride / PER_LENGTH)
    cell = time / stride
    reach = REACH * width
    near = (cell >= (centre - reach).floor()) & (cell < (centre + reach + 1).floor())
    warm = torch.exp(-((cell - centre) ** 2) / (2 * width**2)) * near
    warm = torch.where(cell == centre.round(), 1.0, warm) * truth.real[:, None]
    label = truth.labels[:, None].expand(warm.shape)
    out = warm.new_zeros(*warm.shape[:2], classes)
    return HeatTargets(out.scatter_reduce(-1, label, warm, "amax"))


def heat_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the focal loss of each entry of heat maps (CornerNet, equation 1).

    Args:
        logits: of any shape.
        wanted: the heat, of the same shape; 1 = a moment is here.
    """
    score = logits.sigmoid()
    here = functional.logsigmoid(logits) * (1 - score) ** HARD
    elsewhere = functional.logsigmoid(-logits) * score**HARD * (1 - wanted) ** NEAR
    return -torch.where(wanted == 1, here, elsewhere)


def count_moments(
    points: Tensor, truth: Truth, classes: int, config: PointsConfig
) -> tuple[int, ...]:
    """Return how many cells of each level are at a moment, finest level first; as :func:`heat`."""
    here = heat(points, truth, classes, config).heat == 1
    starts = (points[:, 0] == 0).nonzero().flatten()  # each level begins with the first row
    return tuple(int(part.sum()) for part in here.tensor_split(starts[1:].tolist(), dim=1))


class HeatmapLoss(nn.Module):
    """The loss of heat maps: of each level, over its moments in the optimiser step, added up.

    Args:
        model: the network's make.
    """

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.config = model.points
        self._moments: tuple[Tensor | float, ...] = ()

    def advance(self, *moments: Tensor | float) -> None:
        """Take the number of moments that each level has in the optimiser step that begins."""
        self._moments = moments

    def targets(self, points: Tensor, truth: Truth, classes: int) -> HeatTargets:
        """Return what each point learns, see :func:`heat`."""
        return heat(points, truth, classes, self.config)

    def forward(
        self,
        predictions: Predictions,
        targets: HeatTargets,
        share: float = 1.0,
        *,
        counted: bool = False,
    ) -> dict[str, Tensor]:
        """Return ``loss``, and ``finest_loss``, which the finest level has in it.

        Args:
            predictions: of the network; computed with in float32.
            targets: of :func:`heat`, for the same points.
            share: of the step's videos that are in this batch.
            counted: :meth:`advance` was told the moments of the step; else those of this batch
                stand for them.
        """
        valid = predictions.mask.unsqueeze(-1)
        every = heat_loss(predictions.logits.float(), targets.heat) * valid
        sizes = list(predictions.sizes)
        if not counted:
            here = torch.split((targets.heat == 1) & valid, sizes, 1)
            self.advance(*(part.sum() / share for part in here))
        losses = [
            part.sum() / (torch.as_tensor(count).clamp(min=1) * share)
            for part, count in zip(torch.split(every, sizes, 1), self._moments, strict=True)
        ]
        # With a weight of 0 they still are in the sum, so that each parameter has a gradient.
        weight = 1.0 if self.config.levels == "all" else 0.0
        total = losses[0]
        for loss in losses[1:]:
            total = total + weight * loss
        return {"loss": total, "finest_loss": losses[0]}
