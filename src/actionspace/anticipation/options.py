"""The typed options of anticipation around its network; no torch in here."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from actionspace.config import Config
from actionspace.errors import UsageError
from actionspace.features.tokens import side_of
from actionspace.training.rows import GridConfig


class RowsConfig(GridConfig):
    """The rows that the encoder makes of one's own videos: a clip each, with one vector or tokens.

    A row is looked at once its clip has ended, and all its tokens with it: those of the clip's
    first frames know the last ones.
    """

    tokens: str | None = None
    """What is kept of a clip: ``time`` (a token per time step of the encoder), ``4x4`` (4 x 4 of
    them per time step) and the like; empty = one vector."""
    limit_gb: float = Field(default=20.0, gt=0)
    """Gigabytes of tokens beyond which nothing is encoded; a higher limit confirms them."""
    dtype: Literal["float16", "float32", "int8"] = "float16"
    """Type the features are stored in; ``int8`` has one scale per vector or token."""

    @field_validator("tokens")
    @classmethod
    def _names_tokens(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                side_of(value)
            except UsageError as e:
                raise ValueError(str(e)) from e
        return value


class WindowConfig(Config):
    """What is observed before an event: rows of features that end when the window does.

    The window ends ``horizon`` seconds before the event's anchor. A row belongs to it if the clip
    that it was computed from has ended by then: nothing later is ever looked at.
    """

    seconds: PositiveFloat = 8.0
    """How far back it goes. Where that is before the video begins, it is padded and masked."""
    step: PositiveFloat | None = None
    """Seconds between two rows that are looked at, counted back from the window's end (RULSTM:
    0.25); empty = those of the features."""
    anchor: Literal["start", "end"] = "start"
    """``start``: of the event, as in the EPIC-KITCHENS-100 challenge. ``end``: compat, V-JEPA 2's
    published evaluation, whose window lies before the END of the action and mostly shows it."""
    point: tuple[float, float] = (0.0, 0.0)
    """With ``anchor=end``: share of the event by which the anchor is moved towards its start in
    training, drawn uniformly (V-JEPA 2: 0 to 0.25)."""

    @model_validator(mode="after")
    def _fits(self) -> WindowConfig:
        low, high = self.point
        if not 0 <= low <= high <= 1:
            raise ValueError(f"point {self.point} must rise within 0 to 1")
        if self.anchor == "start" and high > 0:
            raise ValueError(
                "point moves the anchor into the event that is to be foretold; it goes with "
                "anchor=end only"
            )
        return self


class HorizonConfig(Config):
    """How long before an event its label is told (tau_a), in seconds."""

    report: PositiveFloat = 1.0
    """The one whose figures are given first, and that training is judged at."""
    evaluate: tuple[PositiveFloat, ...] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    """Those of the horizon curve; ``report`` is added."""
    train: tuple[PositiveFloat, PositiveFloat] = (0.25, 2.0)
    """In training one is drawn uniformly between these for each sample and epoch; equal = fixed."""
    train_step: PositiveFloat | None = None
    """Draw from a grid of this step from the least on (RULSTM: 0.25); empty = any."""

    @property
    def every(self) -> tuple[float, ...]:
        """All horizons that are evaluated, rising."""
        return tuple(sorted({self.report, *self.evaluate}))

    @model_validator(mode="after")
    def _fits(self) -> HorizonConfig:
        if self.train[0] > self.train[1]:
            raise ValueError(f"train {self.train} must rise")
        return self


class HistoryConfig(Config):
    """The labels of past events, as input (``input=labels`` or ``both``) and for the baselines."""

    events: PositiveInt = 8
    """How many of the last events that have begun are given to the network."""
    by: Literal["video", "subject"] = "video"
    """Events of one video are one sequence, or those of each subject in it."""


class FilesConfig(Config):
    """How features that other projects made are read; a store of ours says it itself."""

    stride: float | None = Field(default=None, gt=0)
    """Frames between two rows."""
    window: float | None = Field(default=None, gt=0)
    """Frames that a row was computed from; empty = the stride."""
    fps: float | None = Field(default=None, gt=0)
    """Frames per second at which both count; empty = each video's own, from the manifest."""
    offset: float = 0.0
    """Frames of the video before the first row's first one."""
    array: str | None = None
    """Name of the array in files that hold several."""
    transpose: bool = False
    """Files hold ``[D, N]``."""
    prefix: str = ""
    """What file names have before the video's name."""
    suffix: str = ""
    """What file names have after it."""


class LossConfig(Config):
    """What the network is trained for; the losses of several columns are added."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    """``focal``: sigmoid focal loss over classes (Lin et al. 2017), as in V-JEPA 2's probes."""
    alpha: float = Field(default=0.25, ge=0, le=1)
    """Focal: weight of the true class; the others have 1 - alpha."""
    gamma: float = Field(default=2.0, ge=0)
    """Focal: how much less what is easy counts."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Cross-entropy: share of the label that is spread over all classes."""
    past: float = Field(default=0.0, ge=0)
    """Network ``causal``: weight of the labels of what is seen, each told a row before (AVT: 1)."""
    feature: float = Field(default=0.0, ge=0)
    """Network ``causal``: weight of the squared error of the next row of features (AVT: 1)."""


class EvaluationConfig(Config):
    """How predictions are measured."""

    unseen: Literal["miss", "refuse", "drop"] = "miss"
    """What becomes of test events of a class that no training event has. ``miss``: they count as
    missed. ``refuse``: an error. ``drop``: they are left out, as V-JEPA 2 leaves out verb-noun
    pairs that never occur in training; the figures then are not those of the challenge."""
    bootstrap: NonNegativeInt = 1000
    """Resamples of groups for the intervals; 0 = none."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Coverage of the intervals."""


class PredictConfig(Config):
    """What is told of a video whose events nobody knows."""

    every: PositiveFloat = 1.0
    """Seconds between two moments at which it is told what comes next."""
