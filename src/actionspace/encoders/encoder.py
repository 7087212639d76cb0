"""The uniform surface of every encoder: clips in, features, tokens or one vector out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import UsageError


class Encoder(nn.Module):
    """A backbone with the facts needed to feed it and to name what it computed.

    Attributes:
        name: how it was asked for.
        dim: channels D of its features.
        clip: the clip it expects.
        licence: licence of the weights, ``""`` if unknown.
        weights_hash: what the weights are: a SHA-256, or ``untrained-seed<n>``.
        backbone: the module; maps [B, 3, T, H, W] to [B, D, T', H', W'], [B, T', D] or [B, D].
        options: the backbone's non-default options, part of its identity.
    """

    clip: ClipSpec
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        name: str,
        dim: int,
        clip: ClipSpec,
        licence: str = "",
        weights_hash: str = "",
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.name = name
        self.dim = dim
        self.licence = licence
        self.weights_hash = weights_hash
        self.options = dict(options or {})
        self.set_clip(clip)

    def set_clip(self, clip: ClipSpec) -> None:
        """Feed this encoder other clips than it was made for."""
        self.clip = clip
        # Constants of the clip spec, not weights.
        self.register_buffer("mean", torch.tensor(clip.mean), persistent=False)
        self.register_buffer("std", torch.tensor(clip.std), persistent=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides this encoder's output, as JSON-ready values (for fingerprints).

        A backbone may have ``stated`` options, which are named even where nobody set them.
        """
        options = {**getattr(self.backbone, "stated", {}), **self.options}
        return {
            "encoder": self.name,
            "weights": self.weights_hash,
            "dim": self.dim,
            "options": json.loads(json.dumps(options, default=str)),
        }

    def prepare(self, clips: Tensor) -> Tensor:
        """Normalise uint8 clips [B, T, H, W, C] to float32 [B, C, T, H, W] on this device."""
        x = clips.to(self.mean.device, non_blocking=True).permute(0, 4, 1, 2, 3).float()
        return (x - self.mean.view(-1, 1, 1, 1)) / self.std.view(-1, 1, 1, 1)

    def forward_features(self, x: Tensor) -> Tensor:
        """Encode normalised clips [B, 3, T, H, W] into features [B, D, T', H', W'].

        Raises:
            UsageError: the backbone returns something else.
        """
        y = self.backbone(x)
        if isinstance(y, Tensor) and y.shape[0] == x.shape[0]:
            if y.ndim == 5 and y.shape[1] == self.dim:
                return y
            if y.ndim == 3 and y.shape[2] == self.dim:
                return y.transpose(1, 2)[..., None, None]
            if y.ndim == 2 and y.shape[1] == self.dim:
                return y[..., None, None, None]
        got = list(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise UsageError(
            f"Encoder '{self.name}' returned {got} for clips {list(x.shape)}; expected a tensor "
            f"[{x.shape[0]}, {self.dim}] (pooled), [{x.shape[0]}, T', {self.dim}] or "
            f"[{x.shape[0]}, {self.dim}, T', H', W']. Correct the module's output or its 'dim'."
        )

    def tokens(self, x: Tensor) -> Tensor:
        """Return one token per time step [B, T', D] (mean over space)."""
        return self.forward_features(x).mean(dim=(3, 4)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return one vector per clip [B, D] (mean over time and space)."""
        return self.forward_features(x).mean(dim=(2, 3, 4))

    @contextlib.contextmanager
    def stochastic_depth(self, active: bool = True) -> Iterator[None]:
        """Keep drop path active (or not) inside the block, whatever mode the rest is in.

        The original linear probing leaves it active in the frozen backbone, so that a clip's
        features differ from pass to pass; seed torch before each batch to repeat them.
        """
        paths = [m for m in self.modules() if isinstance(m, DropPath)]
        before = [m.training for m in paths]
        try:
            for m in paths:
                m.training = active
            yield
        finally:
            for m, mode in zip(paths, before, strict=True):
                m.training = mode

    def parameter_count(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.parameters())
