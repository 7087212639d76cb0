"""An exported file in the shape of an encoder: its features are logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.encoders.encoder import Encoder


class ExportedEncoder(Encoder):
    """Feeds clips to a file as they were decoded, since it normalises them itself."""

    def __init__(
        self, run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], **facts: Any
    ) -> None:
        super().__init__(_Logits(run), **facts)

    def prepare(self, clips: Tensor) -> Tensor:
        """Return uint8 clips [B, T, H, W, C] as they are."""
        return clips


class _Logits(nn.Module):
    def __init__(self, run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self._run = run

    def forward(self, clips: Tensor) -> Tensor:
        return torch.from_numpy(self._run(clips.cpu().numpy())[0])
