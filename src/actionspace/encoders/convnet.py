"""Three-dimensional convolutional networks as plain data.

Nothing here imports torch, so that listing encoders is instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actionspace.encoders.spec import ClipSpec

#: Normalisation of the Kinetics networks of pytorchvideo and PySlowFast: 0.45 and 0.225 of 255.
KINETICS_MEAN = (114.75, 114.75, 114.75)
KINETICS_STD = (57.375, 57.375, 57.375)


@dataclass(frozen=True)
class ConvNet:
    """A named architecture.

    Attributes:
        name: what to ask for.
        network: the module class, as ``module:class``.
        dim: channels of the features.
        backbone_parameters: of the network, without a classifier.
        clip_multiply_adds: of one clip's forward pass at ``clip``'s size.
        clip: the clip it was published with.
        arguments: of ``network``.
    """

    name: str
    network: str
    dim: int
    backbone_parameters: int
    clip_multiply_adds: int
    clip: ClipSpec
    arguments: Mapping[str, Any] = field(default_factory=dict)
    buffer_bytes = 0  # Running statistics are few.

    def options(self) -> dict[str, Any]:
        """Return the network's keyword arguments."""
        return dict(self.arguments)

    def parameters(self, classes: int = 0) -> int:
        """Count parameters, those of a linear head of ``classes`` outputs included."""
        return self.backbone_parameters + classes * (self.dim + 1 if classes else 0)

    def multiply_adds(self, frames: int, height: int, width: int) -> int:
        """Return the multiply-adds of one clip's forward pass (the literature's "FLOPs").

        Exact for the published clip; in proportion to frames and area for others.
        """
        published = self.clip.frames * self.clip.size**2
        return self.clip_multiply_adds * frames * height * width // published

    def describe(self) -> str:
        """Say in a few words what it is."""
        return self.network.rpartition(":")[2] + f", {self.backbone_parameters / 1e6:.1f} M"
