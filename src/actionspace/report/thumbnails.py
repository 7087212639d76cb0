"""Moments of a clip as one small JPEG inside the page, which the page plays like a flip book."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actionspace.errors import VideoError

if TYPE_CHECKING:
    import numpy as np

MOMENTS = 8
LONGEST_SIDE = 320
QUALITY = 70


@dataclass(frozen=True)
class Film:
    """Moments of a clip, one under the other in one picture.

    Attributes:
        address: the JPEG as an address that carries its own content.
        width: of one moment, in pixels.
        height: of one moment, in pixels; the picture is :data:`MOMENTS` times as high.
    """

    address: str
    width: int
    height: int


def film(
    path: str | os.PathLike[str],
    start: float | None = None,
    end: float | None = None,
    *,
    crop: tuple[int, int, int, int] | None = None,
) -> Film:
    """Decode moments spread over an interval of a video.

    Args:
        path: the video.
        start: begin of the interval in seconds, None for the begin of the video.
        end: its end, None for the end of the video.
        crop: x, y, width, height in pixels of the frame as shown.

    Raises:
        VideoError: the video cannot be decoded.
    """
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep
    from actionspace.video.transform import FrameTransform

    index = frame_index(path)
    width, height = FrameTransform(crop=crop).output_size(index.width, index.height)
    side = round(min(width, height) * min(LONGEST_SIDE / max(width, height), 1.0))
    transform = FrameTransform(short_side=max(side, 1), crop=crop)
    numbers = pick_frames(index.times, start, end)
    frames = dict(sweep(path, set(numbers), transform=transform, index=index))
    last = next(iter(frames.values()), None)
    if last is None:
        raise VideoError(f"{path}: none of the frames of the clip could be decoded.")
    shown = []
    for number in numbers:
        last = frames.get(number, last)
        shown.append(last)
    height, width = shown[0].shape[:2]
    return Film("data:image/jpeg;base64," + base64.b64encode(sheet(shown)).decode(), width, height)


def pick_frames(
    times: np.ndarray, start: float | None, end: float | None, count: int = MOMENTS
) -> list[int]:
    """Return ``count`` frame numbers spread over an interval, repeated where it has fewer frames.

    Args:
        times: ``[N, 2]`` start and end of each frame in seconds.
        start: begin of the interval in seconds, None for the begin of the video.
        end: its end, None for the end of the video.
        count: how many frames are wanted.
    """
    import numpy as np

    first = 0 if start is None else int(np.searchsorted(times[:, 1], start, side="right"))
    last = len(times) if end is None else int(np.searchsorted(times[:, 0], end, side="left"))
    first = min(first, len(times) - 1)
    last = max(min(last, len(times)), first + 1)
    return [first + int((i + 0.5) * (last - first) / count) for i in range(count)]


def sheet(frames: Sequence[np.ndarray]) -> bytes:
    """Return frames (uint8 ``[H, W, 3]``, all of one size) under each other as JPEG bytes."""
    import numpy as np
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.concatenate(frames)).save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
