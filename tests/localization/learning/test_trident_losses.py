"""TriDet's losses where the golden cases do not reach."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.errors import UsageError
from actionspace.localization.learning.assign import Targets
from actionspace.localization.learning.config import LossConfig, TridentLossConfig
from actionspace.localization.learning.trident_losses import TridentLoss, iou_weight
from actionspace.localization.network.trident import TridentPredictions

CELLS, CLASSES, REACH = 8, 3, 4


def said(centres: torch.Tensor | None = None) -> TridentPredictions:
    """What a network could say of one video of one level; everything has a gradient."""
    torch.manual_seed(0)
    shape = (1, CELLS, CLASSES)
    if centres is None:
        centres = torch.rand(1, CELLS, 2, REACH + 1)
    parts = [torch.randn(shape), centres, torch.randn(shape), torch.randn(shape)]
    return TridentPredictions(
        torch.zeros(CELLS, 4),
        torch.ones(1, CELLS, dtype=torch.bool),
        *(part.requires_grad_() for part in parts),
        (CELLS,),
    )


def targets(*pairs: tuple[int, int]) -> Targets:
    classes = torch.zeros(1, CELLS, CLASSES)
    for point, label in pairs:
        classes[0, point, label] = 1
    return Targets(classes, torch.full((1, CELLS, 2), 2.0))


def loss(**trident: Any) -> TridentLoss:
    return TridentLoss(LossConfig(trident=TridentLossConfig(**trident)))


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0, 2.0])
def test_the_weight_is_the_power_of_the_iou(power: float) -> None:
    iou = torch.tensor([0.0, 1e-9, 1e-3, 0.5, 1.0])
    found = iou_weight(iou, TridentLossConfig(iou_power=power))
    torch.testing.assert_close(found, iou**power, rtol=1e-6, atol=0)


def test_segments_without_overlap_do_not_spoil_the_gradients() -> None:
    """Ends at distance 0 on both sides: an IoU of 0, whose root has no slope."""
    near = torch.zeros(1, CELLS, 2, REACH + 1)
    near[:, :, 0, -1] = near[:, :, 1, 0] = 300.0
    predictions = said(near)
    losses = loss(iou_power=0.2)(predictions, targets((3, 0), (4, 1)))
    assert losses["mean_iou"] == 0
    losses["loss"].backward()
    for part in (predictions.logits, predictions.centres, predictions.begins, predictions.ends):
        assert part.grad is not None and torch.isfinite(part.grad).all()
    plain = torch.zeros(2, requires_grad=True)
    (plain**0.2).sum().backward()
    assert plain.grad is not None and torch.isinf(plain.grad).all()  # what would have been


@pytest.mark.parametrize("detach", [False, True])
def test_gradients_through_the_weight(detach: bool) -> None:
    predictions = said()
    losses = loss(detach_iou_weight=detach)(predictions, targets((3, 0)))
    losses["class_loss"].backward()
    through = predictions.centres.grad
    assert (through is None or not through.any()) == detach


def test_a_point_of_two_classes_has_two_pairs() -> None:
    predictions, weigh = said(), loss(iou_power=0)
    alone = [weigh.eval()(predictions, targets((3, c)))["regression_loss"] for c in (0, 1)]
    both = weigh(predictions, targets((3, 0), (3, 1)))["regression_loss"]
    torch.testing.assert_close(both, alone[0] + alone[1])


def test_nothing_to_learn_has_gradients_of_zero() -> None:
    predictions = said()
    losses = loss()(predictions, targets())
    assert losses["regression_loss"] == 0 and losses["class_loss"] > 0
    losses["loss"].backward()
    for part in (predictions.centres, predictions.begins, predictions.ends):
        assert part.grad is not None and not part.grad.any()


def test_quality_focal_is_refused() -> None:
    with pytest.raises(UsageError, match="iou_power"):
        TridentLoss(LossConfig(classification="quality_focal"))


def test_no_table_of_all_points_classes_and_cells() -> None:
    """Neither the losses nor the candidates make one, ``[B, F, K, N + 1]``."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from actionspace.localization.detection.decode import decode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for one in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(one, torch.Tensor):
                    largest = max(largest, one.numel())
            return out

    points, classes, cells = 60, 40, 13
    table = torch.rand(2, points, classes)
    predictions = TridentPredictions(
        torch.zeros(points, 4),
        torch.ones(2, points, dtype=torch.bool),
        table.clone().requires_grad_(),
        torch.rand(2, points, 2, cells).requires_grad_(),
        table.clone().requires_grad_(),
        table.clone().requires_grad_(),
        (40, 20),
    )
    learnt = torch.zeros(2, points, classes)
    learnt[:, 5, 7] = 1
    with Watch():
        found = loss()(predictions, Targets(learnt, torch.ones(2, points, 2)))
        found["loss"].backward()
        with torch.no_grad():
            decode(predictions, most=20)
    assert table.numel() <= largest < 2 * table.numel()
