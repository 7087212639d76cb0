"""The typed options of localization: every field with its default, unit and meaning."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from actionspace.events.constraints import TemporalConstraints
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.options import (
    AutoConfig,
    EvaluationConfig,
    FilesConfig,
    PredictConfig,
    RowsConfig,
    SamplingConfig,
    SuppressionConfig,
)
from actionspace.localization.point_options import points_problem
from actionspace.training.base_recipe import BaseRecipe
from actionspace.training.options import TrainingConfig
from actionspace.training.published import Published
from actionspace.training.splits import SplitConfig


class LocalizationRecipe(BaseRecipe):
    """ActionFormer on features: when does which action begin and end."""

    task: Literal["localization"] = "localization"
    """The task this recipe belongs to."""
    name: str = "localize"
    """Name of the recipe."""
    data: str | None = None
    """Manifest or annotation file, or ``module:function`` that gives events (and features)."""
    features: str | tuple[str, ...] | None = None
    """Feature store, or folder or file of other people's features; several are joined row by row.
    Empty = what the manifest's ``features`` column lists, else the encoder makes them."""
    files: FilesConfig = FilesConfig()
    """How features of other makes are read."""
    encoder: str | None = None
    """Name from ``list encoders``, or ``module:fn``, to make features with; empty = features are
    given."""
    rows: RowsConfig = RowsConfig()
    """What the encoder is run on."""
    column: str = "label"
    """Head column of the manifest that holds the classes."""
    classes: tuple[str, ...] | None = None
    """Class names in the order of their numbers; empty = those of the manifest, in the order that
    ``prepare`` wrote beside it. A single one takes every label: it learns when anything happens."""
    split: SplitConfig = SplitConfig()
    """Splits, where the manifest has none."""
    auto: AutoConfig = AutoConfig()
    """What is chosen from the training events."""
    model: ModelConfig = ModelConfig()
    """The network."""
    loss: LossConfig = LossConfig()
    """What it is trained for."""
    sampling: SamplingConfig = SamplingConfig()
    """The random windows it is trained on."""
    training: TrainingConfig = TrainingConfig()
    """The loop."""
    suppression: SuppressionConfig = SuppressionConfig()
    """From candidates to detections."""
    constraints: TemporalConstraints = TemporalConstraints()
    """What detections must obey in time."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Metrics."""
    predict: PredictConfig = PredictConfig()
    """What is told of a video."""
    published: Published | None = None
    """What was reported for this setting."""

    looped: ClassVar[bool] = True
    """The loop trains it."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where features are, as many as are joined; none = elsewhere."""
        if self.features is None:
            return ()
        return (self.features,) if isinstance(self.features, str) else self.features

    @model_validator(mode="after")
    def _parts_fit(self) -> LocalizationRecipe:
        window, overlap = self.predict.window, self.predict.overlap
        if window is not None and window > self.model.longest and not self.auto.lengths:
            raise ValueError(
                f"predict.window {window} is more than the network takes, {self.model.longest} "
                "rows (model.max_length times model.buffer_factor)"
            )
        if overlap is not None and overlap >= (window or self.model.longest):
            raise ValueError(
                f"predict.overlap {overlap} must be smaller than a window, "
                f"{window or self.model.longest} rows"
            )
        if self.suppression.class_scores is not None and len(self.classes or ()) != 1:
            raise ValueError(
                "suppression.class_scores names the classes of proposals: say classes=[action], "
                "so that the network learns when anything happens"
            )
        if self.classes is not None and self.suppression.class_scores is None:
            self.constraints.check(self.classes)
        if self.model.head == "points" and (problem := points_problem(self)):
            raise ValueError(problem)
        return self
