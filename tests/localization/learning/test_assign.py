"""Targets of a batch against one video, one point, one event at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.localization.learning.assign import assign, collect
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.points import pyramid_points
from tests.localization.networks import tiny

POINTS = pyramid_points(tiny(), 64, torch.device("cpu"))
CLASSES = 3
# Quarters of a row are exact in float32, and often lie on points and on ends of ranges.
TIMES = st.integers(-20, 280).map(lambda n: n / 4)
EVENT = st.tuples(TIMES, st.integers(0, 160).map(lambda n: n / 4), st.integers(0, CLASSES - 1))


def naive(
    events: list[tuple[float, float, int]], config: LossConfig
) -> tuple[np.ndarray, np.ndarray]:
    classes, offsets = np.zeros((len(POINTS), CLASSES)), np.zeros((len(POINTS), 2))
    for i, (time, low, high, stride) in enumerate(POINTS.tolist()):
        fits = []
        for begin, length, label in events:
            end = begin + length
            first, last = begin, end
            if config.center_sampling == "radius":
                reach, centre = config.center_radius * stride, (begin + end) / 2
                first, last = max(begin, centre - reach), min(end, centre + reach)
            farther = max(time - begin, end - time)
            if min(time - first, last - time) > 0 and low <= farther <= high:
                fits.append((length, begin, end, label))
        if fits:
            least, begin, end, _ = min(fits, key=lambda fit: fit[0])
            offsets[i] = (time - begin) / stride, (end - time) / stride
            for length, _, _, label in fits:
                classes[i, label] = max(classes[i, label], length <= least + 1e-3)
    return classes, offsets


@settings(max_examples=60)
@given(
    videos=st.lists(st.lists(EVENT, max_size=6), min_size=1, max_size=3),
    sampling=st.sampled_from(["radius", "none"]),
    radius=st.sampled_from([0.5, 1.5, 3.0]),
)
def test_as_one_by_one(
    videos: list[list[tuple[float, float, int]]], sampling: str, radius: float
) -> None:
    config = LossConfig.model_validate({"center_sampling": sampling, "center_radius": radius})
    spans = [torch.tensor([[b, b + n] for b, n, _ in v]).reshape(-1, 2) for v in videos]
    labels = [torch.tensor([k for _, _, k in v], dtype=torch.int64) for v in videos]
    targets = assign(POINTS, collect(spans, labels), CLASSES, config)
    for i, events in enumerate(videos):
        classes, offsets = naive(events, config)
        assert np.array_equal(targets.classes[i].numpy(), classes)
        learnt = classes.any(-1)
        assert np.array_equal(targets.learnt[i].numpy(), learnt)
        np.testing.assert_allclose(targets.offsets[i].numpy()[learnt], offsets[learnt], rtol=1e-6)


def test_two_classes_of_one_dive() -> None:
    """THUMOS has each cliff dive twice, as CliffDiving and as Diving: its points learn both."""
    spans = torch.tensor([[10.0, 16.0], [10.0, 16.0005], [9.0, 17.0]])
    targets = assign(POINTS, collect([spans], [torch.tensor([0, 1, 2])]), 3, LossConfig())
    assert targets.classes[0][13].tolist() == [1, 1, 0]  # row 13 of level 0


def test_no_events() -> None:
    empty = collect([torch.zeros(0, 2)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2)
    targets = assign(POINTS, empty, 2, LossConfig())
    assert not targets.learnt.any() and targets.offsets.isfinite().all()


def test_a_table_of_events() -> None:
    table = collect(
        [torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.zeros(0, 2)],
        [torch.tensor([4, 1]), torch.zeros(0, dtype=torch.int64)],
    )
    assert table.real.tolist() == [[True, True], [False, False]]
    assert table.segments[0].tolist() == [[1, 2], [3, 5]] and table.labels[0].tolist() == [4, 1]


@pytest.mark.parametrize("end", ["begin", "end"])
def test_ends_of_ranges_count(end: str) -> None:
    """Levels 0 and 1 both learn a segment whose farther end is 4 rows away."""
    span = torch.tensor([[8.0, 15.0]]) if end == "begin" else torch.tensor([[9.0, 16.0]])
    points = torch.tensor([[12.0, 0.0, 4.0, 1.0], [12.0, 4.0, 8.0, 2.0]])
    targets = assign(points, collect([span], [torch.tensor([0])]), 1, LossConfig())
    assert targets.learnt.tolist() == [[True, True]]
