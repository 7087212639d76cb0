"""Where pixels come from: random boxes, crops, mirroring, affine maps.

Clips are float32 ``[B, T, C, H, W]``. All frames of a clip share its map, so that time and colour
are channels of one ``grid_sample``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

#: Boxes tried before it is given up that one fits, as in ``video.transform.random_resized_box``.
ATTEMPTS = 10

#: Uniform numbers that the drawing of a box takes.
BOX_DRAWS = 4 * ATTEMPTS


def random_boxes(
    u: np.ndarray,
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Return random boxes of a frame (Szegedy et al., *Going deeper with convolutions*, 2015).

    The share of the area is uniform, the aspect log-uniform, the place uniform.

    Args:
        u: uniform numbers ``[B, BOX_DRAWS]``.
        height, width: of the frame, pixels.
        area: smallest and largest share of the frame's area.
        aspect: smallest and largest width : height.

    Returns:
        int64 ``[B, 4]`` (x, y, width, height), and bool ``[B]``: whether any of the attempts lies
        inside the frame. Where none does, the box is the largest square in the middle.
    """
    u = u.reshape(len(u), ATTEMPTS, 4)
    areas = (area[0] + u[..., 0] * (area[1] - area[0])) * (height * width)
    low, high = math.log(aspect[0]), math.log(aspect[1])
    ratios = np.exp(low + u[..., 1] * (high - low))
    w, h = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    x, y = np.floor(u[..., 2] * (width - w + 1)), np.floor(u[..., 3] * (height - h + 1))
    boxes = np.stack([x, y, w, h], axis=-1)[np.arange(len(u)), fits.argmax(axis=1)]
    side = min(height, width)
    middle = np.array([(width - side) // 2, (height - side) // 2, side, side])
    found = np.asarray(fits.any(axis=1))
    return np.where(found[:, None], boxes, middle).astype(np.int64), found


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return which pixels lie in boxes ``[B, 4]`` (x, y, width, height): bool ``[B, H, W]``."""
    x, y, w, h = boxes[:, :, None].unbind(1)
    columns = torch.arange(width, device=boxes.device)
    rows = torch.arange(height, device=boxes.device)
    across = (columns >= x) & (columns < x + w)
    down = (rows >= y) & (rows < y + h)
    return down[:, :, None] & across[:, None, :]


def crop_resize(clips: Tensor, boxes: Tensor, mirror: Tensor | None = None) -> Tensor:
    """Return boxes ``[B, 4]`` of clips, resized to the whole frame bilinearly without antialias.

    ``mirror``, bool ``[B]``: clips to mirror as well.
    """
    height, width = clips.shape[-2:]
    x, y, w, h = boxes.float()[:, :, None].unbind(1)
    columns, rows = x + _taps(w, width), y + _taps(h, height)
    if mirror is not None:
        columns = torch.where(mirror[:, None], columns.flip(1), columns)
    grid = torch.stack(
        [
            ((2 * columns + 1) / width - 1)[:, None, :].expand(-1, height, -1),
            ((2 * rows + 1) / height - 1)[:, :, None].expand(-1, -1, width),
        ],
        dim=3,
    )
    return _sample(clips, grid, "border")


def mirrored(clips: Tensor, which: Tensor) -> Tensor:
    """Return clips, those of ``which`` (bool ``[B]``) mirrored left and right."""
    return torch.lerp(clips, clips.flip(-1), which.to(clips.dtype)[:, None, None, None, None])


def affine(clips: Tensor, maps: Tensor, fill: float) -> Tensor:
    """Return clips with pixel p taken from ``maps @ (p, 1)``, bilinearly.

    Args:
        clips: float32 ``[B, T, C, H, W]``.
        maps: float32 ``[B, 2, 3]``: from where in the output to where in the input, in pixels from
            the middle of the frame.
        fill: value of what lies outside.
    """
    height, width = clips.shape[-2:]
    x = torch.arange(width, device=clips.device) - (width - 1) / 2
    y = torch.arange(height, device=clips.device) - (height - 1) / 2
    a, b, c = maps[:, :, None, None, :].unbind(-1)  # [B, 2, 1, 1]: not a matrix product, whose
    source = a * x + b * y[:, None] + c  # precision depends on the device
    half = torch.tensor([width / 2, height / 2], dtype=clips.dtype).view(2, 1, 1)
    grid = (source / half.to(clips.device, non_blocking=True)).permute(0, 2, 3, 1)
    return _sample(clips - fill, grid, "zeros").add_(fill)


def _taps(length: Tensor, out: int) -> Tensor:
    """Return where ``out`` pixels lie on ``length [B, 1]`` ones: centres at half integers."""
    position = (torch.arange(out, device=length.device) + 0.5) * (length / out) - 0.5
    return torch.minimum(position.clamp(min=0), length - 1)


def _sample(clips: Tensor, grid: Tensor, padding: str) -> Tensor:
    frames = functional.grid_sample(
        clips.flatten(1, 2), grid, mode="bilinear", padding_mode=padding, align_corners=False
    )
    return frames.view_as(clips)
