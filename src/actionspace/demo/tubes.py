"""A small renderer of solids made of tubes, lit from one side, seen by a camera in perspective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]
Face = tuple[float, list[tuple[float, float]], tuple[int, ...]]
"""Depth, corners in pixels of the finer picture, and colour with alpha."""

UP = np.array([0.0, 0.0, 1.0])

#: Faces around a tube.
SIDES = 14
#: Pictures are drawn so many times larger and made smaller: edges are smooth.
FINER = 2


@dataclass(frozen=True)
class Tube:
    """A tube or cone with flat ends.

    Attributes:
        start, end: middles of its ends, xyz.
        radius: at the start and at the end.
        colour: of its side.
        lid: colour of the far end; None = as the side.
        alpha: 255 is opaque.
    """

    start: Floats
    end: Floats
    radius: tuple[float, float]
    colour: Colour
    lid: Colour | None = None
    alpha: int = 255


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        eye: where it is, xyz; z points up.
        target: where it looks.
        focal: focal length in heights of the picture.
        size: width and height of the picture, pixels.
    """

    eye: Floats
    target: Floats
    focal: float
    size: tuple[int, int]

    @cached_property
    def axes(self) -> Floats:
        """Right, down and ahead, ``[3, 3]``."""
        ahead = unit(self.target - self.eye)
        right = unit(cross(ahead, UP))
        return np.stack([right, cross(ahead, right), ahead])

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return pixels ``[..., 2]`` and depths ``[...]`` of points ``[..., 3]``."""
        seen = (points - self.eye) @ self.axes.T
        depth = np.maximum(seen[..., 2], 1e-3)
        width, height = self.size
        flat = self.focal * height * seen[..., :2] / depth[..., None]
        return flat + np.array([width / 2, height / 2]), depth


@dataclass(frozen=True)
class Light:
    """Light from one direction over light from everywhere, the shares of which add up to 1."""

    towards: Floats
    everywhere: float = 0.5

    def on(self, colour: Colour, normals: Floats) -> NDArray[np.int64]:
        """Return a colour as it looks on faces with normals ``[N, 3]``, int ``[N, 3]``."""
        share = self.everywhere + (1 - self.everywhere) * np.maximum(normals @ self.towards, 0)
        return np.asarray(share[:, None] * np.array(colour), np.int64)


def render(
    tubes: Sequence[Tube], camera: Camera, light: Light, background: Image.Image
) -> Image.Image:
    """Draw tubes on the table ``z = 0`` with their shadows, far ones first.

    Args:
        tubes: what is there.
        camera: what sees it.
        light: what it is lit by; shadows fall straight down.
        background: RGB picture ``FINER`` times the camera's size.

    Returns:
        RGB picture of the camera's size.
    """
    picture = background.copy()
    draw = ImageDraw.Draw(picture, "RGBA")
    for tube in tubes:
        _shadow(draw, tube, camera)
    faces = [face for tube in tubes for face in _faces(tube, camera, light)]
    for _, corners, colour in sorted(faces, key=lambda face: -face[0]):
        draw.polygon(corners, fill=colour)
    return picture.resize(camera.size, Image.Resampling.BOX)


def ground(camera: Camera, radius: float) -> list[tuple[float, float]]:
    """Return the outline of a round table of a radius, in pixels of the finer picture."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return _corners(camera.project(radius * _flat(angles))[0])


def unit(vector: Floats) -> Floats:
    """Return a vector of length 1, or the zero vector as it is."""
    return vector / max(math.hypot(*vector.tolist()), 1e-9)


def cross(a: Floats, b: Floats) -> Floats:
    """Return the cross product of two vectors; NumPy's own takes ten times as long for one pair."""
    (ax, ay, az), (bx, by, bz) = a.tolist(), b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _faces(tube: Tube, camera: Camera, light: Light) -> list[Face]:
    """Return the faces that are turned to the camera."""
    axis = unit(tube.end - tube.start)
    side = unit(cross(axis, np.array([1.0, 0, 0]) if abs(axis[2]) > 0.8 else UP))
    across = np.stack([side, cross(axis, side)])
    ends = np.stack([tube.start + tube.radius[0] * _RING @ across,
                     tube.end + tube.radius[1] * _RING @ across])  # fmt: skip
    pixels, depths = camera.project(ends)
    normals = _BETWEEN @ across
    seen = ((camera.eye - ends[0]) * normals).sum(1) > 0
    colours = light.on(tube.colour, normals)
    found: list[Face] = []
    for i in np.flatnonzero(seen).tolist():
        k = (i + 1) % SIDES
        corners = pixels[[0, 0, 1, 1], [i, k, k, i]]
        depth = float(depths[0, i] + depths[0, k] + depths[1, i] + depths[1, k]) / 4
        found.append((depth, _corners(corners), (*colours[i].tolist(), tube.alpha)))
    for end, normal, middle in ((0, -axis, tube.start), (1, axis, tube.end)):
        if normal @ (camera.eye - middle) > 0:
            colour = light.on(tube.lid if end and tube.lid else tube.colour, normal[None])[0]
            depth = float(depths[end].mean())
            found.append((depth, _corners(pixels[end]), (*colour.tolist(), tube.alpha)))
    return found


def _shadow(draw: ImageDraw.ImageDraw, tube: Tube, camera: Camera) -> None:
    """Darken the table below a tube: a half circle around each end, joined."""
    x, y, _ = (tube.end - tube.start).tolist()
    turn = math.atan2(y, x) + np.linspace(-np.pi / 2, np.pi / 2, 7)
    below = np.concatenate([
        tube.end * _FLAT + tube.radius[1] * _flat(turn),
        tube.start * _FLAT + tube.radius[0] * _flat(turn + np.pi),
    ])  # fmt: skip
    draw.polygon(_corners(camera.project(below)[0]), fill=(0, 0, 0, 45))


def _flat(angles: Floats) -> Floats:
    """Return points of a circle on the table, ``[N, 3]``."""
    return np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)


def _corners(pixels: Floats) -> list[tuple[float, float]]:
    return [(x, y) for x, y in (FINER * pixels).tolist()]


_RING = _flat(2 * np.pi * np.arange(SIDES) / SIDES)[:, :2]
_BETWEEN = _flat(2 * np.pi * (np.arange(SIDES) + 0.5) / SIDES)[:, :2]
_FLAT = np.array([1.0, 1.0, 0.0])
