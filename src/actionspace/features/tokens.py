"""Several tokens of each clip in place of one vector.

``"time"`` keeps a token per time step, the mean over space. ``"GxG"``, as in ``"4x4"``, pools each
time step adaptively to G x G places, time first, then row by row. Their mean is the pooled vector
(of GxG tokens only where G divides the encoder's grid).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from actionspace.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from actionspace.encoders.encoder import Encoder
    from actionspace.video.views import Views


def side_of(tokens: str) -> int:
    """Return G, the places along each side of a time step: 1 for ``"time"``.

    Raises:
        UsageError: it names no tokens.
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", tokens)
    if tokens != "time" and not (found and found[1] == found[2]):
        raise UsageError(
            f"tokens='{tokens}' is neither 'time' (one per time step) nor a square such as '4x4'."
        )
    return int(found[1]) if found else 1


def pool_tokens(features: Tensor, tokens: str) -> Tensor:
    """Return float32 tokens ``[B, T' G G, D]`` of features ``[B, D, T', H', W']``."""
    from torch.nn import functional

    side = side_of(tokens)
    pooled = functional.adaptive_avg_pool3d(features.float(), (features.shape[2], side, side))
    return pooled.flatten(2).transpose(1, 2).contiguous()


def token_grid(encoder: Encoder, views: Views, tokens: str, precision: str) -> list[int]:
    """Return T', G and G of the tokens of a clip, by running the encoder on an empty one.

    Raises:
        UsageError: the encoder has no time, or fewer places than are asked for.
    """
    import torch

    from actionspace.features.forward import arithmetic, device_of

    side = side_of(tokens)
    if getattr(encoder, "sound", None) is not None:
        raise UsageError(f"Encoder '{encoder.name}' listens; tokens= are those of pictures.")
    clip = torch.zeros(1, views.frames, views.size, views.size, len(encoder.clip.mean))
    encoder.eval()
    with torch.inference_mode(), arithmetic(precision, device_of(encoder)):
        shape = encoder.forward_features(encoder.prepare(clip.to(torch.uint8))).shape
    time, height, width = map(int, shape[2:])
    if side > min(height, width):
        raise UsageError(
            f"tokens='{tokens}' asks for more places than encoder '{encoder.name}' has: "
            f"{height}x{width} at {views.size} pixels. Take at most "
            f"'{min(height, width)}x{min(height, width)}', or 'time'."
        )
    return [time, side, side]
