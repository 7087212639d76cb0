"""Properties that hold for any scores, agreement with scikit-learn, and messages for bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.metrics import classification as C
from actionspace.metrics.confusion import confusion_matrix

Case = tuple[np.ndarray, np.ndarray]


@st.composite
def single(draw: st.DrawFn, ties: bool = True) -> Case:
    """Scores and labels; coarse scores tie often."""
    rows, classes = draw(st.integers(1, 25)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.normal(size=(rows, classes))
    if ties and draw(st.booleans()):
        scores = scores.round()
    return scores, rng.integers(0, classes, rows)


@st.composite
def several(draw: st.DrawFn) -> Case:
    scores, _ = draw(single())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return scores, (rng.random(scores.shape) < draw(st.floats(0, 1))).astype(int)


def _names(scores: np.ndarray) -> list[str]:
    return [f"c{i}" for i in range(scores.shape[1])]


def _same(a: dict[str, float], b: dict[str, float]) -> None:
    assert a.keys() == b.keys()
    np.testing.assert_allclose(list(a.values()), list(b.values()), atol=1e-12, equal_nan=True)


@given(single())
def test_single_label_values_are_fractions(case: Case) -> None:
    scores, labels = case
    metrics = C.single_label_metrics(scores, labels, _names(scores), k=(1, 2, 5))
    assert all(0 <= v <= 1 for v in metrics.values())
    assert metrics["top1_accuracy"] <= metrics["top2_accuracy"] <= metrics["top5_accuracy"]


@given(several())
def test_multi_label_values_are_fractions_or_undefined(case: Case) -> None:
    scores, labels = case
    metrics = C.multi_label_metrics(scores, labels, _names(scores))
    assert all(np.isnan(v) or 0 <= v <= 1 for v in metrics.values())
    assert np.isnan(metrics["map"]) == (not labels.any())


@given(single(), st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(case: Case, seed: int) -> None:
    scores, labels = case
    order = np.random.default_rng(seed).permutation(len(labels))
    _same(
        C.single_label_metrics(scores, labels, _names(scores)),
        C.single_label_metrics(scores[order], labels[order], _names(scores)),
    )


@given(single(ties=False), st.integers(0, 2**32 - 1))
def test_order_of_classes_does_not_matter_without_ties(case: Case, seed: int) -> None:
    scores, labels = case
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    _same(
        C.single_label_metrics(scores, labels, _names(scores)),
        C.single_label_metrics(scores[:, order], np.argsort(order)[labels], _names(scores)),
    )


@given(single())
def test_perfect_scores_give_one(case: Case) -> None:
    scores, labels = case
    perfect = (np.arange(scores.shape[1]) == labels[:, None]).astype(float)
    values = C.single_label_metrics(perfect, labels, _names(scores))
    assert set(values.values()) == {1.0}
    assert C.expected_calibration_error(perfect, labels) == 0


@given(single())
def test_repeating_a_row_equals_weighting_it(case: Case) -> None:
    scores, labels = case
    times = np.arange(len(labels)) % 3 + 1
    repeated = np.repeat(scores, times, axis=0), np.repeat(labels, times)
    for measure in (
        C.top_k_accuracy,
        C.macro_top_k_accuracy,
        C.micro_accuracy,
        C.mean_class_accuracy,
        C.macro_f1,
        C.mean_average_precision,
    ):
        assert measure(scores, labels, weights=times) == pytest.approx(measure(*repeated))


@settings(deadline=None, max_examples=12)
@given(single(), st.sampled_from([None, "true", "pred", "all"]))
def test_agrees_with_scikit_learn(case: Case, normalize: str | None) -> None:
    import sklearn.metrics as reference

    scores, labels = case
    guess = C.predicted(scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.confusion_matrix(labels, guess, normalize=normalize)
        f1 = reference.f1_score(labels, guess, average="macro", zero_division=0)
        f1s = {
            average: reference.f1_score(labels, guess, average=average, zero_division=0)
            for average in ("weighted", "micro")
        }
        balanced = reference.balanced_accuracy_score(labels, guess)
    np.testing.assert_allclose(confusion_matrix(guess, labels, normalize=normalize), expected)
    assert C.macro_f1(scores, labels) == pytest.approx(f1)
    assert C.weighted_f1(scores, labels) == pytest.approx(f1s["weighted"])
    assert C.micro_f1(scores, labels) == pytest.approx(f1s["micro"])
    assert C.balanced_accuracy(scores, labels) == pytest.approx(balanced)
    table = C.per_class_table(scores, labels, _names(scores))
    assert sum(row["support"] for row in table) == len(labels)
    for c in np.unique(labels):
        ap = reference.average_precision_score(labels == c, scores[:, c])
        assert table[c]["ap"] == pytest.approx(ap)


def test_the_original_divides_by_predicted_classes_too() -> None:
    scores = np.eye(3)[[0, 0, 2, 1]]
    labels = np.array([0, 0, 1, 1])
    assert C.mean_class_accuracy(scores, labels) == pytest.approx((1 + 0.5 + 0) / 3)
    assert C.macro_top_k_accuracy(scores, labels) == pytest.approx((1 + 0.5) / 2)


def test_classes_that_never_occur() -> None:
    scores, labels = np.eye(4)[[0, 0, 2, 1]], np.array([0, 0, 1, 1])  # 2 never true, 3 nowhere
    np.testing.assert_allclose(C.per_class_recall(scores, labels), [1, 0.5, np.nan, np.nan])
    assert C.balanced_accuracy(scores, labels) == pytest.approx(0.75)
    assert C.macro_f1(scores, labels) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert C.macro_f1(scores, labels, every_class=True) == pytest.approx((1 + 2 / 3) / 4)
    assert C.weighted_f1(scores, labels) == pytest.approx((1 + 2 / 3) / 2)
    assert C.weighted_f1(scores, labels, weights=[3, 3, 1, 1]) == pytest.approx((6 + 4 / 3) / 8)


def test_a_class_scored_minus_infinity_is_only_never_chosen() -> None:
    scores = np.array([[0.1, -np.inf, 0.3], [0.9, -np.inf, 0.2], [0.5, -np.inf, 0.4]])
    metrics = C.single_label_metrics(scores, [2, 0, 1], ["a", "b", "c"], k=(1,))
    assert metrics["top1_accuracy"] == pytest.approx(2 / 3)
    assert metrics["map"] == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)


def test_calibration_error_by_hand() -> None:
    probabilities = [[0.9, 0.1], [0.8, 0.2], [0.35, 0.65]]
    assert C.expected_calibration_error(probabilities, [0, 1, 1], bins=2) == pytest.approx(
        abs((0.9 + 0.8 + 0.65) - 2) / 3
    )


@pytest.mark.parametrize(
    "scores,labels,words",
    [
        ([[0.1, 0.9], [np.nan, 0.2]], [0, 1], "row 1 are NaN"),
        ([[0.1, 0.9]], [2], "Label 2 of row 0 is outside 0..1"),
        ([[0.1, 0.9]], [0.0], "must be class numbers"),
        ([[0.1, 0.9]], [0, 1], "one label per row"),
        ([0.1, 0.9], [0], r"\[rows, classes\]"),
        (np.zeros((0, 3)), np.zeros(0, int), "with rows"),
        ([[0.1, 0.9]], [[0, 2]], "zeros and ones"),
        ([[0.1, 0.9]], [[0, 1, 0]], "expected"),
    ],
)
def test_bad_input_is_named(scores: object, labels: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        C.top_k_accuracy(scores, labels)  # type: ignore[arg-type]


def test_other_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="3 class names but scores have 2"):
        C.single_label_metrics([[0.1, 0.9]], [0], ["a", "b", "c"])
    with pytest.raises(UsageError, match="'rows'"):
        confusion_matrix([0], [0], normalize="rows")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="Weights"):
        C.micro_accuracy([[0.1, 0.9]], [0], weights=[-1])
