"""The typed options of localization around its network; no torch in here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from actionspace.config import Config


class RowsConfig(Config):
    """The rows of features that an encoder makes of one's own videos: a dense grid over time.

    Without meaning where features are given. A field left empty is the encoder's own.
    """

    preset: str | None = None
    """Name of published features on whose grid the encoder is run (``features.presets``), e.g.
    ``thumos14_i3d``; it takes the place of frames, hop and fps."""
    frames: PositiveInt | None = None
    """Frames that a row is computed from."""
    stride: PositiveInt | None = None
    """Step between these, in frames."""
    hop: PositiveInt | None = None
    """Frames between two rows; empty = half of what a row spans."""
    fps: float | None = Field(default=None, gt=0)
    """Frames per second at which all of these count; empty = the encoder's, which may be the
    video's own."""
    geometry: Literal["center", "full", "pad"] | None = None
    """The centre of the frame, all of it squeezed square, or its middle as it is."""
    short_side: PositiveInt | None = None
    """Shorter side of the frame before cropping, in pixels."""
    size: PositiveInt | None = None
    """Side of the square the encoder sees, in pixels."""
    resize: Literal["fast", "exact"] = "fast"
    """``fast``: inside the decoder. ``exact``: as the original pipelines, to one grey level."""
    flow: Literal["dis-ultrafast", "dis-fast", "dis-medium"] | None = None
    """How optical flow is computed for an encoder that looks at it; empty = ``dis-medium``."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type the features are stored in."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the encoder; ``auto`` = bfloat16 on CUDA, float32 elsewhere."""
    compile: bool = False
    """Compile the encoder with torch.compile (worth it on a GPU with many clips)."""
    batch_size: PositiveInt | None = None
    """Clips per forward pass of the encoder; empty = chosen from it and the device."""
    threads: PositiveInt | None = None
    """Decode threads; empty = chosen from the machine."""
    policy: Literal["raise", "skip", "partial"] = "skip"
    """A bad video ends the work, is left out and listed, or gives what can be decoded."""
    time_limit: float | None = Field(default=None, gt=0)
    """Seconds a video may take to decode before it counts as bad; empty = by its duration."""


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
    inside: bool = False
    """Cut events at the end of the features and drop those of which too little lies inside, as the
    original does on ActivityNet."""


class SuppressionConfig(Config):
    """From the network's candidates to detections: thresholds and non-maximum suppression."""

    candidate_score: float = Field(default=0.001, ge=0, lt=1)
    """What the score of a candidate must exceed."""
    candidates: PositiveInt = 2000
    """Candidates per level of the pyramid; the best are taken."""
    min_length: float = Field(default=0.05, ge=0)
    """What the length of a candidate must exceed, in rows of features."""
    method: Literal["soft", "linear", "vanilla", "hard", "none"] = "soft"
    """Lower the scores of those that overlap a better one: by a Gaussian of the overlap
    (``soft``), ``linear``, to nothing (``vanilla``); remove them (``hard``); or leave all."""
    iou_threshold: float = Field(default=0.1, ge=0, le=1)
    """Overlap from which on the methods other than ``soft`` do so."""
    min_score: float = Field(default=0.001, ge=0)
    """What sinks below it is dropped."""
    max_segments: PositiveInt = 200
    """Detections kept per video; of one that is seen in several windows, as many for each."""
    sigma: float = Field(default=0.5, gt=0)
    """Width of the Gaussian."""
    multiclass: bool = True
    """Suppress within a class; false = whatever the class."""
    voting_threshold: float = Field(default=0.7, ge=0, le=1)
    """Overlap from which on candidates pull at a detection's ends; 0 = no voting. Only where
    ``multiclass`` is false."""
    voting_by_overlap: bool = True
    """Nearer candidates pull more."""
    class_scores: str | None = None
    """JSON file of class scores of whole videos, for proposals without classes; a detection then
    scores the root of the product of both."""
    class_scores_segments: PositiveInt = 200
    """Proposals per video that are given classes."""
    class_scores_best: PositiveInt = 2
    """Classes per video that they are given."""


class EvaluationConfig(Config):
    """How detections are measured."""

    thresholds: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    """Temporal IoU from which on an event counts as found; ``map`` is the mean over all."""
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
