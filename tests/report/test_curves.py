"""Learning curves: read from metrics.csv of a loop, not of a solver; drawn in range."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.report.curves import Chart, Series, curves, thin
from actionspace.report.curves_svg import learning_curves, ticks
from actionspace.training.records import Records
from actionspace.training.run import Run


def trained(folder: Path, parts: int = 1, epochs: int = 3) -> Run:
    """A run folder with the records of a short training."""
    run = Run.start(folder)
    run.write_config({"name": "head"})
    records = Records(run, tensorboard=False, wandb=None, main=True)
    for step in range(1, 2 * epochs + 1):
        losses = {"loss": 2.0 / step} | {f"part_{i}": 1.0 / step for i in range(parts)}
        records.train(step, step / 2, losses, {"lr": 1e-3}, smooth=losses)
        if step % 2 == 0:
            metrics = {"top1_accuracy": step / 10, "cohen_kappa": 0.1, "loss": 3.0, "map": 0.5}
            records.evaluation(step, step // 2, metrics)
    return run


def test_curves_of_a_loop(tmp_path):
    loss, validation = curves(trained(tmp_path / "run").path / "metrics.csv")
    assert [s.name for s in loss.series] == ["training", "validation", "part_0"]
    assert loss.series[0].points == tuple((s / 2, 2.0 / s) for s in range(1, 7))
    assert loss.series[1].points == ((1.0, 3.0), (2.0, 3.0), (3.0, 3.0))
    assert [s.colour for s in loss.series] == [0, 1, 2]
    # Kappa is no share, so it does not lie on the same scale.
    assert [s.name for s in validation.series] == ["Top-1 accuracy", "Mean average precision"]
    assert validation.unit == "%"
    assert [x for x, _ in validation.series[0].points] == [1, 2, 3]
    assert [y for _, y in validation.series[0].points] == pytest.approx([20, 40, 60])


def test_many_loss_parts_are_left_out(tmp_path):
    loss, _ = curves(trained(tmp_path / "run", parts=3).path / "metrics.csv")
    assert [s.name for s in loss.series] == ["training", "validation"]


def test_tables_without_curves(tmp_path):
    path = tmp_path / "metrics.csv"
    assert curves(path) == ()
    path.write_text("strength,fold,loss\n1.0,0,0.5\n")  # what a solver leaves
    assert curves(path) == ()
    path.write_text("step,epoch,train/loss\n20,0.5,0.7\n40,nonsense,0.6\n60,1.5,\n")
    (chart,) = curves(path)  # no validation
    assert chart.series[0].points == ((0.5, 0.7),)
    path.write_text("step,epoch,train/loss\n")
    assert curves(path) == ()
    for damage in (b"", b'a,b\n"', b"\xff\xfe\x00,"):
        path.write_bytes(damage)
        with pytest.raises(DataError, match=r"metrics\.csv cannot be read as a table"):
            curves(path)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_span_the_values_in_even_round_steps(low, span, most):
    found = ticks(low, low + span, most)
    tolerance = 1e-6 * max(abs(low), span)
    assert found[0] <= low + tolerance and found[-1] >= low + span - tolerance
    assert 2 <= len(found) <= most + 3
    steps = [b - a for a, b in pairwise(found)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


def test_ticks():
    assert ticks(0, 0.87) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 3, 8, whole=True) == [0, 1, 2, 3]
    assert ticks(0.5, 0.5)[0] <= 0.5 <= ticks(0.5, 0.5)[-1]
    assert ticks(0, 0)[-1] > 0


def test_thin_keeps_the_mean():
    points = [(float(i), math.sin(i)) for i in range(10_007)]
    found = thin(points, 400)
    assert len(found) == 400 and found[0][0] < found[-1][0]
    assert sum(y for _, y in found) / 400 == pytest.approx(
        sum(y for _, y in points) / len(points), abs=1e-2
    )
    assert thin(points[:5]) == tuple(points[:5])


def test_drawing():
    series = Series("<acc>", ((1.0, 20.0), (2.0, 60.0)), 1)
    root = ElementTree.fromstring(learning_curves(Chart("V", (series,), "%"), best=2))
    assert root.get("aria-label") == "V over epochs: <acc> from 20.0 % to 60.0 %."
    marks = list(root.iter("circle"))
    assert [m.find("title").text for m in marks][1] == "<acc>, epoch 2: 60.0 %"
    assert [m.get("cx") for m in marks] == ["55%", "100%"]
    assert [float(m.get("cy")) for m in marks] == pytest.approx([18 + 190 * 2 / 3, 18], abs=0.1)
    path = next(root.iter("path"))
    assert path.get("d") == "M500.0 666.7L1000.0 0.0" and path.get("class") == "line k1"
    texts = [t.text for t in root.iter("text")]
    assert "best: epoch 2" in texts and "60\u00a0%" in texts and "epoch" in texts


@pytest.mark.parametrize("points", [((0.0, 0.0),), ((1.0, -3.0),), ((0.3, 5.0), (0.31, 5.0))])
def test_drawing_of_almost_nothing(points):
    svg = learning_curves(Chart("Loss", (Series("training", points, 0),)))
    assert "nan" not in svg and "inf" not in svg
    for circle in ElementTree.fromstring(svg).iter("circle"):
        assert 0 <= float(circle.get("cy")) <= 210


def test_how_well_segments_fit_is_no_loss(tmp_path):
    """They leave the room that the parts of the loss have."""
    path = tmp_path / "metrics.csv"
    path.write_text(
        "step,epoch,train/loss,train/class_loss,train/regression_loss,train/mean_iou,train/max_iou\n"
        "1,0.5,2,1,1,0.3,0.6\n2,1,1,0.5,0.5,0.4,0.7\n"
    )
    (loss,) = curves(path)
    assert [s.name for s in loss.series] == ["training", "class_loss", "regression_loss"]
