"""Options of the alignment losses: every field with its default and meaning; no torch in here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from actionspace.config import Config


class SclConfig(Config):
    """Sequence contrastive loss (Chen et al., CVPR 2022): frames of two views of one video."""

    name: Literal["scl"] = "scl"
    """Which loss this is."""
    temperature: float = Field(default=0.1, gt=0)
    """Similarities are divided by it."""
    label_variance: float = Field(default=10.0, gt=0)
    """Variance, in squared frames, of the Gaussian over times that says which frames of the other
    view are positives."""
    positives: Literal["gaussian", "none"] = "gaussian"
    """``none``: no frame is a positive and the loss is 0, as in the original for every other
    name."""
    negatives: Literal["single_noself", "single", "batch_noself", "batch"] = "single_noself"
    """What a frame is compared with, beside the other view: its own view unless ``noself``, and
    with ``batch`` every frame of all other videos."""
    across_processes: bool = False
    """With ``batch``: also the videos that the other processes hold."""
    compat: bool = False
    """The original's numbers: exponentials without a shift, 1e-6 added to each probability, and
    every pair with padding, of any video of the batch, among the negatives with weight 1e-6."""

    @model_validator(mode="after")
    def _others_are_negatives(self) -> SclConfig:
        if self.across_processes and not self.negatives.startswith("batch"):
            raise ValueError(
                f"across_processes adds other videos, which negatives={self.negatives} never "
                "compares with; use negatives=batch_noself or negatives=batch"
            )
        return self


class TccConfig(Config):
    """Temporal cycle-consistency (Dwibedi et al., CVPR 2019): there and back between videos."""

    name: Literal["tcc"] = "tcc"
    """Which loss this is."""
    loss: Literal["regression_mse_var", "regression_mse", "regression_huber", "classification"] = (
        "regression_mse_var"
    )
    """How the place where a cycle ends is held against the one where it began: the squared
    difference in time, that over the spread of the end, Huber's, or cross-entropy over frames."""
    similarity: Literal["l2", "cosine"] = "l2"
    """Minus the squared distance, or the dot product."""
    temperature: float = Field(default=0.1, gt=0)
    """Similarities are divided by it and by the number of channels."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over the other frames; it also shifts the target of the
    regressions."""
    variance_lambda: float = Field(default=0.001, ge=0)
    """Weight of the logarithm of the variance in ``regression_mse_var``."""
    huber_delta: float = Field(default=1.0, gt=0)
    """Where Huber's loss turns linear. The original code of CARL always has 1, that of TCC 0.1."""
    normalize_indices: bool = True
    """Times are shares of their video, not frame numbers."""
    matching: Literal["all_pairs", "stochastic"] = "all_pairs"
    """Every frame of every ordered pair of videos, or cycles drawn at random."""
    cycle_length: int = Field(default=2, ge=2)
    """Videos in a drawn cycle, the first one included; at most as many as in the batch."""
    cycles: int = Field(default=20, ge=1)
    """How many cycles are drawn per batch."""
    compat: bool = False
    """The original's numbers: ``classification`` takes logits for log-probabilities and averages
    over frames and classes (so the loss can have any sign), and padded frames take part."""


class TcnConfig(Config):
    """Time-contrastive n-pairs loss (Sermanet et al., ICRA 2018; Sohn, NeurIPS 2016)."""

    name: Literal["tcn"] = "tcn"
    """Which loss this is."""
    reg_lambda: float = Field(default=0.002, ge=0)
    """Weight of the squared norms; a quarter of it falls on anchors and positives each."""
    compat: bool = False
    """The original's numbers: pairs with padding take part."""


class LavConfig(Config):
    """Learning by aligning videos in time (Haresh et al., CVPR 2021): soft-DTW and IDM."""

    name: Literal["lav"] = "lav"
    """Which loss this is."""
    gamma: float = Field(default=0.1, ge=0)
    """Softness of the minimum of soft-DTW; 0 is plain dynamic time warping."""
    alpha: float = Field(default=0.5, ge=0)
    """Weight of the regularisation within each video (contrastive inverse difference moment)."""
    margin: float = Field(default=2.0, ge=0)
    """Squared distance from which on frames far in time are no longer pushed apart."""
    sigma: float = Field(default=10.0, ge=0)
    """Frames that are at most this many frames apart are pulled together, others pushed apart."""
    l2_normalize: bool = True
    """Embeddings are brought to length 1 first."""


class FrameClassificationConfig(Config):
    """Cross-entropy with the phases of labelled frames: the supervised baseline."""

    name: Literal["classification"] = "classification"
    """Which loss this is."""


AlignmentLossConfig = Annotated[
    SclConfig | TccConfig | TcnConfig | LavConfig | FrameClassificationConfig,
    Field(discriminator="name"),
]
