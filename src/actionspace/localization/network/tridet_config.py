"""The options of TriDet's blocks and head (Shi et al., CVPR 2023); no torch in here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, PositiveInt

from actionspace.config import Config

#: Groups of channels that an SGP block normalises over.
GROUPS = 16


class SgpConfig(Config):
    """Blocks of scalable granularity perception (``backbone: sgp``)."""

    windows: PositiveInt | tuple[PositiveInt, ...] = 1
    """Cells of the narrow convolutions, odd; in all levels or one by one. Blocks at full resolution
    always have 1: the first one counts for the padded length only."""
    factor: float = Field(default=5.0, gt=0)
    """The wide convolution has this many times one cell more than the narrow one; rounded, odd."""
    hidden: PositiveInt | None = None
    """Channels within a block; empty = four times those of the backbone."""
    downsample: Literal["max", "avg"] = "max"
    """How a level is made from the one below: maxima, or means and a 1x1 convolution."""
    init_std: float = Field(default=0.0, ge=0)
    """Standard deviation of the depthwise convolutions' weights at the start. At 0 they stay zero,
    because the gradient of each is a product with another one: then a block mixes cells by its
    maxima and its norm only, as in the published models of THUMOS14 and EPIC-KITCHENS."""

    def level_windows(self, levels: int) -> tuple[int, ...]:
        """Return the narrow convolution's cells of each level."""
        return self.windows if isinstance(self.windows, tuple) else (self.windows,) * levels

    def wide(self, window: int) -> int:
        """Return the cells of the wide convolution beside a narrow one."""
        size = round((window + 1) * self.factor)
        return size if size % 2 else size + 1

    def divisor(self, strides: Sequence[int]) -> int:
        """Return what the padded length of a video above ``max_length`` is a multiple of.

        That is the published factor, which the results depend on, where it is a whole number of
        cells of the top level. Where it is not, the published code fails, and this is the least
        multiple of it that is.

        Args:
            strides: rows between the cells of each level, the stem's first.
        """
        pairs = zip(strides, self.level_windows(len(strides)), strict=True)
        return math.lcm(max(stride * window for stride, window in pairs), strides[-1])

    def problem(self, levels: int, width: int) -> str:
        """Return why the options do not fit each other or the network, or nothing.

        Args:
            levels: of the backbone.
            width: its channels.
        """
        windows = self.level_windows(levels)
        if len(windows) != levels:
            return f"sgp.windows {list(windows)}: {levels} levels need one each"
        if any(window % 2 == 0 for window in windows):
            return f"sgp.windows {list(windows)} must be odd"
        if width % GROUPS:
            return f"embed_dim {width} must be a multiple of {GROUPS} with backbone 'sgp'"
        return ""


class TridentConfig(Config):
    """Ends as expectations over the cells around a point (``head: trident``)."""

    bins: PositiveInt = 16
    """Cells to each side in which an end is looked for: the farthest distance that can be told, in
    cells of the level."""
    boundary_kernel: PositiveInt = 3
    """Cells that a layer of the heads for begins and ends sees; odd."""
