"""The solver reaches scikit-learn's optimum, along the whole path, whatever the options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actionspace.errors import DataError, UsageError
from actionspace.heads.linear import to_probabilities
from actionspace.heads.logistic import ABSENT, LogisticPath, fit_logistic

STRENGTHS = [1e-4, 1e-3, 1e-2, 0.1, 1.0]


def _data(rows: int, dim: int, classes: int, apart: float, seed: int = 0) -> tuple[Any, Any]:
    """Correlated features with an offset, classes that overlap."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dim, dim)) / np.arange(1, dim + 1)
    y = rng.integers(0, classes, rows)
    x = (rng.normal(size=(rows, dim)) + apart * rng.normal(size=(classes, dim))[y]) @ mix.T + 3
    return x, y


def _logits(path: LogisticPath, x: np.ndarray) -> np.ndarray:
    logits: np.ndarray = np.einsum("nd,scd->snc", x, path.weight) + path.bias[:, None]
    return logits


def _reference(x: Any, y: Any, weights: Any, strength: float) -> tuple[Any, Any, Any]:
    """scikit-learn's coefficients (standardised features), probabilities and scale."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    base = weights[0]
    scaler = StandardScaler().fit(x, sample_weight=base)
    z = scaler.transform(x)
    model = LogisticRegression(
        C=1 / (strength * base.sum()), tol=1e-10, max_iter=5000, solver="newton-cholesky"
    ).fit(z, y, sample_weight=weights[1])
    return model.coef_, model.predict_proba(z), scaler.scale_


MANY, FEW, APART = (500, 30, 4, 0.3), (60, 150, 3, 0.3), (300, 20, 3, 2.0)


@pytest.mark.parametrize(
    ("shape", "weighting"),
    [
        *((MANY, "none"), (MANY, "mapping"), (FEW, "rows"), (FEW, "balanced")),
        *((APART, "none"), (APART, "rows")),
    ],
)
def test_equals_scikit_learn(shape: tuple[int, int, int, float], weighting: str) -> None:
    rows, dim, classes, apart = shape
    x, y = _data(rows, dim, classes, apart)
    y[: rows // 3] = 0  # unequal classes
    ones = np.ones(rows)
    given = ones if weighting == "none" else np.random.default_rng(1).uniform(0.2, 1, rows)
    class_weight: Any = {"balanced": "balanced", "mapping": {1: 3.0}}.get(weighting)
    loss_weights = given
    if weighting == "balanced":
        loss_weights = given * given.sum() / (classes * np.bincount(y, given)[y])
    if weighting == "mapping":
        loss_weights = given * np.where(y == 1, 3.0, 1.0)
    path = fit_logistic(
        x,
        y,
        classes=classes,
        strengths=STRENGTHS,
        sample_weight=None if weighting == "none" else given,
        class_weight=class_weight,
    )
    assert path.converged.all()
    for i, strength in enumerate(STRENGTHS):
        coefficients, probabilities, scale = _reference(x, y, (given, loss_weights), strength)
        np.testing.assert_allclose(path.weight[i] * scale, coefficients, rtol=0, atol=1e-3)
        ours = to_probabilities(_logits(path, x)[i])
        np.testing.assert_allclose(ours, probabilities, rtol=0, atol=1e-4)


def test_several_labels_equal_one_model_per_class() -> None:
    x, _ = _data(300, 20, 3, 0.5)
    rng = np.random.default_rng(0)
    signal = x @ rng.normal(size=(20, 3)) + 5 * rng.normal(size=(300, 3))
    y = (signal > np.quantile(signal, [0.3, 0.5, 0.9], axis=0).diagonal()).astype(int)
    path = fit_logistic(x, y, classes=3, strengths=STRENGTHS, multi_label=True)
    ones = np.ones(300)
    for i, strength in enumerate(STRENGTHS):
        for c in range(3):
            coefficients, probabilities, scale = _reference(x, y[:, c], (ones, ones), strength)
            np.testing.assert_allclose(path.weight[i, c] * scale, coefficients[0], atol=1e-3)
            ours = to_probabilities(_logits(path, x)[i], multi_label=True)[:, c]
            np.testing.assert_allclose(ours, probabilities[:, 1], atol=1e-4)


def test_balanced_several_labels_give_both_sides_the_same_say() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((400, 2)) < [0.05, 0.5]).astype(int)
    path = fit_logistic(
        rng.normal(size=(400, 3)),
        y,
        classes=2,
        strengths=[1e3],
        multi_label=True,
        class_weight="balanced",
    )
    np.testing.assert_allclose(path.bias, 0, atol=1e-3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_gradient_vanishes_for_all_strengths_at_once_or_one_by_one(multi_label: bool) -> None:
    x, y = _data(200, 25, 4, 0.5)
    labels = np.eye(4, dtype=int)[y] if multi_label else y
    together = fit_logistic(x, labels, classes=4, strengths=STRENGTHS, multi_label=multi_label)
    for i, strength in enumerate(STRENGTHS):
        alone = fit_logistic(x, labels, classes=4, strengths=[strength], multi_label=multi_label)
        np.testing.assert_allclose(
            to_probabilities(_logits(together, x)[i], multi_label),
            to_probabilities(_logits(alone, x)[0], multi_label),
            atol=1e-4,
        )
        logits = _logits(together, x)[i]
        residual = to_probabilities(logits, multi_label) - np.eye(4)[y]
        z = (x - x.mean(0)) / x.std(0)
        gradient = residual.T @ z / len(x) + strength * together.weight[i] * x.std(0)
        assert np.abs(gradient).max() < 1e-4


def test_float32_comes_close() -> None:
    x, y = _data(300, 40, 4, 0.5)
    exact = fit_logistic(x, y, classes=4, strengths=STRENGTHS)
    rough = fit_logistic(x.astype(np.float16), y, classes=4, strengths=STRENGTHS, double=False)
    difference = to_probabilities(_logits(exact, x)) - to_probabilities(_logits(rough, x))
    assert np.abs(difference).max() < 0.01


def test_deterministic() -> None:
    x, y = _data(100, 20, 3, 0.5)
    first, second = (fit_logistic(x, y, classes=3, strengths=STRENGTHS) for _ in range(2))
    assert (first.weight == second.weight).all()
    assert (first.bias == second.bias).all()


def test_row_weight_equals_repetition_and_zero_equals_absence() -> None:
    x, y = _data(80, 6, 3, 0.5)
    times = np.arange(80) % 3
    weighted = fit_logistic(x, y, classes=3, strengths=[0.01], sample_weight=times)
    repeated = fit_logistic(
        np.repeat(x, times, axis=0), np.repeat(y, times), classes=3, strengths=[0.01]
    )
    np.testing.assert_allclose(weighted.weight, repeated.weight, atol=1e-4)


def test_classes_without_rows_are_never_predicted() -> None:
    x, y = _data(60, 8, 2, 1.0)
    path = fit_logistic(x, y * 2, classes=4, strengths=[0.1])
    assert (path.bias[0, [1, 3]] == ABSENT).all()
    assert (path.weight[0, [1, 3]] == 0).all()
    pair = fit_logistic(x, y, classes=2, strengths=[0.1])
    np.testing.assert_allclose(path.weight[0, [0, 2]], pair.weight[0], atol=1e-9)
    one = fit_logistic(x, np.ones(60, int), classes=3, strengths=[0.1])
    assert (_logits(one, x)[0].argmax(axis=1) == 1).all()


def test_labels_that_are_never_or_always_true() -> None:
    x, y = _data(60, 8, 2, 1.0)
    table = np.column_stack([np.zeros(60, int), np.ones(60, int), y])
    path = fit_logistic(x, table, classes=3, strengths=[0.1], multi_label=True)
    probabilities = to_probabilities(_logits(path, x)[0], multi_label=True)
    assert (probabilities[:, 0] == 0).all() and (probabilities[:, 1] == 1).all()
    assert probabilities[:, 2].min() > 0 and probabilities[:, 2].max() < 1


def test_constant_and_repeated_features() -> None:
    x, y = _data(60, 5, 3, 1.0)
    wide = np.column_stack([x, np.full(60, 7.7), x[:, 0]])
    path = fit_logistic(wide, y, classes=3, strengths=[0.01])
    assert path.converged.all()
    assert (path.weight[0, :, 5] == 0).all()
    np.testing.assert_allclose(path.weight[0, :, 0], path.weight[0, :, 6], atol=1e-6)
    flat = fit_logistic(np.ones((60, 3)), y, classes=3, strengths=[0.01])
    np.testing.assert_allclose(to_probabilities(flat.bias[0]), np.bincount(y) / 60, atol=1e-4)


@pytest.mark.parametrize(
    "change,error,words",
    [
        ({"x": [[1.0, np.nan], [0, 0]]}, DataError, "row 0 are not finite"),
        ({"x": [1.0, 2.0]}, DataError, "rows, dims"),
        ({"y": [0, 5]}, DataError, "outside 0..1"),
        ({"y": [0]}, DataError, "one label per row"),
        ({"multi_label": True}, DataError, "rows, classes"),
        ({"strengths": [0.0]}, UsageError, "positive"),
        ({"class_weight": "equal"}, UsageError, "'balanced'"),
        ({"class_weight": {7: 1.0}}, UsageError, "0..1"),
        ({"sample_weight": [-1, 1]}, DataError, "negative"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], words: str) -> None:
    call: dict[str, Any] = {
        "x": [[1.0, 2.0], [0, 0]],
        "y": [0, 1],
        "classes": 2,
        "strengths": [1.0],
    } | change
    with pytest.raises(error, match=words):
        fit_logistic(call.pop("x"), call.pop("y"), **call)
