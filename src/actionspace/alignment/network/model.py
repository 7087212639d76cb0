"""The whole network: the ResNet in two parts, the embedder, and the heads.

Names of weights are those of published checkpoints: ``backbone``, ``res_finetune``, ``embed``,
``ssl_projection`` and ``classifier``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.network.embedder import (
    ConvEmbedder,
    TransformerEmbedder,
    VanillaEmbedder,
)
from actionspace.errors import UsageError

_EMBEDDERS: dict[str, type[TransformerEmbedder] | type[ConvEmbedder] | type[VanillaEmbedder]] = {
    "transformer": TransformerEmbedder,
    "conv": ConvEmbedder,
    "vanilla": VanillaEmbedder,
}
#: Parts of a ResNet: convolution, norm, ReLU, pooling, and four stages.
_PARTS, _STEM = 8, 4


class Projection(nn.Module):
    """The head on which a contrastive loss is computed: two linear layers, BatchNorm and ReLU.

    As in the original its inner width is that of ``projection_dim``; its output is as wide as its
    input.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        outer, inner = config.embedding_dim, config.projection_dim
        self.net = nn.Sequential(
            nn.Linear(outer, inner), nn.BatchNorm1d(inner), nn.ReLU(), nn.Linear(inner, outer)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, T, D]`` to the same shape."""
        out: Tensor = self.net(x.flatten(0, 1))
        return out.reshape(x.shape)


class Classifier(nn.Module):
    """Dropout and a linear layer from embeddings to classes of frames."""

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        linear = nn.Linear(config.embedding_dim, classes)
        self.fc_layers = nn.Sequential(nn.Dropout(config.fc_dropout), linear)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, T, D]`` to ``[B, T, classes]``."""
        out: Tensor = self.fc_layers(x)
        return out


class AlignmentNetwork(nn.Module):
    """Clips to embeddings of their frames.

    Attributes:
        config: its make.
        dim: channels that go into the embedder.
        classes: of the classifier; 0 = there is none.
    """

    def __init__(
        self,
        config: NetworkConfig,
        dim: int,
        *,
        parts: Sequence[nn.Module] = (),
        classes: int = 0,
    ) -> None:
        """Build.

        Args:
            config: its make.
            dim: channels that go into the embedder.
            parts: the eight parts of a ResNet, for ``input: frames``.
            classes: of the classifier; 0 = there is none.
        """
        super().__init__()
        self.config, self.dim, self.classes = config, dim, classes
        if config.input == "frames":
            kept = _STEM + config.layer
            behind = list(parts[kept:_PARTS])
            self.backbone = nn.Sequential(*parts[:kept])
            # One stage keeps its own names, as in published checkpoints.
            self.res_finetune = behind[0] if len(behind) == 1 else nn.Sequential(*behind)
        self.embed = _EMBEDDERS[config.embedder](config, dim)
        if config.projection:
            self.ssl_projection = Projection(config)
        if classes:
            self.classifier = Classifier(config, classes)
        self.freeze()

    def freeze(self) -> None:
        """Let train what ``train_base`` says, and everything behind the backbone."""
        if self.config.input == "features":
            return
        kind = self.config.train_base
        for module in self.backbone.modules():
            norm = isinstance(module, nn.BatchNorm2d)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(kind == "all" or (kind == "bn" and norm))

    def freeze_idle(self) -> None:
        """Ask for no gradient of weights that can never have one, as data parallel training needs.

        They are the last stage with embedder ``conv``, and a backbone that stands still though
        ``train_base`` says otherwise (``compat``); the original's optimiser holds them, too.
        """
        if self.config.input == "features":
            return
        if self.still:
            self.backbone.requires_grad_(False)
        if self.config.embedder == "conv":
            self.res_finetune.requires_grad_(False)

    @property
    def still(self) -> bool:
        """Whether the backbone changes nothing while training: no weights, no statistics."""
        c = self.config
        held = c.compat == "carl" and c.embedder == "transformer"
        return c.train_base == "frozen" or held

    def train(self, mode: bool = True) -> AlignmentNetwork:
        """Set the mode; a backbone that stands still stays in evaluation mode."""
        super().train(mode)
        if self.config.input == "frames" and self.still:
            self.backbone.eval()
        return self

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        project: bool = False,
        classify: bool = False,
    ) -> Tensor:
        """Return embeddings ``[B, T, embedding_dim]``, or ``[B, T, classes]``.

        Args:
            x: normalised pictures ``[B, T x contexts, 3, H, W]``, or features
                ``[B, T x contexts, dim]``.
            mask: ``[B, T]``, true where there is a frame; None = everywhere.
            project: through the projection head, if the network has one, to length 1.
            classify: return what the classifier says of the embeddings.

        Raises:
            UsageError: ``x`` is of another shape; there is no classifier.
        """
        self._check(x)
        return self.of_features(self.frame_features(x), mask, project=project, classify=classify)

    def of_features(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        *,
        project: bool = False,
        classify: bool = False,
    ) -> Tensor:
        """Return what :meth:`forward` does, of what :meth:`frame_features` gave.

        Raises:
            UsageError: there is no classifier.
        """
        out: Tensor = self.embed(features, mask)
        if project and self.config.projection:
            out = F.normalize(self.ssl_projection(out), dim=-1)
        elif self.config.l2_normalize:
            out = F.normalize(out, dim=-1)
        if not classify:
            return out
        if not self.classes:
            raise UsageError("This network has no classifier; create it with classes=N.")
        logits: Tensor = self.classifier(out)
        return logits

    def frame_features(self, x: Tensor) -> Tensor:
        """Return what goes into the embedder, ``[B, S, dim]`` (``[B, S, dim, h, w]`` for ``conv``).

        Args:
            x: pictures ``[B, S, 3, H, W]``; features are returned as they are.
        """
        if self.config.input == "features":
            return x
        blocks = torch.split(x, self._block(x.shape[1]), dim=1)
        return torch.cat([self.encode_pictures(block) for block in blocks], dim=1)

    def _block(self, length: int) -> int:
        """Return how many frames of each video go through the ResNet at a time.

        BatchNorms that are trained see one block, which with the other embedders is, as in the
        original, everything.
        """
        whole = self.config.embedder != "transformer" and self.training
        return length if whole else self.config.frames_per_batch

    def encode_pictures(self, x: Tensor) -> Tensor:
        """Return what goes into the embedder, of all pictures ``[B, S, 3, H, W]`` at a time."""
        pictures = x.flatten(0, 1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.still):
            maps = self.backbone(pictures)
        if self.config.embedder != "conv":  # of which the last stage is of no use, as published
            maps = self.res_finetune(maps)
        maps = self.embed.reduce(maps)
        return maps.reshape(*x.shape[:2], *maps.shape[1:])

    def _check(self, x: Tensor) -> None:
        contexts, features = self.config.contexts, self.config.input == "features"
        fits = x.ndim == 3 and x.shape[2] == self.dim if features else x.ndim == 5
        if not fits:
            width = f"{self.dim}]" if features else "3, H, W]"
            raise UsageError(
                f"The network was given {list(x.shape)}; expected [videos, frames, {width} "
                f"({self.config.input})."
            )
        if x.shape[1] % contexts:
            raise UsageError(
                f"{x.shape[1]} frames are not a whole number of groups of {contexts} contexts; "
                f"give each frame with the {contexts - 1} before it."
            )
