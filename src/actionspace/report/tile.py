"""Pictures of any size in tiles of one size, each with a line of words under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from actionspace.events.plot import DARK
from actionspace.report.letters import shortened, typeface, width_of
from actionspace.video.transform import FrameTransform


@dataclass(frozen=True)
class Tile:
    """Room for a picture of ``width`` x ``height`` pixels, and a line of words under it."""

    width: int
    height: int

    @property
    def letter(self) -> int:
        """Size of the letters in pixels."""
        return round(min(max(8.5 + self.width / 90, 11), 44))

    @property
    def line(self) -> int:
        """Height of the words' line in pixels."""
        return round(1.8 * self.letter)

    def transform(self, width: int, height: int) -> FrameTransform:
        """Return what makes a frame of that size fit, its shape kept."""
        scale = min(self.width / width, self.height / height)
        return FrameTransform(short_side=max(int(min(width, height) * scale), 1))

    def draw(self, picture: np.ndarray | None, left: str, right: str = "") -> np.ndarray:
        """Return ``uint8 [height + line, width, 3]``: the picture in the middle, words below.

        Args:
            picture: uint8 ``[h, w, 3]``, cut where it is larger; None leaves the place empty.
            left: words that are cut where there is no room.
            right: words that are not.
        """
        image = Image.new("RGB", (self.width, self.height + self.line), DARK.paper)
        if picture is not None:
            high, wide = picture.shape[:2]
            place = ((self.width - wide) // 2, (self.height - high) // 2)
            image.paste(Image.fromarray(np.ascontiguousarray(picture)), place)
        draw, letter = ImageDraw.Draw(image), typeface(self.letter)
        pad, top = self.letter // 2, self.height + round(0.25 * self.letter)
        edge = self.width - pad - width_of(right, self.letter)
        draw.text((edge, top), right, DARK.ink, letter)
        words = shortened(left, edge - 2 * pad, self.letter)
        draw.text((pad, top), words, DARK.quiet, letter)
        return np.asarray(image)


def mosaic(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return tiles (uint8 ``[h, w, 3]``, all of one size) in rows of ``columns``."""
    empty = np.full_like(tiles[0], Image.new("RGB", (1, 1), DARK.paper).getpixel((0, 0)))
    filled = [*tiles, *[empty] * (-len(tiles) % columns)]
    rows = [np.concatenate(filled[k : k + columns], 1) for k in range(0, len(filled), columns)]
    return np.concatenate(rows)
