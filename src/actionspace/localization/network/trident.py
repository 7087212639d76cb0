"""Ends of events as expectations over the cells around a point: the trident head of TriDet."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TridentPredictions(NamedTuple):
    """What TriDet says at every point; F = points of all levels, finest level first.

    Attributes:
        points: float32 ``[F, 4]``: time (rows), range of distances learnt (rows), stride.
        mask: bool ``[B, F]``, points within the video.
        logits: ``[B, F, K]``.
        centres: ``[B, F, 2, N + 1]``, how likely a begin lies N to 0 cells before the point, and an
            end 0 to N cells after it, as seen from the point.
        begins, ends: ``[B, F, K]``, how likely an event of a class begins, or ends, in a cell.
        sizes: points per level.
    """

    points: Tensor
    mask: Tensor
    logits: Tensor
    centres: Tensor
    begins: Tensor
    ends: Tensor
    sizes: tuple[int, ...]

    def levels(self) -> list[TridentPredictions]:
        """Return the same for each level by itself."""
        out, first = [], 0
        for size in self.sizes:
            at = slice(first, first + size)
            parts = (self.mask, self.logits, self.centres, self.begins, self.ends)
            mask, logits, centres, begins, ends = (part[:, at] for part in parts)
            points = self.points[at]
            out.append(TridentPredictions(points, mask, logits, centres, begins, ends, (size,)))
            first += size
        return out

    def offsets_at(self, video: Tensor, point: Tensor, label: Tensor) -> Tensor:
        """Return distances ``[..., 2]`` to begin and end in strides, for some points and classes.

        Shi et al., CVPR 2023, section 3.3: what the point says of a cell and what the cell says of
        itself are added; the distance is its mean under the softmax of these sums. Cells beyond
        the level say 0. Cells are gathered for the points asked for only, since there are
        ``[B, F, K, N + 1]`` of them.

        Args:
            video, point, label: int64 ``[...]``, numbers along B, F and K.
        """
        reach = self.centres.shape[-1] - 1
        away = torch.arange(reach + 1, device=point.device)
        cells = torch.stack([point.unsqueeze(-1) - away.flip(0), point.unsqueeze(-1) + away], -2)
        first, last = (edge[point][..., None, None] for edge in self._edges())
        inside = (cells >= first) & (cells <= last)
        cells = cells.clamp(0, len(self.points) - 1)
        near = torch.stack(
            [
                said[video.unsqueeze(-1), cells[..., side, :], label.unsqueeze(-1)]
                for side, said in enumerate((self.begins, self.ends))
            ],
            dim=-2,
        )
        total = torch.where(inside, near.float(), 0.0) + self.centres[video, point].float()
        return (total.softmax(-1) * torch.stack([away.flip(0), away])).sum(-1)

    def _edges(self) -> tuple[Tensor, Tensor]:
        """Return the first and the last point of each point's level, int64 ``[F]`` each."""
        sizes = torch.tensor(self.sizes, device=self.points.device)
        last = torch.repeat_interleave(sizes.cumsum(0), sizes, output_size=len(self.points)) - 1
        return last + 1 - torch.repeat_interleave(sizes, sizes, output_size=len(self.points)), last
