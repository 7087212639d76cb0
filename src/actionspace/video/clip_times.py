"""Where pytorchvideo's samplers put the clips of a video, in seconds: for its published figures."""

from __future__ import annotations

import numpy as np

_EPS = 1e-9  # a clip that ends this far behind the end by rounding still fits


def uniform_clips(
    duration: float, clip: float, stride: float | None = None, *, backpad_last: bool = False
) -> np.ndarray:
    """Return ``[N, 2]`` float64 start and end of clips one ``stride`` after another (None = clip).

    Clips that reach behind the end are left out, unless it is the only one. ``backpad_last`` puts
    one more at the very end where something would be left uncovered.
    """
    step = clip if stride is None else stride
    count = max(1, int(np.floor((duration - clip) / step + _EPS)) + 1)
    starts = np.arange(count) * step
    if backpad_last and starts[-1] + clip < duration - _EPS:
        starts = np.append(starts, duration - clip)
    return np.stack([starts, starts + clip], axis=1)


def constant_clips(duration: float, clip: float, clips: int) -> np.ndarray:
    """Return ``[clips, 2]`` float64 start and end of clips spread from the start to the end."""
    starts = np.arange(clips) * (max(0.0, duration - clip) / max(1, clips - 1))
    return np.stack([starts, starts + clip], axis=1)
