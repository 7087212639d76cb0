"""How features are stored: as floats, or as int8 with a scale for each vector.

int8 is symmetric: the largest absolute value of a vector (a token, or a pooled feature) becomes
127. It is read back as float16, and no number is then off by more than 1/225 of that largest value
(plus 6e-8, the smallest float16): half a step, and the rounding to float16.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BYTES = {"float16": 2, "float32": 4, "int8": 1}
"""Types features are stored in, with the bytes of a number."""
SCALE_BYTES = 2
"""Bytes of the scale beside each int8 vector."""
LEVELS = 127

Packed = dict[str, np.ndarray]
"""``features`` and, of int8, ``scale``: float16, of the same shape without the last axis."""


def pack(values: np.ndarray, dtype: str) -> Packed:
    """Return float32 ``[..., D]`` as it is stored; :func:`fits` says what is too large for it."""
    values = np.ascontiguousarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != "int8":
            return {"features": values.astype(dtype)}
        most = np.abs(values).max(axis=-1)
        scale = (most / LEVELS).astype(np.float16)
        small = scale.astype(np.float32) * LEVELS < most  # rounded down: 127 would not suffice
        scale = np.where(small, np.nextafter(scale, np.float16(np.inf)), scale)
        step = scale.astype(np.float32)[..., None]
        readable = step[..., 0] * LEVELS <= np.finfo(np.float16).max
        scale = np.where(readable, scale, np.float16(np.inf))
        levels = np.rint(np.divide(values, step, out=np.zeros_like(values), where=step > 0))
        levels = np.nan_to_num(levels, nan=0.0, posinf=0.0, neginf=0.0)
        return {"features": levels.astype(np.int8), "scale": scale}


def unpack(packed: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what was packed: float16 or float32 ``[..., D]``."""
    features = packed["features"]
    if "scale" not in packed:
        return np.asarray(features)
    values = features.astype(np.float32) * packed["scale"].astype(np.float32)[..., None]
    return values.astype(np.float16)


def fits(packed: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return whether each vector is finite, bool ``[...]`` without the last axis."""
    if "scale" in packed:
        return np.asarray(np.isfinite(packed["scale"]))
    return np.asarray(np.isfinite(packed["features"]).all(axis=-1))
