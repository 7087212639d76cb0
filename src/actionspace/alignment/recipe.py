"""The typed options of alignment: every field with its default, unit and meaning."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from actionspace.alignment.losses.config import AlignmentLossConfig, LavConfig, SclConfig, TccConfig
from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.options import (
    EvaluationConfig,
    PicturesConfig,
    SamplingConfig,
)
from actionspace.training.augment.frame_options import FramesConfig
from actionspace.training.base_recipe import BaseRecipe
from actionspace.training.options import TrainingConfig
from actionspace.training.published import Published
from actionspace.training.rows import RowsConfig
from actionspace.training.splits import SplitConfig


class AlignmentRecipe(BaseRecipe):
    """Embeddings of frames in which the same moments of several videos lie together."""

    task: Literal["alignment"] = "alignment"
    """The task this recipe belongs to."""
    name: str = "align"
    """Name of the recipe."""
    data: str | None = None
    """Manifest or annotation file, or a folder of videos without labels."""
    features: str | None = None
    """Feature store, or folder of feature files; empty = what the manifest's ``features`` column
    lists, else the encoder makes them."""
    encoder: str | None = None
    """Name from ``list encoders``, or ``module:fn``, to make features with; empty = features are
    given, or the network takes pictures."""
    rows: RowsConfig = RowsConfig()
    """What the encoder is run on."""
    pictures: PicturesConfig = PicturesConfig()
    """What a network of pictures is given."""
    column: str = "phase"
    """Head column of the manifest that holds the phases; it may be missing."""
    classes: tuple[str, ...] | None = None
    """Phases in the order of their numbers; empty = that of ``prepare``, of their own numbers, or
    of the times at which they begin."""
    split: SplitConfig = SplitConfig()
    """Splits, where the manifest has none."""
    network: NetworkConfig = NetworkConfig(input="features")
    """The network; ``train_frames`` follows ``sampling``, and there is a projection head only with
    ``loss.name=scl``."""
    loss: AlignmentLossConfig = SclConfig()
    """What it is trained for."""
    sampling: SamplingConfig = SamplingConfig()
    """The frames it is trained on."""
    augment: FramesConfig = FramesConfig()
    """What is changed in pictures at random."""
    training: TrainingConfig = TrainingConfig()
    """The loop; ``batch_size`` counts videos."""
    label_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the training videos, in file order, that are learnt from (the supervised baseline
    with few labels)."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What embeddings are measured by."""
    published: Published | None = None
    """What was reported for this setting."""

    looped: ClassVar[bool] = True
    """The loop trains it."""

    @property
    def views(self) -> int:
        """Samples of one video in a batch."""
        return self.sampling.views or (2 if isinstance(self.loss, SclConfig) else 1)

    @property
    def compares(self) -> bool:
        """Whether the loss is nothing without a second video (or view)."""
        return isinstance(self.loss, (TccConfig, LavConfig))

    @property
    def make(self) -> NetworkConfig:
        """The network as it is built: what depends on sampling and loss is filled in."""
        drawn = self.sampling.frames * (2 if self.sampling.positive_window else 1)
        head = self.network.projection and isinstance(self.loss, SclConfig)
        return self.network.model_copy(update={"train_frames": drawn, "projection": head})

    @model_validator(mode="after")
    def _parts_fit(self) -> AlignmentRecipe:
        for problem in filter(None, (self._views(), self._partners(), self._pairs())):
            raise ValueError(problem)
        return self

    def _views(self) -> str:
        if isinstance(self.loss, SclConfig) and self.views != 2:
            return "the loss scl compares two views of each video; leave sampling.views empty"
        return ""

    def _partners(self) -> str:
        alone = self.training.batch_size * self.views < 2
        if alone and self.compares:
            return (
                f"the loss {self.loss.name} compares videos with each other, but training."
                "batch_size is 1; say training.batch_size=2 or more"
            )
        return ""

    def _pairs(self) -> str:
        window = self.sampling.positive_window
        if (self.loss.name == "tcn") != bool(window):
            return (
                f"loss '{self.loss.name}' with sampling.positive_window {window}: the loss tcn, "
                "and no other, needs pairs of an anchor and a positive (published: 5)"
            )
        return ""
