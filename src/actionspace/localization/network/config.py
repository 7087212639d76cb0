"""The make of the network: every field with its default, unit and meaning; no torch in here."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from actionspace.config import Config
from actionspace.localization.network.boundary_config import BoundariesConfig
from actionspace.localization.network.points_config import PointsConfig
from actionspace.localization.network.switches import TransformerV2Config, contradiction
from actionspace.localization.network.tridet_config import SgpConfig, TridentConfig

#: A range of distances without an upper end, in rows of features.
UNBOUNDED = 10_000.0


class ModelConfig(Config):
    """ActionFormer (Zhang, Wu and Li, ECCV 2022): the network.

    The defaults are those of THUMOS14 with I3D features. Lengths are in rows of features; level 0
    of the pyramid has the resolution of the features, each following one is ``scale_factor``
    times coarser.
    """

    backbone: Literal["transformer", "transformer_v2", "conv", "sgp"] = "transformer"
    """What the pyramid is made of: transformer blocks, those with the switches of ``v2``, residual
    blocks of two convolutions, or TriDet's blocks of depthwise ones (``sgp``)."""
    v2: TransformerV2Config = TransformerV2Config()
    """What the blocks of ``transformer_v2`` are made of."""
    sgp: SgpConfig = SgpConfig()
    """What the blocks of ``sgp`` are made of."""
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
    hidden_dim: PositiveInt | None = None
    """Channels between the two layers behind attention (transformer); empty = four times those of
    the backbone, with ``v2.swiglu`` less."""
    windows: int | tuple[int, ...] = 19
    """Cells a query attends to, half of them to each side, in all levels or one by one; at most 1
    = all of the video (transformer)."""
    absolute_positions: bool = False
    """Add a sinusoid of the position; interpolated for videos above ``max_length``."""
    relative_positions: bool = False
    """Learn a bias for each offset in a window; needs odd windows."""
    input_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the features' channels that a training video lacks, all of a channel at once."""
    input_noise: float = Field(default=0.0, ge=0)
    """Standard deviation of noise that is added to all rows while training, padded ones as well."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of projections and hidden layers (transformer)."""
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    """Stochastic depth of the residual branches, which a learnt factor scales; 0 = neither."""
    neck: Literal["identity", "fpn", "cs_fpn"] = "identity"
    """What lies between pyramid and heads: nothing, a feature pyramid network, or one that then
    also leads from fine levels to coarse ones (``cs_fpn``)."""
    neck_dim: PositiveInt = 512
    """Channels of the neck; those of the backbone for ``identity``."""
    neck_norm: bool = True
    """Normalise each level at the end of the neck."""
    first_level: NonNegativeInt = 0
    """Lowest level of the pyramid that is predicted from."""
    head: Literal["segments", "trident", "boundaries", "points"] = "segments"
    """How a point tells begin and end of its event: by two distances (ActionFormer), or by a
    distribution over distances to each (TBTFormer), which tells how certain they are as well.
    ``points`` (SnapFormer): it tells how near a moment is; events have no extent. ``trident``
    (TriDet): a distance is where the point and the cells around it together say an end is."""
    trident: TridentConfig = TridentConfig()
    """The cells around a point of ``head: trident``."""
    points: PointsConfig = PointsConfig()
    """The moments of ``head: points``."""
    boundaries: BoundariesConfig = BoundariesConfig()
    """The distributions of ``head: boundaries``."""
    head_dim: PositiveInt = 512
    """Channels within the two heads."""
    head_kernel: PositiveInt = 3
    """Cells that a layer of a head sees; odd."""
    head_layers: PositiveInt = 3
    """Convolutions of a head, the last one giving its outputs."""
    head_norm: bool = True
    """Normalise within the heads."""
    head_skip: bool = False
    """Heads begin with a 1x1 convolution and have a shortcut around each second layer; for
    ``head_layers`` of 4 and more."""
    prior: float = Field(default=0.01, gt=0, lt=1)
    """Score of every class at the start."""
    distance_start: float = Field(default=0.0, ge=0)
    """Distance to begin and end that every point says at the start, in cells, roughly; 0 as
    published. Above 0 neither side can start, and stay, at nothing (head ``segments``)."""
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
    def has_attention(self) -> bool:
        """Whether it is made of transformer blocks, so that heads and windows mean something."""
        return self.backbone in ("transformer", "transformer_v2")

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
    def level_ranges(self) -> tuple[tuple[float, float], ...]:
        """Distances that each level learns; of moments there are none, so all."""
        if self.head == "points":
            return ((0.0, UNBOUNDED),) * len(self.strides)
        return self.regression_ranges

    @property
    def divisor(self) -> int:
        """What a padded length is a multiple of: a whole number of cells and windows per level."""
        if self.backbone == "sgp":
            return self.sgp.divisor([self.scale_factor**i for i in range(1 + self.branch_blocks)])
        windowed = self.has_attention
        return math.lcm(
            *(
                self.scale_factor**level * (window // 2 * 2 if windowed and window > 1 else 1)
                for level, window in enumerate(self.level_windows)
            )
        )

    @property
    def unit(self) -> int:
        """What the rows that the network takes are a multiple of."""
        return self.scale_factor**self.branch_blocks if self.backbone == "sgp" else self.divisor

    @property
    def longest(self) -> int:
        """Rows that a video may have in evaluation."""
        return int(self.max_length * self.buffer_factor)

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        for problem in filter(
            None, (self._dims(), self._attention(), self._tridet(), self._levels())
        ):
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
        if not self.has_attention:
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
        return contradiction(self) if self.backbone == "transformer_v2" else ""

    def _tridet(self) -> str:
        if self.trident.boundary_kernel % 2 == 0:
            return f"trident.boundary_kernel {self.trident.boundary_kernel} must be odd"
        if self.backbone == "sgp":
            if self.relative_positions or self.dropout:
                return "backbone 'sgp' has neither relative_positions nor dropout"
            return self.sgp.problem(1 + self.branch_blocks, self.width)
        return ""

    def _levels(self) -> str:
        if self.first_level > self.branch_blocks:
            return f"first_level {self.first_level} lies above the last, {self.branch_blocks}"
        if self.head != "points" and len(self.regression_ranges) != len(self.strides):
            return (
                f"{len(self.regression_ranges)} regression_ranges for {len(self.strides)} levels "
                f"({self.first_level} to {self.branch_blocks})"
            )
        if wrong := [r for r in self.regression_ranges if r[0] >= r[1]]:
            return f"regression range {list(wrong[0])} ends before it begins"
        if self.head == "boundaries":
            bounded = [high if high < UNBOUNDED else 0.0 for _, high in self.regression_ranges]
            if problem := self.boundaries.too_short(bounded, self.strides):
                return problem
        if self.head == "points" and (idle := self.points.idle(self.neck, len(self.strides))):
            return idle
        if self.max_length % self.unit:
            return (
                f"max_length {self.max_length} must be a multiple of {self.unit} (cells and "
                f"windows of all levels), e.g. {-(-self.max_length // self.unit) * self.unit}"
            )
        return ""
