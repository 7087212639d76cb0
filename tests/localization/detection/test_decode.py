"""Candidates against a loop over points and classes."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.localization.detection.decode import decode
from actionspace.localization.network.model import Predictions
from actionspace.localization.network.points import pyramid_points
from tests.localization.networks import tiny

POINTS = pyramid_points(tiny(), 32, torch.device("cpu"))
SIZES = (32, 16, 8, 4)


def outputs(seed: int, classes: int) -> Predictions:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.arange(32) < torch.tensor([[32], [13]])
    masks = torch.cat([mask[:, ::stride] for stride in (1, 2, 4, 8)], 1)
    # Few different logits, so that many scores are equal.
    logits = torch.randint(-9, 3, (2, 60, classes), generator=draw).float()
    offsets = torch.rand(2, 60, 2, generator=draw).mul(4).sub(1).relu()
    return Predictions(POINTS, masks, logits, offsets, SIZES)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 99), classes=st.integers(1, 4), shortest=st.sampled_from([0.0, 0.05, 3.0])
)
def test_as_one_by_one(seed: int, classes: int, shortest: float) -> None:
    said = outputs(seed, classes)
    found = decode(said, min_score=0.01, most=1000, min_length=shortest)
    for video, candidates in enumerate(found):
        expected = []
        start = 0
        for size in SIZES:
            level = []
            for i in range(start, start + size):
                time, _, _, stride = POINTS[i].tolist()
                left, right = said.offsets[video, i].tolist()
                for label in range(classes):
                    score = said.logits[video, i, label].sigmoid().item()
                    begin, end = time - left * stride, time + right * stride
                    if said.mask[video, i] and score > 0.01 and (left + right) * stride > shortest:
                        level.append((begin, end, score, label))
            expected += sorted(level, key=lambda row: -row[2])  # stable
            start += size
        assert candidates.labels.tolist() == [row[3] for row in expected]
        rows = torch.tensor(expected).reshape(-1, 4)
        torch.testing.assert_close(candidates.segments, rows[:, :2], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(candidates.scores, rows[:, 2])


def test_the_best_of_each_level() -> None:
    said = outputs(0, 3)
    some, more = decode(said, most=5)[0], decode(said, most=1000)[0]
    assert len(some.labels) <= 5 * len(SIZES) < len(more.labels)
    assert torch.equal(some.scores[:5], more.scores[:5])


def test_nothing_above_the_threshold() -> None:
    for candidates in decode(outputs(0, 2), min_score=0.999):
        assert candidates.segments.shape == (0, 2) and len(candidates.labels) == 0
