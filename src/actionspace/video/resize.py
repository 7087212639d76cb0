"""Resizing as the processors of published encoders do it: Pillow's, torchvision's, and of floats.

All smooth before they shrink (antialias), each with its own arithmetic. ``pil``: Pillow. ``tv``:
what torchvision applies to tensors of bytes; it differs from Pillow in about one value of 200, by
one or two grey levels. ``float``: torch's on floats, not rounded to bytes afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def resize_antialias(image: np.ndarray, width: int, height: int, mode: str) -> np.ndarray:
    """Resize uint8 ``[H, W, 3]`` as the processor named by ``mode`` does.

    Args:
        image: a picture.
        width, height: wanted, pixels.
        mode: ``pil_bilinear``, ``pil_bicubic``, ``tv_bilinear``, ``tv_bicubic`` (these give uint8)
            or ``float_bilinear``, ``float_bicubic`` (float32 from 0 to 255; bicubic may overshoot).
    """
    backend, _, filter = mode.partition("_")
    if backend == "pil":
        return _pillow(image, width, height, filter)
    if image.shape[:2] == (height, width):
        return image.astype(np.float32) if backend == "float" else image
    return _torch(image, width, height, filter, backend == "float")


def _pillow(image: np.ndarray, width: int, height: int, filter: str) -> np.ndarray:
    from PIL import Image

    chosen = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[filter]
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), resample=chosen))


def _torch(image: np.ndarray, width: int, height: int, filter: str, floats: bool) -> np.ndarray:
    import torch

    x: Any = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]  # a copy: it may be read-only
    x = x.float() if floats else x.contiguous()
    y = torch.nn.functional.interpolate(
        x, (height, width), mode=filter, align_corners=False, antialias=True
    )
    return np.ascontiguousarray(y[0].permute(1, 2, 0).numpy())
