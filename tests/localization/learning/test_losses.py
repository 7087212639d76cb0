"""Losses, their normaliser and weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.localization.learning.assign import Targets, assign, collect
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.losses import LocalizationLoss, diou_loss, focal_loss
from tests.localization.networks import CLASSES, DIM, network, pad


def test_focal_loss_by_hand() -> None:
    """A positive at score .5 costs .25 * .5^2 * ln 2, a negative three times as much."""
    loss = focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert loss.tolist() == pytest.approx([0.25 * 0.25 * 0.693147, 0.75 * 0.25 * 0.693147])


DISTANCE = st.floats(0, 50)


@settings(max_examples=30)
@given(a=st.tuples(DISTANCE, DISTANCE), b=st.tuples(DISTANCE, st.floats(0.1, 50)))
def test_diou(a: tuple[float, float], b: tuple[float, float]) -> None:
    one, other = torch.tensor(a), torch.tensor(b)
    loss = diou_loss(one, other)
    assert -1e-6 <= loss <= 2
    torch.testing.assert_close(diou_loss(other, one), loss)
    torch.testing.assert_close(diou_loss(one.flip(0), other.flip(0)), loss)
    assert diou_loss(other, other) == pytest.approx(0, abs=1e-6)


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
