"""Choosing the penalty on groups that were not seen, and refitting on all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.heads.folds import group_folds
from actionspace.heads.linear import to_probabilities
from actionspace.heads.logistic import fit_logistic
from actionspace.heads.probe import fit_probe

CLASSES = ["rest", "walk", "groom"]


def _sessions(rows: int = 240, dim: int = 30, seed: int = 0) -> tuple[Any, Any, Any]:
    """Clips of eight sessions, each with a look of its own."""
    rng = np.random.default_rng(seed)
    groups = np.arange(rows) % 8
    y = rng.integers(0, 3, rows)
    look = rng.normal(size=(8, dim))
    x = rng.normal(size=(rows, dim)) + 0.8 * rng.normal(size=(3, dim))[y] + look[groups]
    return x.astype(np.float16), y, groups


def test_the_head_is_refitted_on_all_rows_at_the_chosen_strength() -> None:
    x, y, groups = _sessions()
    probe = fit_probe(x, y, classes=CLASSES, groups=groups)
    losses = {p["strength"]: p["loss"] for p in probe.path}
    assert probe.strength == min(losses, key=losses.__getitem__)
    assert 1e-5 < probe.strength < 10
    direct = fit_logistic(x, y, classes=3, strengths=[probe.strength])
    np.testing.assert_allclose(probe.head.weight, direct.weight[0], atol=1e-6)
    assert not probe.notes


def test_held_out_scores_are_of_fits_that_did_not_see_the_group() -> None:
    x, y, groups = _sessions()
    probe = fit_probe(x, y, classes=CLASSES, groups=groups, folds=4, strengths=[0.01, 0.1])
    fold = group_folds(groups, np.eye(3, dtype=bool)[y], 4)
    rest = fold != fold[0]
    fitted = fit_logistic(x[rest], y[rest], classes=3, strengths=[probe.strength])
    expected = x[~rest].astype(float) @ fitted.weight[0].T + fitted.bias[0]
    np.testing.assert_allclose(
        to_probabilities(probe.held_out[~rest]), to_probabilities(expected), atol=5e-3
    )


def test_noise_within_groups_asks_for_a_larger_penalty_than_within_rows() -> None:
    """Rows of a group are copies: only whole groups held out show that they teach nothing."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(12, 40)), 10, axis=0) + 0.01 * rng.normal(size=(120, 40))
    y = np.repeat(rng.integers(0, 2, 12), 10)
    by_group = fit_probe(x, y, classes=["a", "b"], groups=np.repeat(np.arange(12), 10))
    by_row = fit_probe(x, y, classes=["a", "b"])
    assert by_group.strength >= 100 * by_row.strength


def test_a_validation_mask_is_used_instead_of_folds() -> None:
    x, y, groups = _sessions()
    probe = fit_probe(x, y, classes=CLASSES, groups=groups, validation=groups == 3)
    assert (np.isnan(probe.held_out).all(axis=1) == (groups != 3)).all()
    direct = fit_logistic(x, y, classes=3, strengths=[probe.strength])
    np.testing.assert_allclose(probe.head.weight, direct.weight[0], atol=1e-6)


def test_a_class_of_one_group_only() -> None:
    x, y, groups = _sessions()
    y = np.where(y == 2, 0, y)
    y[groups == 5] = 2
    probe = fit_probe(x, y, classes=CLASSES, groups=groups)
    assert all(np.isfinite(p["loss"]) and p["loss"] < 10 for p in probe.path)
    assert np.isfinite(probe.head.weight).all()
    assert (probe.head.scores(x[groups == 5]).argmax(axis=1) == 2).mean() > 0.5


def test_a_class_without_rows_is_named_and_never_wins() -> None:
    x, y, groups = _sessions()
    probe = fit_probe(x, y, classes=[*CLASSES, "rear"], groups=groups)
    assert any("rear" in note for note in probe.notes)
    assert (probe.head.scores(x).argmax(axis=1) < 3).all()


def test_one_group_or_groups_without_common_classes_choose_nothing() -> None:
    x, y, groups = _sessions()
    for members, labels in ((np.zeros(len(y)), y), (groups % 2, groups % 2)):
        probe = fit_probe(x, labels, classes=CLASSES, groups=members)
        assert any("not chosen" in note for note in probe.notes)
        assert probe.head.weight.shape == (3, 30)


def test_several_labels() -> None:
    x, y, groups = _sessions()
    table = np.column_stack([y == 0, y == 1, (y == 1) | (x[:, 0] > 1)]).astype(int)
    for select in ("loss", "accuracy"):
        probe = fit_probe(x, table, classes=CLASSES, groups=groups, multi_label=True, select=select)
        assert probe.head.multi_label
        assert max(p["accuracy"] for p in probe.path) > 0.6
    with pytest.raises(DataError, match="shape"):
        fit_probe(x, y[:-1], classes=CLASSES)


def test_accuracy_takes_the_largest_of_equally_good_penalties() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = 20 * np.eye(3)[y] + 0.1 * rng.normal(size=(90, 3))
    probe = fit_probe(x, y, classes=CLASSES, groups=np.arange(90) // 9, select="accuracy")
    assert all(p["accuracy"] == 1 for p in probe.path if p["strength"] <= probe.strength)
    assert probe.strength == max(p["strength"] for p in probe.path if p["accuracy"] == 1)


def test_deterministic() -> None:
    x, y, groups = _sessions()
    first, second = (fit_probe(x, y, classes=CLASSES, groups=groups, seed=4) for _ in range(2))
    assert (first.head.weight == second.head.weight).all()
    assert first.path == second.path


def test_mistakes_are_named() -> None:
    x, y, groups = _sessions()
    with pytest.raises(UsageError, match="'loss' or 'accuracy'"):
        fit_probe(x, y, classes=CLASSES, select="f1")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one group per row"):
        fit_probe(x, y, classes=CLASSES, groups=groups[:5])
    with pytest.raises(DataError, match="holds out 0"):
        fit_probe(x, y, classes=CLASSES, validation=np.zeros(len(y), bool))


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_folds_keep_groups_whole_and_spread_them(count: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, count, 100)
    targets = np.eye(4, dtype=bool)[rng.integers(0, 4, 100)]
    fold = group_folds(groups, targets, k, seed=seed % 7)
    assert all(len(set(fold[groups == g])) == 1 for g in groups)
    assert len(set(fold)) == min(k, len(set(groups)))
    assert (fold == group_folds(groups, targets, k, seed=seed % 7)).all()


def test_folds_spread_classes() -> None:
    groups = np.repeat(np.arange(30), 10)
    labels = np.repeat(np.arange(30) % 3, 10)  # each group has one class
    fold = group_folds(groups, np.eye(3, dtype=bool)[labels], 5)
    counts = np.array([np.bincount(labels[fold == f], minlength=3) for f in range(5)])
    assert (counts == 20).all()
