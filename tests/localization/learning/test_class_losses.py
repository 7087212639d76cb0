"""Losses of classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.heads.focal import focal_loss
from actionspace.localization.learning.class_losses import quality_focal_loss


def test_focal_loss_by_hand() -> None:
    """A positive at score .5 costs .25 * .5^2 * ln 2, a negative three times as much."""
    loss = focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert loss.tolist() == pytest.approx([0.25 * 0.25 * 0.693147, 0.75 * 0.25 * 0.693147])


@settings(max_examples=40, deadline=None)
@given(quality=st.floats(0, 1, width=32), logit=st.floats(-8, 8, width=32))
def test_quality_focal_loss_is_least_where_the_score_is_the_iou(
    quality: float, logit: float
) -> None:
    iou = torch.tensor([quality])
    best = iou.clamp(1e-6, 1 - 1e-6).logit()
    one = torch.ones(1, 1)
    at_best = quality_focal_loss(best[None], one, iou)
    assert at_best.item() == pytest.approx(0, abs=1e-4)
    assert quality_focal_loss(torch.tensor([[logit]]), one, iou) >= at_best - 1e-6


def test_a_perfect_fit_and_no_class_cost_what_they_cost_in_focal_loss() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 5, 3), torch.eye(3)[None, [0, 1, 2, 0, 1]].repeat(2, 1, 1)
    ones = torch.ones(2, 5)
    torch.testing.assert_close(
        quality_focal_loss(logits, targets, ones), focal_loss(logits, targets)
    )
    none = torch.zeros_like(targets)
    torch.testing.assert_close(
        quality_focal_loss(logits, none, torch.rand(2, 5)), focal_loss(logits, none)
    )
