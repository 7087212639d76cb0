"""The bins over which a boundary is predicted as a distribution; no torch in here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

from actionspace.config import Config


class BoundariesConfig(Config):
    """Distances to begin and end as distributions over bins (``head: boundaries``).

    Bin ``i`` of a level stands for a distance of ``i`` times its width in cells of the level. The
    distance that is predicted is the mean of the distribution.
    """

    bins: PositiveInt = 16
    """Number of the last bin, ``reg_max``; with bin 0 there is one more."""
    widths: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Cells from one bin to the next, for each level that is predicted from; empty = 1 everywhere.
    Narrow bins tell distances and their uncertainty finely, wide ones reach far."""
    compat: bool = False
    """Take bins that end before the distances of their level do, as the published fork of
    ActionFormer does: longer events come out too short."""

    def level_widths(self, levels: int) -> tuple[float, ...]:
        """Return the width of each level."""
        return self.widths or (1.0,) * levels

    def too_short(self, distances: Sequence[float], strides: Sequence[int]) -> str:
        """Return which level is to learn distances that its bins do not reach, or nothing.

        Args:
            distances: the longest of each level, in rows.
            strides: rows between the cells of each level.
        """
        widths = self.level_widths(len(strides))
        if len(widths) != len(strides):
            return f"{len(widths)} boundaries.widths for {len(strides)} levels"
        levels = zip(distances, strides, widths, strict=True)
        for level, (far, stride, width) in enumerate(levels):
            reach = self.bins * width * stride
            if far > reach and not self.compat:
                cells = math.ceil(far / stride)
                return (
                    f"level {level} of the pyramid learns distances up to {far:g} rows, which are "
                    f"{cells} of its cells of {stride}, but its {self.bins} bins end at {reach:g} "
                    f"rows. Say model.boundaries.bins={math.ceil(far / stride / width)}, or widths "
                    f"of {math.ceil(100 * cells / self.bins) / 100:g} for it in "
                    "model.boundaries.widths (auto.boundaries=true chooses them), or "
                    "model.boundaries.compat=true to let longer events come out too short"
                )
        return ""
