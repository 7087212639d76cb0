"""The typed options of anticipation: every field with its default, unit and meaning."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.options import (
    EvaluationConfig,
    FilesConfig,
    HistoryConfig,
    HorizonConfig,
    LossConfig,
    PredictConfig,
    RowsConfig,
    WindowConfig,
)
from actionspace.training.base_recipe import BaseRecipe
from actionspace.training.options import TrainingConfig
from actionspace.training.published import Published
from actionspace.training.splits import SplitConfig


class AnticipationRecipe(BaseRecipe):
    """The label of the next event, from what was seen until some time before it begins."""

    task: Literal["anticipation"] = "anticipation"
    """The task this recipe belongs to."""
    name: str = "anticipate"
    """Name of the recipe."""
    data: str | None = None
    """Manifest or annotation file."""
    features: str | tuple[str, ...] | None = None
    """Feature store, or folder of feature files; several = a network for each, see
    ``network.fusion``. Empty = what the manifest's ``features`` column lists, else the encoder
    makes them."""
    files: FilesConfig = FilesConfig()
    """How features of other makes are read."""
    encoder: str | None = None
    """Name from ``list encoders``, or ``module:fn``, to make features with; empty = features are
    given."""
    rows: RowsConfig = RowsConfig()
    """What the encoder is run on."""
    columns: tuple[str, ...] = Field(default=("label",), min_length=1)
    """Head columns of the manifest that are foretold, as ``[verb, noun, action]``."""
    input: Literal["features", "labels", "both"] = "features"
    """What the network is given: features of the window, the labels of past events that are known
    by its end, or both. Compare like with like: the Markov baselines know labels."""
    window: WindowConfig = WindowConfig()
    """What is observed."""
    horizon: HorizonConfig = HorizonConfig()
    """How long before the event."""
    history: HistoryConfig = HistoryConfig()
    """Labels of past events."""
    split: SplitConfig = SplitConfig()
    """Splits, where the manifest has none."""
    network: NetworkConfig = NetworkConfig()
    """The network."""
    loss: LossConfig = LossConfig()
    """What it is trained for."""
    training: TrainingConfig = TrainingConfig()
    """The loop."""
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
        """Where features are; none = elsewhere."""
        if self.features is None:
            return ()
        return (self.features,) if isinstance(self.features, str) else self.features

    @property
    def sees(self) -> bool:
        """Whether the network is given features."""
        return self.input != "labels"

    @property
    def knows(self) -> bool:
        """Whether the network is given the labels of past events."""
        return self.input != "features"

    @model_validator(mode="after")
    def _parts_fit(self) -> AnticipationRecipe:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns names one twice: {', '.join(self.columns)}")
        if self.knows and self.window.anchor == "end":
            raise ValueError(
                "window.anchor=end ends within the event, whose own label would be among those "
                "that are known: say input=features, or anchor=start"
            )
        if (self.loss.past or self.loss.feature) and self.network.name != "causal":
            raise ValueError(
                "loss.past and loss.feature are of network.name=causal, which foresees each row; "
                f"the network is {self.network.name}"
            )
        if (self.loss.past or self.loss.feature) and not self.sees:
            raise ValueError("loss.past and loss.feature need features: say input=both or features")
        if not self.sees and self.network.width is None:
            raise ValueError("network.width is needed where there are no features: say a number")
        return self
