"""What the network is trained for: every field with its default and meaning; no torch in here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from actionspace.config import Config


class TridentLossConfig(Config):
    """How the losses of classes and ends go together with ``model.head: trident``."""

    iou_power: float = Field(default=1.0, ge=0)
    """The class loss of a point that learns an event is multiplied by the IoU of its segment with
    the event's to this power."""
    detach_iou_weight: bool = False
    """No gradients through this factor. The published code has them: they pull ends away from those
    of the event, against the regression loss."""


class LossConfig(Config):
    """What the network is trained for: losses of the classes and of the ends."""

    center_sampling: Literal["radius", "none"] = "radius"
    """Which points of a segment learn it: those near its centre, or all."""
    center_radius: float = Field(default=1.5, gt=0)
    """How near, in cells of the level."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each class target that is spread over all classes and the background."""
    classification: Literal["focal", "quality_focal"] = "focal"
    """``focal``: the true class is to score 1. ``quality_focal``: it is to score the IoU of the
    point's segment with the one it learns, so that scores rank by how well segments fit."""
    regression: Literal["diou", "giou", "iou", "eiou", "focal"] = "diou"
    """Loss of the ends: 1 - IoU (``iou``, and ``giou``, which is the same for segments about a
    common point), and the distance of the centres (``diou``), and the difference of the lengths
    (``eiou``); or 1 - IoU to the power of gamma + 1 (``focal``)."""
    regression_gamma: float = Field(default=2.0, ge=0)
    """Gamma of the regression loss ``focal``: how little segments count that nearly fit."""
    regression_by_overlap: bool = False
    """Multiply the loss of the ends by 2 - IoU: segments that fit badly count up to twice."""
    regression_weight: float | None = Field(default=1.0, gt=0)
    """Weight of the regression loss; empty = as large as the classification loss."""
    boundary_weight: float = Field(default=0.25, ge=0)
    """Weight of the distribution focal loss of both ends (``model.head: boundaries``)."""
    trident: TridentLossConfig = TridentLossConfig()
    """The losses of ``model.head: trident``."""
    initial_norm: float = Field(default=100.0, gt=0)
    """What losses are divided by at first: points per step that lie in segments. Its running mean
    follows."""

    @model_validator(mode="after")
    def _parts_fit(self) -> LossConfig:
        if self.classification == "quality_focal" and self.label_smoothing:
            raise ValueError(
                f"label_smoothing {self.label_smoothing} has no meaning with "
                "classification=quality_focal, whose targets are soft already; set it to 0"
            )
        if self.regression == "focal" and self.regression_by_overlap:
            raise ValueError(
                "regression_by_overlap makes segments that fit badly count more, and "
                "regression=focal does that already; use regression=diou, eiou or iou with it"
            )
        if self.regression != "focal" and self.regression_gamma != 2.0:
            raise ValueError(
                f"regression_gamma {self.regression_gamma} belongs to regression=focal, not to "
                f"{self.regression}"
            )
        return self
