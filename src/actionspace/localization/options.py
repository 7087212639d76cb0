"""The typed options of localization around its network; no torch in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from actionspace.config import Config
from actionspace.errors import UsageError, did_you_mean
from actionspace.localization.network.points_config import Levels
from actionspace.training.rows import RowsConfig as DenseRows


class RowsConfig(DenseRows):
    """The rows of features that an encoder makes of one's own videos, also as published ones."""

    preset: str | None = None
    """Name of published features on whose grid the encoder is run (``features.presets``), e.g.
    ``thumos14_i3d``; it takes the place of frames, hop and fps."""
    resize: Literal["fast", "exact"] = "fast"
    """``fast``: inside the decoder. ``exact``: as the original pipelines, to one grey level."""
    flow: Literal["dis-ultrafast", "dis-fast", "dis-medium"] | None = None
    """How optical flow is computed for an encoder that looks at it; empty = ``dis-medium``."""


class FilesConfig(Config):
    """How features that other projects made are read; a store of ours says most of it itself."""

    stride: float | None = Field(default=None, gt=0)
    """Frames between two rows."""
    window: float | None = Field(default=None, gt=0)
    """Frames that a row was computed from; empty = the stride."""
    fps: float | None = Field(default=None, gt=0)
    """Frames per second at which both count; empty = each video's own, from the manifest."""
    offset: float = 0.0
    """Frames of the video before the first row's first one."""
    fixed: bool = False
    """Every video was rescaled to a fixed number of rows that share its duration; stride and window
    then mean nothing."""
    array: str | None = None
    """Name of the array in files that hold several."""
    transpose: bool = False
    """Files hold ``[D, N]``."""
    prefix: str = ""
    """What file names have before the video's name, as ``v_``."""
    suffix: str = ""
    """What file names have after it."""
    every: PositiveInt = 1
    """Keep each so-many-th row (of stores as well)."""
    length: PositiveInt | None = None
    """Then rescale each video to this number of rows (of stores as well); empty = as many as there
    are."""


class SamplingConfig(Config):
    """The random window of each video that an epoch sees, of at most ``model.max_length`` rows."""

    crop_ratio: tuple[float, float] | None = (0.9, 1.0)
    """Of a video that fits, the least and greatest share of rows that is taken; empty = all."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Share of an event that must lie in the window for it to be learnt there."""
    whole: bool = False
    """Only windows that cut no event."""
    tries: PositiveInt = 200
    """Windows drawn to find one with an event."""
    enlarged: bool = True
    """Measure events against a window that is longer by what its outermost rows see beyond their
    centres, as ActionFormer does; false = against its rows, as TriDet does."""
    inside: bool | Literal["begun"] = False
    """Cut events at the end of the features and drop those of which too little lies inside, as the
    originals do on ActivityNet; ``begun`` = drop those only that begin after it, as on HACS."""


class PeaksConfig(Config):
    """From heat maps to moments (``model.head=points``)."""

    radius: float | None = Field(default=None, ge=0)
    """Seconds within which the best moment of a class suppresses others; empty = two rows."""
    refine: bool = True
    """Place a moment between rows, by a parabola through the logarithms of three scores."""
    levels: Levels = "finest"
    """Where is looked for moments; ``all`` needs ``model.points.levels=all``."""


