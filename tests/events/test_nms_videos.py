"""Detections of whole videos: suppression in batches, voting, seconds, classes of the video."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings

from actionspace.errors import DataError, UsageError
from actionspace.events import nms_videos
from actionspace.events.fusion import fuse_video_scores
from actionspace.events.nms_videos import Detections, NmsOptions, cut_to_video, suppress
from actionspace.events.voting import vote
from tests.events.test_nms import by_loops, hard_by_loops

F = np.float32


def video(n: int, seed: int, classes: int = 3) -> Detections:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 40, n)
    spans = np.stack([start, start + rng.uniform(1, 9, n)], axis=1).astype(F)
    return Detections(
        spans, rng.permutation(np.linspace(0.01, 1, n)).astype(F), rng.integers(0, classes, n)
    )


def one_by_one(found: Detections, options: NmsOptions) -> list[tuple[int, float]]:
    """Class after class, then the best of all: numbers and scores."""
    lanes = np.unique(found.labels) if options.multiclass else [None]
    kept: list[tuple[int, float]] = []
    for lane in lanes:
        mine = np.arange(len(found)) if lane is None else np.flatnonzero(found.labels == lane)
        spans, scores = found.segments[mine], found.scores[mine]
        if options.method == "hard":
            numbers = hard_by_loops(spans, scores, options.iou_threshold, options.min_score)
            lowered = [scores[i] for i in numbers]
        else:
            decay = {"soft": "gaussian"}.get(options.method, options.method)
            numbers, lowered = by_loops(
                spans, scores, decay, options.sigma, options.iou_threshold, options.min_score
            )
        best = list(zip(numbers, lowered, strict=True))[: options.max_segments]
        kept += [(int(mine[i]), float(s)) for i, s in best]
    return sorted(kept, key=lambda pair: -pair[1])[: options.max_segments]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=5),
    st.integers(0, 999),
    st.sampled_from(["soft", "linear", "vanilla", "hard"]),
    st.booleans(),
    st.sampled_from([3, 1000]),
    st.booleans(),
)
def test_a_batch_is_equal_to_class_after_class(
    sizes: list[int], seed: int, method: Any, multiclass: bool, most: int, as_tensors: bool
) -> None:
    videos = [video(n, seed + i) for i, n in enumerate(sizes)]
    options = NmsOptions(method, 0.3, 0.05, most, 0.5, multiclass, voting_threshold=0)
    given = videos
    if as_tensors:
        given = [
            Detections(*(torch.from_numpy(a) for a in (v.segments, v.scores, v.labels)))
            for v in videos
        ]
    found = suppress(given, options)
    assert len(found) == len(videos)
    for ours, theirs in zip(found, videos, strict=True):
        assert isinstance(ours.scores, torch.Tensor) == as_tensors
        expected = one_by_one(theirs, options)
        numbers = [i for i, _ in expected]
        np.testing.assert_allclose(np.asarray(ours.scores), [s for _, s in expected], rtol=2e-6)
        np.testing.assert_array_equal(np.asarray(ours.labels), theirs.labels[numbers])
        np.testing.assert_array_equal(np.asarray(ours.segments), theirs.segments[numbers])


def test_large_batches_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    videos = [video(n, n) for n in (30, 0, 25, 40, 1)]
    options = NmsOptions(min_score=0.05)
    whole = suppress(videos, options)
    monkeypatch.setattr(nms_videos, "_CELLS", 20)
    for a, b in zip(whole, suppress(videos, options), strict=True):
        np.testing.assert_array_equal(a.segments, b.segments)
        np.testing.assert_array_equal(a.scores, b.scores)


def test_without_suppression_nothing_changes() -> None:
    videos = [video(5, 0)]
    assert suppress(videos, NmsOptions("none", max_segments=1)) == videos
    assert suppress([], NmsOptions()) == []


def test_candidates_that_make_no_sense() -> None:
    fine = video(4, 0)
    nan = Detections(fine.segments, np.array([1, np.nan, 1, 1], F), fine.labels)
    with pytest.raises(DataError, match=r"Video 1 of the batch: candidate 1 scores nan"):
        suppress([fine, nan], NmsOptions())
    turned = Detections(fine.segments[:, ::-1], fine.scores, fine.labels)
    with pytest.raises(DataError, match=r"Video 0 of the batch: candidate 0 goes from"):
        suppress([turned], NmsOptions())
    with pytest.raises(UsageError, match="Did you mean 'soft'"):
        NmsOptions("sofd")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one"):
        NmsOptions(max_segments=0)


def test_voting_by_hand() -> None:
    picked = np.array([[0, 10], [50, 60], [5, 5]], F)
    segments = np.array([[0, 10], [2, 10], [9, 30], [5, 5]], F)
    scores = np.array([0.5, 1.0, 1.0, 1.0], F)
    w = 0.5 * 1, 1.0 * 0.8
    mean = [w[1] * 2 / sum(w), 10]
    np.testing.assert_allclose(vote(picked, segments, scores, 0.5), [mean, *picked[1:]], rtol=1e-6)
    flat = vote(picked, segments, scores, 0.5, by_overlap=False)
    np.testing.assert_allclose(flat[0], [2 / 1.5, 10], rtol=1e-6)
    tensor = vote(*(torch.from_numpy(a) for a in (picked, segments, scores)), 0.5)
    np.testing.assert_allclose(tensor.numpy(), [mean, *picked[1:]], rtol=1e-6)


def test_voting_comes_after_class_agnostic_suppression_only() -> None:
    found = video(30, 3)
    for multiclass in (True, False):
        plain = suppress([found], NmsOptions(multiclass=multiclass, voting_threshold=0))[0]
        voted = suppress([found], NmsOptions(multiclass=multiclass, voting_threshold=0.3))[0]
        np.testing.assert_array_equal(plain.scores, voted.scores)
        assert np.array_equal(plain.segments, voted.segments) == multiclass


@pytest.mark.parametrize("duration", [2.0, None, math.nan])
def test_seconds_are_cut_to_the_video(duration: float | None) -> None:
    spans = np.array([[-9, 0.5], [0.25, 99], [7, 8]], F)
    found = Detections(spans, np.ones(3, F), np.arange(3))
    end = 2.0 if duration == 2 else 99
    expected = [[0, 0.5], [0.25, end], [min(7, end), min(8, end)]]
    assert cut_to_video(found, duration).segments.tolist() == expected
    tensor = Detections(torch.from_numpy(spans), torch.ones(3), torch.arange(3))
    assert cut_to_video(tensor, duration).segments.tolist() == expected


def proposals() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "video": ["b", "a", "a", "a"],
            "start": [0.0, 1, 2, 3],
            "end": [9.0, 8, 7, 6],
            "label": "proposal",
            "score": [0.25, 0.1, 0.81, 0.49],
        }
    )


def test_classes_of_the_video() -> None:
    scores = {"a": [0.0, 1.0, 0.25], "b": [0.01, 0.0, 0.0], "c": [1, 1, 1]}
    fused = fuse_video_scores(proposals(), scores, ["x", "y", "z"], segments=2)
    assert fused["video"].tolist() == ["a"] * 4 + ["b"] * 2
    assert fused["label"].tolist() == ["y", "y", "z", "z", "x", "y"]
    assert fused["start"].tolist() == [2, 3, 2, 3, 0, 0]
    assert fused["score"].tolist() == pytest.approx([0.9, 0.7, 0.45, 0.35, 0.05, 0])
    numbers = fuse_video_scores(proposals(), scores, segments=1, best=1)
    assert numbers["label"].tolist() == [1, 0]
    assert list(fuse_video_scores(proposals()[:0], scores).columns) == list(fused.columns)


def test_classes_of_the_video_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="no class scores for the video 'b'"):
        fuse_video_scores(proposals(), {"a": [1.0]})
    for wrong in ([1.0], [1.0, np.nan], [[1.0, 0.0]]):
        with pytest.raises(DataError, match="class scores of 'a' should be 2 numbers"):
            fuse_video_scores(proposals(), {"a": wrong, "b": [1.0, 1.0]}, ["x", "y"])  # type: ignore[list-item]
    with pytest.raises(UsageError):
        fuse_video_scores(proposals(), {}, best=0)
