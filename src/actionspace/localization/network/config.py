"""The make of the network: every field with its default, unit and meaning; no torch in here."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from actionspace.config import Config

#: A range of distances without an upper end, in rows of features.
UNBOUNDED = 10_000.0


class ModelConfig(Config):
    """ActionFormer (Zhang, Wu and Li, ECCV 2022): the network.

    The defaults are those of THUMOS14 with I3D features. Lengths are in rows of features; level 0
    of the pyramid has the resolution of the features, each following one is ``scale_factor``
    times coarser.
    """

    backbone: Literal["transformer", "conv"] = "transformer"
    """What the pyramid is made of: transformer blocks, or residual blocks of two convolutions."""
    input_split: tuple[PositiveInt, ...] = ()
    """Widths of features that lie side by side in a row and are projected each by itself, to the
    widths in ``embed_dim``; empty = one kind of features."""
    embed_dim: PositiveInt | tuple[PositiveInt, ...] = 512
    """Channels of the backbone; several, whose sum it is, go with ``input_split``."""
    embed_layers: PositiveInt = 2
    """Convolutions between the features and the first block."""
    embed_kernel: PositiveInt = 3
    """Cells that each of these sees; odd."""
    embed_norm: bool = True
    """Normalise after each of these; without, they have a bias."""
    stem_blocks: PositiveInt = 2
    """Blocks at full resolution."""
    branch_blocks: PositiveInt = 5
    """Blocks that each make the pyramid one level higher."""
    scale_factor: Literal[1, 2, 4, 8] = 2
    """How much coarser a level is than the one below."""
    heads: PositiveInt = 4
    """Attention heads (transformer)."""
    windows: int | tuple[int, ...] = 19
    """Cells a query attends to, half of them to each side, in all levels or one by one; at most 1
    = all of the video (transformer)."""
    absolute_positions: bool = False
    """Add a sinusoid of the position; interpolated for videos above ``max_length``."""
    relative_positions: bool = False
    """Learn a bias for each offset in a window; needs odd windows."""
    input_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the features' channels that a training video lacks, all of a channel at once."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of projections and hidden layers (transformer)."""
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    """Stochastic depth of the residual branches, which a learnt factor scales; 0 = neither."""
    neck: Literal["identity", "fpn"] = "identity"
    """What lies between pyramid and heads: nothing, or a feature pyramid network."""
    neck_dim: PositiveInt = 512
    """Channels of the neck; those of the backbone for ``identity``."""
    neck_norm: bool = True
    """Normalise each level at the end of the neck."""
    first_level: NonNegativeInt = 0
    """Lowest level of the pyramid that is predicted from."""
    head_dim: PositiveInt = 512
    """Channels within the two heads."""
    head_kernel: PositiveInt = 3
    """Cells that a layer of a head sees; odd."""
    head_layers: PositiveInt = 3
    """Convolutions of a head, the last one giving its outputs."""
    head_norm: bool = True
    """Normalise within the heads."""
    prior: float = Field(default=0.01, gt=0, lt=1)
    """Score of every class at the start."""
    regression_ranges: tuple[tuple[float, float], ...] = (
        (0, 4),
        (4, 8),
        (8, 16),
        (16, 32),
        (32, 64),
        (64, UNBOUNDED),
    )
    """For each level that is predicted from, the distances to the farther end of a segment that
    it learns, both ends included; in rows of features."""
    max_length: PositiveInt = 2304
    """Rows of the training windows."""
    buffer_factor: float = Field(default=6.0, ge=1)
    """Multiple of ``max_length`` that a video may have in evaluation."""

    @property
    def width(self) -> int:
        """Channels of the backbone."""
        return self.embed_dim if isinstance(self.embed_dim, int) else sum(self.embed_dim)

    @property
    def level_windows(self) -> tuple[int, ...]:
        """Windows of the levels, from the stem on."""
        if isinstance(self.windows, int):
            return (self.windows,) * (1 + self.branch_blocks)
        return self.windows

    @property
    def strides(self) -> tuple[int, ...]:
        """Rows between the cells of each level that is predicted from."""
        return tuple(
            self.scale_factor**level for level in range(self.first_level, 1 + self.branch_blocks)
        )

    @property
    def divisor(self) -> int:
        """What a padded length is a multiple of: a whole number of cells and windows per level."""
        windowed = self.backbone == "transformer"
        return math.lcm(
            *(
                self.scale_factor**level * (window // 2 * 2 if windowed and window > 1 else 1)
                for level, window in enumerate(self.level_windows)
            )
        )

    @property
    def longest(self) -> int:
        """Rows that a video may have in evaluation."""
        return int(self.max_length * self.buffer_factor)

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        for problem in filter(None, (self._dims(), self._attention(), self._levels())):
            raise ValueError(problem)
        return self

    def _dims(self) -> str:
        embed = (self.embed_dim,) if isinstance(self.embed_dim, int) else self.embed_dim
        if len(embed) != max(len(self.input_split), 1):
            return (
                f"embed_dim {list(embed)} and input_split {list(self.input_split)} must name the "
                "same parts: one width for each kind of features"
            )
        if self.neck == "identity" and self.neck_dim != self.width:
            return (
                f"neck_dim {self.neck_dim} must be the backbone's {self.width} for neck 'identity'"
            )
        for name in ("embed_kernel", "head_kernel"):
            if getattr(self, name) % 2 == 0:
                return f"{name} {getattr(self, name)} must be odd"
        return ""

    def _attention(self) -> str:
        if self.backbone == "conv":
            return ""
        if self.width % self.heads:
            return f"embed_dim {self.width} does not divide into {self.heads} heads"
        windows = self.level_windows
        if len(windows) != 1 + self.branch_blocks:
            return (
                f"windows {list(windows)}: {1 + self.branch_blocks} levels (the stem and "
                f"{self.branch_blocks} branch blocks) need one each"
            )
        if any(w in (2, 3) for w in windows):
            return f"windows {list(windows)}: the narrowest one is 4"
        if self.relative_positions and any(w > 1 and w % 2 == 0 for w in windows):
            return f"windows {list(windows)} must be odd with relative_positions"
        return ""

    def _levels(self) -> str:
        if self.first_level > self.branch_blocks:
            return f"first_level {self.first_level} lies above the last, {self.branch_blocks}"
        if len(self.regression_ranges) != len(self.strides):
            return (
                f"{len(self.regression_ranges)} regression_ranges for {len(self.strides)} levels "
                f"({self.first_level} to {self.branch_blocks})"
            )
        if wrong := [r for r in self.regression_ranges if r[0] >= r[1]]:
            return f"regression range {list(wrong[0])} ends before it begins"
        if self.max_length % self.divisor:
            return (
                f"max_length {self.max_length} must be a multiple of {self.divisor} (cells and "
                f"windows of all levels), e.g. {-(-self.max_length // self.divisor) * self.divisor}"
            )
        return ""
