"""Losses, their normaliser and weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.localization.learning.assign import Targets, assign, collect
from actionspace.localization.learning.class_losses import quality_focal_loss
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.losses import LocalizationLoss
from actionspace.localization.learning.segment_losses import (
    diou_loss,
    eiou_loss,
    focal_iou_loss,
    iou_loss,
    iou_weighted,
    segment_iou,
)
from actionspace.localization.learning.statistics import iou_statistics
from tests.localization.networks import CLASSES, DIM, network, pad


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return pad([torch.randn(DIM, 80), torch.randn(DIM, 50)], 96)


def targets_of(model: torch.nn.Module, events: bool = True) -> Targets:
    said = model(*batch())
    spans = [torch.tensor([[3.0, 9.0], [20.0, 44.0]]), torch.tensor([[30.0, 33.0]])]
    labels = [torch.tensor([0, 3]), torch.tensor([1])]
    if not events:
        spans, labels = [s[:0] for s in spans], [k[:0] for k in labels]
    return assign(said.points, collect(spans, labels), CLASSES, LossConfig())


def test_normaliser_moves_while_training_and_is_kept() -> None:
    model = network()
    targets = targets_of(model)
    said = model(*batch())
    criterion = LocalizationLoss(LossConfig(initial_norm=50))
    positives = int((targets.learnt & said.mask).sum())
    criterion(said, targets)
    assert criterion.normalizer.item() == pytest.approx(45 + 0.1 * positives)
    kept = criterion.state_dict()
    criterion.eval()(said, targets)
    assert criterion.normalizer.item() == kept["normalizer"].item()
    other = LocalizationLoss(LossConfig())
    other.load_state_dict(kept)
    assert torch.equal(other.normalizer, criterion.normalizer)


def test_halves_of_a_step_add_up_to_it() -> None:
    """Each half sees half of the positives; weighed by its share, losses are those of the whole."""
    model = network(drop_path=0.0).eval()
    targets, said = targets_of(model), model(*batch())
    whole = LocalizationLoss(LossConfig()).eval()(said, targets)["loss"]
    halves = [
        LocalizationLoss(LossConfig()).eval()(
            said._replace(
                mask=said.mask[i : i + 1],
                logits=said.logits[i : i + 1],
                offsets=said.offsets[i : i + 1],
            ),
            Targets(targets.classes[i : i + 1], targets.offsets[i : i + 1]),
            share=0.5,
        )["loss"]
        for i in range(2)
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_padding_does_not_count() -> None:
    model = network().eval()
    targets, said = targets_of(model), model(*batch())
    criterion = LocalizationLoss(LossConfig(label_smoothing=0.1)).eval()
    changed = said._replace(
        logits=torch.where(said.mask[..., None], said.logits, 7.0),
        offsets=torch.where(said.mask[..., None], said.offsets, 7.0),
    )
    ours, theirs = criterion(said, targets), criterion(changed, targets)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_without_events_there_is_no_regression_loss() -> None:
    model = network()
    targets, said = targets_of(model, events=False), model(*batch())
    losses = LocalizationLoss(LossConfig(regression_weight=None))(said, targets)
    losses["loss"].backward()
    assert losses["regression_loss"].item() == 0 and losses["class_loss"].item() > 0
    scale = model.reg_head.scale[0].scale
    assert scale.grad is not None and not scale.grad.any()


def test_automatic_weight_makes_both_losses_count_alike() -> None:
    model = network().eval()
    targets, said = targets_of(model), model(*batch())
    losses = LocalizationLoss(LossConfig(regression_weight=None, initial_norm=1)).eval()(
        said, targets
    )
    assert losses["loss"].item() == pytest.approx(2 * losses["class_loss"].item())
    doubled = LocalizationLoss(LossConfig(regression_weight=2.0, initial_norm=1)).eval()(
        said, targets
    )
    expected = doubled["class_loss"] + 2 * doubled["regression_loss"]
    torch.testing.assert_close(doubled["loss"], expected)


def test_losses_are_computed_in_float32() -> None:
    model = network().eval()
    targets, said = targets_of(model), model(*batch())
    rough = said._replace(logits=said.logits.bfloat16(), offsets=said.offsets.bfloat16())
    losses = LocalizationLoss(LossConfig()).eval()(rough, targets)
    assert all(loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize("regression", ["diou", "giou", "iou", "eiou", "focal"])
@pytest.mark.parametrize("weighted", [False, True])
def test_regression_losses(regression: Any, weighted: bool) -> None:
    """The loss that a recipe names, of the positive points alone, and it reaches the weights."""
    if regression == "focal" and weighted:
        return
    model = network()
    targets, said = targets_of(model), model(*batch())
    config = LossConfig(regression=regression, regression_by_overlap=weighted)
    losses = LocalizationLoss(config).eval()(said, targets)
    positive = targets.learnt & said.mask
    ours, theirs = said.offsets[positive], targets.offsets[positive]
    if regression == "focal":
        each = focal_iou_loss(ours, theirs)
    else:
        each = {"diou": diou_loss, "eiou": eiou_loss}.get(regression, iou_loss)(ours, theirs)
    each = iou_weighted(each, ours, theirs) if weighted else each
    torch.testing.assert_close(losses["regression_loss"], each.sum() / 100)
    losses["loss"].backward()
    scale = model.reg_head.scale[0].scale.grad
    assert scale is not None and scale.isfinite() and scale != 0


def test_quality_focal_loss_wants_the_iou_as_score_and_moves_no_ends() -> None:
    model = network()
    targets, said = targets_of(model), model(*batch())
    config = LossConfig(classification="quality_focal")
    losses = LocalizationLoss(config).eval()(said, targets)
    iou = segment_iou(said.offsets, targets.offsets) * targets.learnt
    each = quality_focal_loss(said.logits, targets.classes, iou.detach())
    torch.testing.assert_close(losses["class_loss"], each[said.mask].sum() / 100)
    losses["class_loss"].backward()
    scale = model.reg_head.scale[0].scale.grad
    assert scale is None or not scale.any()


def test_how_well_positive_points_fit_is_told_without_gradients() -> None:
    model = network().eval()
    targets, said = targets_of(model), model(*batch())
    criterion = LocalizationLoss(LossConfig())
    losses = criterion(said, targets)
    iou = segment_iou(said.offsets, targets.offsets)[targets.learnt & said.mask]
    for name, value in iou_statistics(iou).items():
        torch.testing.assert_close(losses[name], value.detach())
        assert not losses[name].requires_grad
    nothing = LocalizationLoss(LossConfig())(said, targets_of(model, events=False))
    assert [nothing[f"{name}_iou"].item() for name in ("mean", "min", "max")] == [0, 0, 0]
    # Half of the step, of which somebody else counted the positive points.
    criterion.advance(4 * len(iou))
    half = criterion(said, targets, 0.5, counted=True)
    assert half["mean_iou"].item() == pytest.approx(losses["mean_iou"].item() / 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classification": "quality_focal", "label_smoothing": 0.1}, "soft already"),
        ({"regression": "focal", "regression_by_overlap": True}, "does that already"),
        ({"regression": "eiou", "regression_gamma": 1.0}, "belongs to regression=focal"),
        ({"regression": "ciou"}, "'diou', 'giou', 'iou', 'eiou' or 'focal'"),
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossConfig.model_validate(wrong)
