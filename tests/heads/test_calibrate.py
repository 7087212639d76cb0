"""Temperature, the threshold of "nothing", and thresholds per class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.heads.calibrate import f1_thresholds, fit_temperature, rejection_threshold
from actionspace.heads.linear import to_probabilities
from actionspace.metrics.classification import expected_calibration_error


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("multi_label", [False, True])
def test_temperature_undoes_a_scaling(factor: float, multi_label: bool) -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(6000, 4))
    p = to_probabilities(logits, multi_label)
    if multi_label:
        labels = (rng.random(p.shape) < p).astype(int)
    else:
        labels = (p.cumsum(axis=1) > rng.random((6000, 1))).argmax(axis=1)
    found = fit_temperature(logits * factor, labels, multi_label=multi_label)
    assert found == pytest.approx(factor, rel=0.06)
    if not multi_label and factor == 3.0:
        raw = expected_calibration_error(to_probabilities(logits * factor), labels)
        cool = to_probabilities(logits * factor, temperature=found)
        assert expected_calibration_error(cool, labels) < raw / 3


def test_temperature_stands_absent_classes_and_weights() -> None:
    logits = np.array([[2.0, 0.0, -1e4], [2.0, 0.0, -1e4]])
    hot = fit_temperature(logits, [0, 1], weights=[9, 1])
    share = to_probabilities(logits, temperature=hot)[0, 0]
    assert share == pytest.approx(0.9, abs=1e-3)


@given(st.integers(1, 60), st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_rejection_keeps_just_the_share_asked_for(rows: int, keep: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = to_probabilities(rng.normal(size=(rows, 3)).round(1))
    labels = rng.integers(0, 3, rows)
    threshold = rejection_threshold(p, labels, keep=keep)
    right = p.argmax(axis=1) == labels
    confidence = p.max(axis=1)
    if not right.any():
        assert threshold == 0
        return
    assert (confidence[right] >= threshold).mean() >= keep - 1e-9
    assert (confidence[right] > threshold).mean() < keep


def brute(scores: np.ndarray, truth: np.ndarray) -> float:
    best = 0.0
    for t in np.unique(scores):
        taken = scores >= t
        best = max(best, 2 * (taken & truth).sum() / (taken.sum() + truth.sum()))
    return best


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_class_thresholds_reach_the_best_f1(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random((rows, 2)).round(1)
    truth = rng.random((rows, 2)) < 0.4
    for c, t in enumerate(f1_thresholds(p, truth)):
        if not truth[:, c].any():
            assert t == 0.5
            continue
        taken = p[:, c] >= t
        f1 = 2 * (taken & truth[:, c]).sum() / (taken.sum() + truth[:, c].sum())
        assert f1 == pytest.approx(brute(p[:, c], truth[:, c]))


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match="share"):
        rejection_threshold([[0.5, 0.5]], [0], keep=95)
    with pytest.raises(DataError, match="table"):
        f1_thresholds([[0.5, 0.5]], [0])
