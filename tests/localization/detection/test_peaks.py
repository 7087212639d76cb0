"""Peaks of heat maps: where they are, between cells, and which of near ones stay."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.events.nms_videos import Detections
from actionspace.localization.detection.peaks import apart, peaks
from actionspace.localization.network.model import Predictions
from actionspace.localization.options import SuppressionConfig


def said(*levels: list[list[float]], rows: int | None = None) -> Predictions:
    """Logits ``[T][K]`` of each level of one video."""
    parts = [torch.tensor(level) for level in levels]
    points, masks = [], []
    for i, part in enumerate(parts):
        time = torch.arange(len(part), dtype=torch.float32) * 2**i
        points.append(torch.stack([time, 0 * time, 0 * time, 0 * time + 2**i], dim=1))
        masks.append(time < (rows or len(parts[0])))
    logits = torch.cat(parts)[None]
    sizes = tuple(len(part) for part in parts)
    offsets = torch.zeros(1, logits.shape[1], 2)
    return Predictions(torch.cat(points), torch.cat(masks)[None], logits, offsets, sizes)


def gaussian(centre: float, rows: int = 12, top: float = 0.9, width: float = 1.3) -> list[float]:
    scores = [top * math.exp(-((t - centre) ** 2) / (2 * width**2)) for t in range(rows)]
    return [math.log(p / (1 - p)) for p in scores]


@given(st.floats(2, 9))
@settings(deadline=None, max_examples=30)
def test_the_top_of_a_gaussian_is_found_between_cells(centre: float) -> None:
    [found] = peaks(said([[x] for x in gaussian(centre)]), min_score=0.3)
    assert len(found) == 1
    assert float(found.segments[0, 0]) == pytest.approx(centre, abs=1e-3)
    assert found.segments[0, 0] == found.segments[0, 1]
    [raw] = peaks(said([[x] for x in gaussian(centre)]), min_score=0.3, refine=False)
    assert float(raw.segments[0, 0]) in (math.floor(centre), math.ceil(centre))


def test_classes_ends_and_padding() -> None:
    table = [[3.0, -9.0], [1.0, -9.0], [-9.0, 2.0], [-9.0, 4.0], [9.0, 9.0]]
    [found] = peaks(said(table, rows=4), refine=True)
    rows = zip(found.segments[:, 0].tolist(), found.labels.tolist(), strict=True)
    assert sorted(rows, key=lambda r: r[1]) == [(0.0, 0), (3.0, 1)]  # at an end it is not moved


def test_neighbours_that_are_equal_are_one_peak_and_saturated_scores_as_well() -> None:
    [found] = peaks(said([[0.0], [2.0], [2.0], [0.0], [40.0], [41.0], [40.0]]), refine=False)
    assert sorted(found.segments[:, 0].tolist()) == [1.0, 5.0]


def test_the_least_score_and_how_many() -> None:
    logits = [[-9.0], [1.0], [-9.0], [3.0], [-9.0], [2.0], [-9.0]]
    [found] = peaks(said(logits), min_score=0.5, most=2)
    assert found.segments[:, 0].tolist() == [3.0, 5.0]
    [none] = peaks(said(logits), min_score=0.99)
    assert len(none) == 0


def test_coarse_levels_are_looked_at_when_asked() -> None:
    fine, coarse = [[-9.0]] * 8, [[-9.0], [-9.0], [2.0], [-9.0]]
    assert len(peaks(said(fine, coarse), min_score=0.5)[0]) == 0
    [found] = peaks(said(fine, coarse), min_score=0.5, levels="all")
    assert found.segments.tolist() == [[4.0, 4.0]]


def candidates() -> Detections:
    times = torch.tensor([0.0, 1.0, 2.5, 1.0])
    return Detections(
        torch.stack([times, times], 1),
        torch.tensor([0.5, 0.9, 0.6, 0.7]),
        torch.tensor([0, 0, 0, 1]),
    )


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"peaks": {"radius": 0.5}}, [0.9, 0.7, 0.6]),  # a row is half a second
        ({"peaks": {"radius": 1.0}}, [0.9, 0.7]),
        ({}, [0.9, 0.7]),  # two rows
        ({"multiclass": False, "peaks": {"radius": 0.0}}, [0.9, 0.6, 0.5]),
        ({"method": "none"}, [0.9, 0.7, 0.6, 0.5]),
        ({"min_score": 0.65}, [0.9, 0.7]),
    ],
)
def test_the_best_within_a_radius_stays(options: dict[str, object], kept: list[float]) -> None:
    how = SuppressionConfig.model_validate(options)
    found = apart(candidates(), how, step=0.5, most=9)
    assert found.scores.tolist() == pytest.approx(kept)
    assert apart(candidates(), how, step=0.5, most=1).scores.tolist() == pytest.approx([0.9])
