"""kNN, nearest class mean and ridge: against scikit-learn, on ties, on weights, on odd data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import StandardScaler

from actionspace.errors import DataError, UsageError
from actionspace.heads.centroid import fit_centroid
from actionspace.heads.choice import choose
from actionspace.heads.knn import fit_knn, most_similar, unit
from actionspace.heads.ridge import fit_ridge

C = 4


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """120 training rows of 4 classes in 12 dimensions, and 60 others."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, 120)
    x = rng.normal(size=(120, 12)) + 0.8 * np.eye(C, 12)[y] + 3.0
    return x, y, rng.normal(size=(60, 12)) + 3.0


def splits_of(rows: int, k: int = 4) -> list[np.ndarray]:
    return [np.arange(rows) % k != i for i in range(k)]


@pytest.mark.parametrize("k", [1, 7, 120])
def test_knn_votes_as_scikit_learn_with_the_same_weights(
    data: tuple[np.ndarray, ...], k: int
) -> None:
    x, y, other = data
    peer = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda d: np.exp(-d / 0.07)
    ).fit(x, y)
    ours = fit_knn(x, y, classes=C, neighbours=[k]).probabilities(other)
    np.testing.assert_allclose(ours, peer.predict_proba(other), atol=1e-4)


def test_of_equally_like_rows_the_earlier_is_nearer() -> None:
    alike = np.array([[0.5, 0.9, 0.5, 0.9, 0.5]], np.float32)
    assert most_similar(alike, 3).tolist() == [[1, 3, 0]]
    assert most_similar(alike, 5).tolist() == [[1, 3, 0, 2, 4]]
    rng = np.random.default_rng(0)
    many = rng.integers(0, 5, (50, 40)).astype(np.float32)
    expected = np.argsort(-many, axis=1, kind="stable")[:, :7]
    assert np.array_equal(most_similar(many, 7), expected)


def test_rows_of_one_event_vote_like_one_row() -> None:
    x = np.array([[1.0, 0.1], [1.0, 0.1], [1.0, 0.1], [1.0, 0.0]])
    y = np.array([0, 0, 0, 1])
    query = [[1.0, 0.05]]
    whole = fit_knn(x, y, classes=2, neighbours=[4]).probabilities(query)
    fair = fit_knn(x, y, classes=2, neighbours=[4], sample_weight=[1 / 3] * 3 + [1])
    assert whole[0].argmax() == 0 and whole[0, 0] > 0.7
    np.testing.assert_allclose(fair.probabilities(query), [[0.5, 0.5]], atol=0.01)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_centroid_names_as_scikit_learn(data: tuple[np.ndarray, ...], distance: str) -> None:
    x, y, other = data
    found = fit_centroid(x, y, classes=C, distances=[distance])  # type: ignore[list-item]
    if distance == "cosine":
        centres = unit(NearestCentroid().fit(unit(x), y).centroids_)
        expected = (unit(other) @ centres.T).argmax(axis=1)
    else:
        scale = StandardScaler().fit(x)
        expected = NearestCentroid().fit(scale.transform(x), y).predict(scale.transform(other))
    assert np.array_equal(found.probabilities(other).argmax(axis=1), expected)


@pytest.mark.parametrize("rows", [120, 9])  # more rows than dimensions, and fewer
def test_ridge_solves_what_scikit_learn_solves(data: tuple[np.ndarray, ...], rows: int) -> None:
    x, y, other = data[0][:rows], data[1][:rows], data[2]
    weight = np.random.default_rng(1).uniform(0.5, 2, rows)
    found = fit_ridge(x, y, classes=C, strengths=[0.03], sample_weight=weight)
    scale = StandardScaler().fit(x, sample_weight=weight)
    peer = SklearnRidge(alpha=0.03 * 12 * weight.sum(), solver="cholesky")
    peer.fit(scale.transform(x), np.eye(C)[y], sample_weight=weight)
    expected = peer.predict(scale.transform(other))
    np.testing.assert_allclose(found.probabilities(other), expected, atol=1e-8)
    np.testing.assert_allclose(found.probabilities(other).sum(axis=1), 1, atol=1e-9)


def test_options_are_chosen_on_rows_held_out(data: tuple[np.ndarray, ...]) -> None:
    x, y, _ = data
    masks = splits_of(len(x))
    for found, name in (
        (fit_knn(x, y, classes=C, splits=masks), "k"),
        (fit_centroid(x, y, classes=C, splits=masks), "distance"),
        (fit_ridge(x, y, classes=C, splits=masks), "strength"),
    ):
        value = getattr(found, name)
        best = max(row["accuracy"] for row in found.path)
        assert value == [row[name] for row in found.path if row["accuracy"] == best][-1]
    # A row finds itself if it may: held out, one neighbour is no longer best.
    assert fit_knn(x, y, classes=C, splits=masks).k > 1


def test_choice_takes_the_last_of_equals_and_the_default_where_nothing_is_held_out() -> None:
    labels, weight = np.array([0, 1]), np.ones(2)
    table = np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    keep = [np.array([False, True])]
    chosen, path = choose("n", [1, 2, 3], lambda _: table, labels, weight, keep, 9)
    assert chosen == 2 and [row["accuracy"] for row in path] == [1.0, 1.0, 0.0]
    assert choose("n", [1, 2, 3], lambda _: table, labels, weight, [], 9) == (9, [])


def test_a_class_without_rows_is_never_the_likeliest(data: tuple[np.ndarray, ...]) -> None:
    x, y, other = data
    kept = y != 2
    for fit in (fit_knn, fit_centroid, fit_ridge):
        found = fit(x[kept], y[kept], classes=C).probabilities(other)  # type: ignore[operator]
        assert not (found.argmax(axis=1) == 2).any() and np.isfinite(found).all()


def test_constant_features_and_zero_rows_do_no_harm() -> None:
    x = np.array([[0.0, 5.0], [0.0, 5.0], [0.0, 5.0]])
    for fit in (fit_knn, fit_centroid, fit_ridge):
        found = fit(x, [0, 1, 1], classes=2).probabilities(np.zeros((1, 2)))  # type: ignore[operator]
        assert np.isfinite(found).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    x, y = np.ones((3, 2)), [0, 1, 1]
    with pytest.raises(UsageError, match="neighbours"):
        fit_knn(x, y, classes=2, neighbours=[0])
    with pytest.raises(UsageError, match="distances"):
        fit_centroid(x, y, classes=2, distances=["manhattan"])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="positive"):
        fit_ridge(x, y, classes=2, strengths=[0.0])
    with pytest.raises(DataError, match="row 1"):
        fit_ridge([[0.0], [np.nan], [1.0]], y, classes=2)
