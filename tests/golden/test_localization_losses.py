"""Losses of the fork of ActionFormer, element by element, summed and as means."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from actionspace.heads.focal import focal_loss
from actionspace.localization.learning.class_losses import quality_focal_loss
from actionspace.localization.learning.segment_losses import (
    diou_loss,
    eiou_loss,
    focal_iou_loss,
    iou_loss,
    iou_weighted,
    segment_iou,
)
from actionspace.localization.learning.statistics import iou_statistics
from actionspace.training.loss_logger import LossLogger
from tests.golden.tal import Case, cases

LOSSES, LOGGERS = cases("loss_functions"), cases("loss_logger")
SEGMENTS: dict[str, Any] = {
    "iou": segment_iou,
    "ctr_diou_loss_1d": diou_loss,
    "ctr_giou_loss_1d": iou_loss,
    "ctr_eiou_loss_1d": eiou_loss,
    "focal_regression_loss": focal_iou_loss,
    "focal_regression_g1": partial(focal_iou_loss, gamma=1.0),
    "iou_weighted_iou": lambda p, g: iou_weighted(iou_loss(p, g), p, g),
    "iou_weighted_diou": lambda p, g: iou_weighted(diou_loss(p, g), p, g),
    "iou_weighted_eiou": lambda p, g: iou_weighted(eiou_loss(p, g), p, g),
    "iou_weighted_loss_1d": lambda p, g: iou_weighted(diou_loss(p, g), p, g),
}
CLASSES: dict[str, Any] = {
    "sigmoid_focal": lambda t: focal_loss(t["logits"], t["onehot"]),
    "sigmoid_focal_soft": lambda t: focal_loss(t["logits"], t["soft"]),
    "sigmoid_focal_noalpha_g1": lambda t: focal_loss(
        t["logits"], t["onehot"], alpha=None, gamma=1.0
    ),
    "quality_focal": lambda t: quality_focal_loss(t["logits"], t["onehot"], t["iou_targets"]),
}


def compare(ours: torch.Tensor, tensors: dict[str, torch.Tensor], name: str) -> None:
    """Compare with what there is of a loss: its elements, their sum, their mean."""
    found = 0
    for suffix, value in (
        ("", ours),
        (".none", ours),
        (".sum", ours.sum()),
        (".mean", ours.mean()),
    ):
        if name + suffix in tensors:
            theirs = tensors[name + suffix].flatten()
            torch.testing.assert_close(value.flatten(), theirs, rtol=1e-6, atol=1e-6)
            found += 1
    assert found, name


@pytest.mark.skipif(not LOSSES, reason="no golden/tal loss functions here")
@pytest.mark.parametrize("name", [*SEGMENTS, *CLASSES])
@pytest.mark.parametrize("case", LOSSES, ids=lambda c: c.id)
def test_loss(case: Case, name: str) -> None:
    tensors = load_file(case.file("io"))
    if name in SEGMENTS:
        compare(SEGMENTS[name](tensors["pred"], tensors["gt"]), tensors, name)
    else:
        compare(CLASSES[name](tensors), tensors, name)


@pytest.mark.skipif(not LOGGERS, reason="no golden/tal loss logger here")
@pytest.mark.parametrize("case", LOGGERS, ids=lambda c: c.id)
def test_logger(case: Case) -> None:
    """The case keeps no input: the values 1, 2, 3, 4 in these proportions give what it expects."""
    expected = case.entry["expected"]
    logger = LossLogger(case.entry["window"])
    for k in range(1, 5):
        logger.update({name: value * k / 3 for name, value in expected.items()})
    assert logger.averages() == pytest.approx(expected)
    assert logger.scalars() == pytest.approx(case.entry["tensorboard"])


@pytest.mark.skipif(not (LOGGERS and LOSSES), reason="no golden/tal loss logger here")
@pytest.mark.parametrize("case", LOGGERS, ids=lambda c: c.id)
def test_iou_statistics(case: Case) -> None:
    tensors = load_file(LOSSES[0].file("io"))
    found = iou_statistics(segment_iou(tensors["pred"], tensors["gt"]))
    for name, value in case.entry["iou_stats"].items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)
