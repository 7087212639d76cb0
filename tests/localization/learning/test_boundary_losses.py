"""The distribution focal loss, alone and as a part of a network's losses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.localization.learning.config import LossConfig
from tests.localization import networks


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 20), st.integers(2, 12))
def test_it_is_least_where_the_mean_is_the_target(target: float, last: int) -> None:
    import torch

    from actionspace.localization.learning.boundary_losses import distribution_focal_loss

    logits = torch.zeros(last + 1, requires_grad=True)
    loss = distribution_focal_loss(logits, torch.tensor(target))
    loss.backward()
    wanted = min(max(target, 0.0), last - 0.01)
    # The gradient of a cross entropy is the softmax minus the target's shares.
    shares = torch.full((last + 1,), 1 / (last + 1)) - logits.grad
    assert float(shares @ torch.arange(last + 1.0)) == pytest.approx(wanted, abs=1e-4)
    assert int((shares > 1e-6).sum()) <= 2


def _losses(weight: float, widths: tuple[float, ...] = ()) -> tuple[Any, Any, Any]:
    import torch

    from actionspace.localization.learning.assign import collect
    from actionspace.localization.learning.create import create_loss
    from actionspace.localization.network.points import pyramid_points

    bins = {"compat": True, "widths": widths}
    model = networks.network(head="boundaries", boundaries=bins).eval()
    objective = create_loss(model.config, LossConfig(boundary_weight=weight, initial_norm=7))
    truth = collect([torch.tensor([[10.0, 31.0], [40.0, 45.0]])], [torch.tensor([1, 2])])
    features, mask = networks.pad([torch.randn(networks.DIM, 60).sin()], 96)
    points = pyramid_points(model.config, 96, torch.device("cpu"))
    targets = objective.targets(points, truth, networks.CLASSES)
    said = model(features, mask)
    return objective.eval()(said, targets), said, targets


def test_both_ends_of_positive_points_are_added_with_a_weight() -> None:
    import torch

    from actionspace.localization.learning.boundary_losses import distribution_focal_loss

    widths = (0.5, 1.0, 2.0, 3.0)
    losses, said, targets = _losses(0.25, widths)
    losses = {name: value.detach() for name, value in losses.items()}
    bins, total = said.bins.detach(), 0.0
    stretch = torch.cat([torch.full((n,), w) for n, w in zip(said.sizes, widths, strict=True)])
    for point in torch.nonzero(targets.learnt[0] & said.mask[0]).flatten().tolist():
        for end in (0, 1):
            target = targets.offsets[0, point, end] / stretch[point]
            total += float(distribution_focal_loss(bins[0, point, end], target))
    assert total > 0
    assert float(losses["boundary_loss"]) == pytest.approx(total / 7, rel=1e-5)
    plain = losses["class_loss"] + losses["regression_loss"]
    assert float(losses["loss"]) == pytest.approx(float(plain + 0.25 * losses["boundary_loss"]))


def test_points_without_an_event_learn_no_boundary() -> None:
    import torch

    losses, said, targets = _losses(1.0)
    (gradient,) = torch.autograd.grad(losses["boundary_loss"], said.bins)
    assert (gradient[~(targets.learnt & said.mask)] == 0).all()
    assert (gradient[targets.learnt & said.mask] != 0).any(-1).all()
