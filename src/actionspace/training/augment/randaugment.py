"""RandAugment (Cubuk, Zoph, Shlens & Le, 2020): N operations of a fixed list, all of one strength.

The list and the ranges are the paper's, as torchvision has them; strength s runs from 0 to 1:

- ``shear_x``, ``shear_y``: by up to 0.3 pixels per pixel, from the top left corner;
- ``translate_x``, ``translate_y``: by up to 150/331 of the side, whole pixels;
- ``rotate``: by up to 30 degrees about the middle;
- ``brightness``, ``color``, ``contrast``, ``sharpness``: factor 1 - 0.9 s or 1 + 0.9 s;
- ``posterize``: to 8 - round(4 s) bits;
- ``solarize``: from 256 (1 - s) on;
- ``autocontrast``, ``equalize``, ``identity`` have no strength.

Those with a direction take either one half of the time. Maps are bilinear (torchvision: nearest).
At strength 0 all are the identity, but ``autocontrast`` and ``equalize``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from torch import Tensor

from actionspace.training.augment import colour
from actionspace.training.augment.apply import on_rows
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.geometry import affine
from actionspace.training.augment.options import RandAugmentConfig

MAPS = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLOURS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": colour.brightness,
    "color": colour.saturation,
    "contrast": colour.contrast,
    "sharpness": colour.sharpness,
    "posterize": colour.posterize,
    "solarize": colour.solarize,
    "autocontrast": lambda x, _: colour.autocontrast(x),
    "equalize": lambda x, _: colour.equalize(x),
}
OPS = ("identity", *MAPS, *COLOURS)


class Choice(NamedTuple):
    """One operation for each clip: which of ``OPS`` int64 ``[B]``, strength and sign ``[B]``."""

    op: np.ndarray
    strength: np.ndarray
    sign: np.ndarray

    def of(self, part: slice) -> Choice:
        """Return that of some of the clips."""
        return Choice(self.op[part], self.strength[part], self.sign[part])


def choose(draws: Draws, number: int, config: RandAugmentConfig) -> Choice:
    """Draw every clip's operation of this number."""
    which, way, normal = draws.uniform(f"randaugment {number}", 3).T
    strength = np.clip(config.magnitude + config.std * ndtri(normal), 0, 10) / 10
    return Choice((which * len(OPS)).astype(np.int64), strength, np.where(way < 0.5, -1.0, 1.0))


def apply(clips: Tensor, choice: Choice, fill: float) -> Tensor:
    """Return clips float32 ``[B, T, 3, H, W]`` (0 to 255) after one operation each."""
    height, width = clips.shape[-2:]
    names = np.array(OPS)[choice.op]
    moved = np.flatnonzero(np.isin(names, MAPS))
    strength, sign = choice.strength, choice.sign
    maps = affine_maps(names[moved], (strength * sign)[moved], height, width)
    clips = on_rows(clips, moved, partial(affine, fill=fill), maps)
    for name, change in COLOURS.items():
        rows = np.flatnonzero(names == name)
        values = parameter(name, strength[rows], sign[rows])
        clips = on_rows(clips, rows, change, values)
    return clips


def parameter(name: str, strength: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Return what an operation on colours does at some strengths, float32 ``[B]``."""
    if name == "posterize":
        values = 8 - np.rint(4 * strength)
    elif name == "solarize":
        values = 256 * (1 - strength)
    else:
        values = 1 + 0.9 * strength * sign
    return np.asarray(values, np.float32)


def affine_maps(names: np.ndarray, signed: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the maps of :func:`~.geometry.affine` for signed strengths, float32 ``[B, 2, 3]``."""
    maps = np.tile(np.eye(2, 3), (len(names), 1, 1))
    for name in MAPS:
        rows = np.flatnonzero(names == name)
        s = signed[rows]
        if name == "shear_x":
            maps[rows, 0, 1], maps[rows, 0, 2] = 0.3 * s, 0.3 * s * height / 2
        elif name == "shear_y":
            maps[rows, 1, 0], maps[rows, 1, 2] = 0.3 * s, 0.3 * s * width / 2
        elif name == "translate_x":
            maps[rows, 0, 2] = -np.trunc(s * width * 150 / 331)
        elif name == "translate_y":
            maps[rows, 1, 2] = -np.trunc(s * height * 150 / 331)
        else:
            angle = np.deg2rad(30 * s)
            maps[rows, 0, 0], maps[rows, 0, 1] = np.cos(angle), -np.sin(angle)
            maps[rows, 1, 0], maps[rows, 1, 1] = np.sin(angle), np.cos(angle)
    return maps.astype(np.float32)