class SuppressionConfig(Config):
    """From the network's candidates to detections: thresholds and non-maximum suppression."""

    candidate_score: float = Field(default=0.001, ge=0, lt=1)
    """What the score of a candidate must exceed."""
    candidates: PositiveInt = 2000
    """Candidates per level of the pyramid; the best are taken."""
    min_length: float = Field(default=0.05, ge=0)
    """What the length of a candidate must exceed, in rows of features."""
    temperature: float = Field(default=1.0, gt=0)
    """What logits are divided by before they become scores, which suppression sees: above 1, they
    are nearer to one half. To make scores probabilities there is ``calibrate RUN``."""
    method: Literal["soft", "diou", "diou_in_order", "linear", "vanilla", "hard", "none"] = "soft"
    """Lower the scores of those that overlap a better one: by a Gaussian of the overlap
    (``soft``), or of the overlap less the distance of the centres (``diou``; ``diou_in_order``
    takes candidates in the order of the scores they came with, as the fork of ActionFormer does),
    ``linear``, to nothing (``vanilla``); remove them (``hard``); or leave all."""
    iou_threshold: float = Field(default=0.1, ge=0, le=1)
    """Overlap from which on ``linear``, ``vanilla`` and ``hard`` do so."""
    min_score: float = Field(default=0.001, ge=0)
    """What sinks below it is dropped."""
    max_segments: PositiveInt = 200
    """Detections kept per video; of one that is seen in several windows, as many for each."""
    sigma: float = Field(default=0.5, gt=0)
    """Width of the Gaussian."""
    class_sigma: dict[str, float] = Field(default_factory=dict)
    """Another width for some classes, by name; only where ``multiclass`` is true."""
    multiclass: bool = True
    """Suppress within a class; false = whatever the class."""
    voting_threshold: float = Field(default=0.7, ge=0, le=1)
    """Overlap from which on candidates pull at a detection's ends; 0 = no voting. Only where
    ``multiclass`` is false."""
    voting_by_overlap: bool = True
    """Nearer candidates pull more."""
    peaks: PeaksConfig = PeaksConfig()
    """Of moments (``model.head=points``). Of the above they take ``candidate_score``,
    ``candidates``, ``min_score``, ``max_segments``, ``multiclass``, and ``method=none`` to leave
    all; the rest means nothing for them."""
    class_scores: str | None = None
    """JSON file of class scores of whole videos, for proposals without classes; a detection then
    scores the root of the product of both."""
    class_scores_segments: PositiveInt = 200
    """Proposals per video that are given classes."""
    class_scores_best: PositiveInt = 2
    """Classes per video that they are given."""

    def numbered_sigma(self, classes: Sequence[str]) -> dict[int, float]:
        """Return ``class_sigma`` by the number of the class.

        Raises:
            UsageError: it names a class that is none of ``classes``.
        """
        for name in self.class_sigma:
            if name not in classes:
                hint = did_you_mean(name, classes) or f" There is: {', '.join(classes)}."
                raise UsageError(f"suppression.class_sigma: there is no class '{name}'.{hint}")
        return {list(classes).index(name): sigma for name, sigma in self.class_sigma.items()}

    @model_validator(mode="after")
    def _sigmas_count(self) -> SuppressionConfig:
        for name, sigma in self.class_sigma.items():
            if not sigma > 0:
                raise ValueError(f"class_sigma.{name} is {sigma}; it must be positive")
        if self.class_sigma and self.method not in ("soft", "diou", "diou_in_order"):
            raise ValueError(f"class_sigma has no meaning with method={self.method}, use soft")
        if self.class_sigma and not self.multiclass:
            raise ValueError(
                "class_sigma has no meaning with multiclass=false, where classes suppress each "
                "other; set multiclass=true, or sigma for all"
            )
        return self


class EvaluationConfig(Config):
    """How detections are measured."""

    thresholds: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    """Temporal IoU from which on an event counts as found; ``map`` is the mean over all."""
    tolerances: tuple[Annotated[float, Field(ge=0)], ...] = (0.1, 0.2, 0.5, 1.0, 2.0)
    """Of moments (``model.head=points``): seconds within which one counts as found; ``point_map``
    is the mean over all."""
    tolerances_frames: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Of moments: more of them, in frames of the video; its frames per second must be known."""
    recalls: tuple[PositiveInt, ...] = (1, 5)
    """The k of Recall@kx: the best k times n detections of a video and class with n events."""
    clean: bool = True
    """Leave out annotations shorter than a millisecond and repeated ones, as all published
    evaluations but that of EPIC-KITCHENS do."""
    other_videos: Literal["refuse", "drop", "count"] = "refuse"
    """Predictions in videos that are not measured on: refuse them, leave them out, or count them as
    false, as the published code does."""
    bootstrap: int = Field(default=1000, ge=0)
    """Resamples of groups for the confidence intervals; 0 = none."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Coverage of the intervals."""


class PredictConfig(Config):
    """What is told of a video."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    """Score below which a detection is not told when one predicts; evaluations count all. Empty =
    where the F1 score on the validation split is highest, at an overlap of one half; 0.2 without
    such a split."""
    temperature: float = Field(default=1.0, gt=0)
    """What the logits of detections' scores are divided by in the end; ``calibrate RUN`` finds it.
    ``threshold`` is a score before that."""
    offset: float = 0.0
    """What is added to them then."""
    window: PositiveInt | None = None
    """Rows that the network sees at once; a longer video is cut into windows that overlap. Empty =
    the longest it takes (``model.max_length`` times ``model.buffer_factor``)."""
    overlap: NonNegativeInt | None = None
    """Rows that two windows share; empty = a quarter of a window."""
    batch_size: PositiveInt = 8
    """Videos, or windows of one, of ``model.max_length`` rows per forward pass."""


class AutoConfig(Config):
    """What is chosen from the training events, in place of the ``model`` section's."""

    lengths: bool = False
    """Choose ``max_length``, the number of levels, their ``regression_ranges`` and
    ``buffer_factor``, and say why."""
    coverage: float = Field(default=0.95, gt=0, le=1)
    """Share of the training events, shortest first, by which the number of levels is chosen: the
    others count as no longer than these."""
    most_rows: PositiveInt = 2304
    """Longest training window that is chosen, in rows."""
    ranges: Literal["coverage", "percentile"] | None = None
    """Choose ``regression_ranges`` for the levels there are, or that ``lengths`` chooses: by half
    the durations, the last one without an end (``coverage``), or as the ActionFormer fork does
    (``percentile``); see :func:`.ranges.compute_adaptive_ranges`. Empty = those of the ``model``
    section, or with ``lengths`` the first to 4 rows and each following one twice as long."""
    boundaries: bool = False
    """Choose ``boundaries.widths``, so that the bins of each level reach as far as its distances do
    (``model.head: boundaries``)."""
