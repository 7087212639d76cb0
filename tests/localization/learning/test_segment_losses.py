"""Losses between segments: ranges, symmetry, and gradients where lengths vanish."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actionspace.localization.learning.segment_losses import (
    diou_loss,
    eiou_loss,
    focal_iou_loss,
    iou_loss,
    iou_weighted,
    segment_iou,
)

Loss = Callable[[Tensor, Tensor], Tensor]


def weighted(loss: Loss, offsets: Tensor, targets: Tensor) -> Tensor:
    return iou_weighted(loss(offsets, targets), offsets, targets)


HIGHEST: dict[str, tuple[Loss, float]] = {
    "iou": (iou_loss, 1.0),
    "diou": (diou_loss, 1.25),
    "eiou": (eiou_loss, 2.25),
    "focal": (focal_iou_loss, 1.0),
    "focal half": (functools.partial(focal_iou_loss, gamma=0.5), 1.0),
    "weighted iou": (functools.partial(weighted, iou_loss), 2.0),
    "weighted eiou": (functools.partial(weighted, eiou_loss), 4.5),
}
DISTANCE = st.floats(0, 50, width=32)
SEGMENT = st.tuples(DISTANCE, DISTANCE)


@pytest.mark.parametrize("name", HIGHEST)
@settings(max_examples=40, deadline=None)
@given(a=SEGMENT, b=SEGMENT)
def test_range_symmetry_and_gradient(
    name: str, a: tuple[float, float], b: tuple[float, float]
) -> None:
    loss, highest = HIGHEST[name]
    one, other = torch.tensor(a, requires_grad=True), torch.tensor(b)
    value = loss(one, other)
    assert -1e-6 <= value <= highest + 1e-5
    torch.testing.assert_close(loss(other, one.detach()), value.detach())
    torch.testing.assert_close(loss(one.flip(0), other.flip(0)).detach(), value.detach())
    value.backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None and one.grad.isfinite().all()
    if sum(b) > 1e-3:
        assert loss(other, other) == pytest.approx(0, abs=1e-5)


def test_gradient_of_a_wrong_length_is_small_enough_to_learn_from() -> None:
    """A segment that has shrunk to its point still learns to grow."""
    offsets = torch.zeros(2, requires_grad=True)
    eiou_loss(offsets, torch.tensor([2.0, 3.0])).backward()  # type: ignore[no-untyped-call]
    assert offsets.grad is not None
    assert (offsets.grad < 0).all() and offsets.grad.abs().max() < 10


def test_by_hand() -> None:
    """Of [-1, 1] and [-1, 3] the overlap is one half, the centres 1 apart, the hull 4 long."""
    offsets, targets = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 3.0])
    assert segment_iou(offsets, targets) == 0.5
    assert diou_loss(offsets, targets) == 0.5 + 1 / 16
    assert eiou_loss(offsets, targets) == 0.5 + 1 / 16 + 4 / 16
    assert focal_iou_loss(offsets, targets, gamma=1.0) == 0.25
    assert iou_weighted(torch.tensor(2.0), offsets, targets) == 3.0
