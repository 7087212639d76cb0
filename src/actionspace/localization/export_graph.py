"""What an exported file of localization computes: features to candidates before suppression."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actionspace.errors import UsageError
from actionspace.localization.network.boundaries import boundary_spread
from actionspace.localization.network.create import Network
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.trident import TridentPredictions


class Candidates(nn.Module):
    """A network with its points decoded; F = points of all levels, K = classes.

    Args:
        network: with a head that tells segments.

    Raises:
        UsageError: it has another.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        head = network.config.head
        if head == "points":
            raise UsageError(
                "Networks of point events are not exported: what they say has no segments."
            )
        self.network = network
        spread = ("spread",) if head == "boundaries" else ()
        self.outputs: tuple[str, ...] = ("segments", "scores", *spread)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Return segments in rows, scores, and how uncertain both ends are.

        Args:
            features: float32 ``[1, T, D]``, zero where the video has ended.
            mask: bool ``[1, T]``, true for the rows of the video.

        Returns:
            ``[1, F, 2]`` (``[1, F, K, 2]`` where every class has its own), ``[1, F, K]``, and of
            boundary distributions ``[1, F, 2, 3]``: standard deviation and the middle 80 %,
            counted from the boundary.
        """
        said: Predictions | TridentPredictions = self.network(features.mT, mask.unsqueeze(1))
        time, _, _, stride = said.points.unbind(1)
        scores = said.logits.sigmoid() * said.mask.unsqueeze(-1)
        if isinstance(said, TridentPredictions):
            return self._by_class(said, time, stride), scores
        segments = _placed(said.offsets, time, stride)
        if said.bins is None or said.width is None:
            return segments, scores
        return segments, scores, boundary_spread(said.bins, said.width.abs() * stride)

    def _by_class(self, said: TridentPredictions, time: Tensor, stride: Tensor) -> Tensor:
        batch, points, classes = said.logits.shape
        every = torch.meshgrid(
            *(torch.arange(n, device=time.device) for n in (batch, points, classes)), indexing="ij"
        )
        return _placed(said.offsets_at(*every), time[:, None], stride[:, None])


def _placed(offsets: Tensor, time: Tensor, stride: Tensor) -> Tensor:
    """Return begin and end ``[..., 2]`` of segments ``offsets`` about points."""
    ends = [time - offsets[..., 0] * stride, time + offsets[..., 1] * stride]
    return torch.stack(ends, dim=-1)
