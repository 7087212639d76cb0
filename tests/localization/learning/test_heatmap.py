"""Heat of moments and its loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.localization.learning.assign import collect, counted
from actionspace.localization.learning.heatmap import HeatmapLoss, count_moments, heat, heat_loss
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.points import pyramid_points
from actionspace.localization.network.points_config import PointsConfig
from tests.localization.networks import tiny

CPU = torch.device("cpu")
ROWS = 96


def config(**points: Any) -> ModelConfig:
    return tiny(head="points", points=points)


def truth(*events: tuple[float, float, int]) -> Any:
    spans = torch.tensor([event[:2] for event in events]).reshape(-1, 2)
    return collect([spans], [torch.tensor([event[2] for event in events], dtype=torch.int64)])


def levels(found: torch.Tensor, model: ModelConfig) -> list[torch.Tensor]:
    return list(torch.split(found[0], [ROWS // s for s in model.strides]))


def test_each_class_has_its_own_heat() -> None:
    model = config()
    points = pyramid_points(model, ROWS, CPU)
    made = heat(points, truth((10, 10, 0), (14.4, 14.4, 2)), 3, model.points).heat
    fine = levels(made, model)[0]
    assert fine[10, 0] == 1 and fine[14, 2] == 1 and fine[:, 1].sum() == 0
    assert fine[11, 0] == pytest.approx(float(torch.tensor(-0.5).exp()))
    assert fine[13, 2] == pytest.approx(float(torch.tensor(-(1.4**2) / 2).exp()))
    assert fine[20, 0] == 0
    assert [int((part == 1).sum()) for part in levels(made, model)] == [2, 2, 2, 2]


def test_where_two_are_near_the_hotter_counts() -> None:
    model = config()
    points = pyramid_points(model, ROWS, CPU)
    both = heat(points, truth((10, 10, 0), (12, 12, 0)), 1, model.points).heat
    alone = [heat(points, truth((t, t, 0)), 1, model.points).heat for t in (10.0, 12.0)]
    torch.testing.assert_close(both, torch.maximum(*alone))


def test_which_moment_of_an_event_and_how_wide() -> None:
    points = pyramid_points(config(), ROWS, CPU)
    event = truth((20, 44, 0))
    at = {}
    for name in ("start", "center", "end"):
        made = heat(points, event, 1, PointsConfig(at=name)).heat[0, :ROWS, 0]
        at[name] = int(made.argmax()), int((made > 0).sum())
    assert at == {"start": (20, 7), "center": (32, 25), "end": (44, 7)}
    wide = heat(points, truth((20, 20, 0)), 1, PointsConfig(sigma=3)).heat[0, :ROWS, 0]
    assert int((wide > 0).sum()) == 19


def test_the_loss_is_small_where_heat_is_and_zero_when_all_is_right() -> None:
    wanted = torch.tensor([0.0, 0.6, 1.0, 0.6, 0.0])
    right = heat_loss(torch.tensor([-30.0, -30.0, 30.0, -30.0, -30.0]), wanted)
    assert right.sum() < 1e-6
    wrong = heat_loss(torch.full((5,), 2.0), wanted)
    assert wrong[1] < wrong[0] and wrong[1] == wrong[3]
    assert torch.isfinite(heat_loss(torch.tensor([-200.0, 200.0]), torch.tensor([1.0, 0.0]))).all()


def predictions(model: ModelConfig, logits: torch.Tensor, valid: int = ROWS) -> Predictions:
    points = pyramid_points(model, ROWS, CPU)
    mask = (points[:, 0] < valid).expand(len(logits), -1)
    sizes = tuple(ROWS // s for s in model.strides)
    return Predictions(points, mask, logits, logits.new_zeros(*logits.shape[:2], 2), sizes)


def test_a_step_cut_up_has_the_same_loss_as_a_whole_one() -> None:
    model = config()
    torch.manual_seed(0)
    points = pyramid_points(model, ROWS, CPU)
    logits = torch.randn(3, len(points), 2)
    spans = [
        torch.tensor([[5.0, 5], [30, 30], [60, 60]]),
        torch.zeros(0, 2),
        torch.tensor([[7.0, 9]]),
    ]
    labels = [torch.tensor([0, 1, 1]), torch.zeros(0, dtype=torch.int64), torch.tensor([1])]
    loss = HeatmapLoss(model)

    def of(which: list[int], moments: tuple[int, ...] | None) -> torch.Tensor:
        table = collect([spans[i] for i in which], [labels[i] for i in which])
        targets = loss.targets(points, table, 2)
        said = predictions(model, logits[which])
        if moments is None:
            return loss(said, targets)["loss"]
        loss.advance(*moments)
        return loss(said, targets, len(which) / 3, counted=True)["loss"] * len(which) / 3

    counts = [
        count_moments(points, collect([s], [n]), 2, model.points)
        for s, n in zip(spans, labels, strict=True)
    ]
    assert counts == [(3,) * 4, (0,) * 4, (1,) * 4]
    moments = tuple(map(sum, zip(*counts, strict=True)))
    parts = of([0, 1], moments) + of([2], moments)
    torch.testing.assert_close(of([0, 1, 2], None), parts)


def test_without_any_moment_it_is_not_divided() -> None:
    model = config()
    logits = torch.zeros(1, len(pyramid_points(model, ROWS, CPU)), 1)
    loss = HeatmapLoss(model)
    said = predictions(model, logits, valid=40)
    found = loss(said, loss.targets(said.points, truth(), 1))
    each = float(heat_loss(torch.zeros(1), torch.zeros(1)))
    assert float(found["finest_loss"]) == pytest.approx(40 * each)
    assert float(found["loss"]) == pytest.approx(int(said.mask.sum()) * each)


def test_the_finest_level_can_learn_alone() -> None:
    model = tiny(head="points", points={"levels": "finest"}, neck="fpn")
    points = pyramid_points(model, ROWS, CPU)
    logits = torch.randn(1, len(points), 1, requires_grad=True)
    loss = HeatmapLoss(model)
    said = predictions(model, logits)
    found = loss(said, loss.targets(points, truth((9, 9, 0)), 1))
    assert found["loss"] == found["finest_loss"]
    found["loss"].backward()
    assert logits.grad is not None
    assert logits.grad[0, :ROWS].abs().sum() > 0 and logits.grad[0, ROWS:].abs().sum() == 0


def test_time_to_ignore_does_not_count_but_moments_in_it_do() -> None:
    model = config()
    points = pyramid_points(model, ROWS, CPU)
    loss = HeatmapLoss(model)
    targets = loss.targets(points, truth((50, 50, 0)), 1)
    mask = counted(points, targets, torch.tensor([[[40.0, 60.0]]]))
    logits = torch.randn(1, len(points), 1, requires_grad=True)
    said = predictions(model, logits)
    loss(said._replace(mask=said.mask & mask), targets)["loss"].backward()
    assert logits.grad is not None
    changed = logits.grad[0, :ROWS, 0] != 0
    assert changed[50] and not changed[40:50].any() and not changed[51:60].any()
    assert changed[:40].all() and changed[60:].all()
