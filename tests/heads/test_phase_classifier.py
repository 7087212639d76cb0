from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from actionspace.errors import DataError, UsageError
from actionspace.heads.phase_classifier import few_shot, first_videos, fit_phases, phase_score
from actionspace.heads.sgd_probe import SgdProbeConfig, fit_sgd_probe


def clouds(seed: int, phases: int = 3, each: int = 20) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(phases), each)
    return np.random.default_rng(seed).normal(size=(len(y), 4)) + 3 * np.eye(4)[y], y


@pytest.mark.parametrize("classifier", ["logistic", "svm"])
def test_learns_phases_whatever_their_numbers(classifier: str) -> None:
    x, y = clouds(0)
    numbers = np.array([2, 5, 9])
    predict = fit_phases(x, numbers[y], classifier)  # type: ignore[arg-type]
    held, truth = clouds(1)
    assert phase_score(numbers[truth], predict(held)) > 0.9


def test_two_phases_have_half_the_binary_penalty() -> None:
    """CARL's multinomial form of two classes is the binary one of scikit-learn with C = 2."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 3)) * 0.2
    y = (x[:, 0] + 0.3 * rng.normal(size=40) > 0).astype(int)
    grid = rng.normal(size=(4000, 3))
    ours = fit_phases(x, y)(grid)
    assert (ours != LogisticRegression(C=2, tol=1e-8).fit(x, y).predict(grid)).mean() < 1e-3


@pytest.mark.parametrize("classifier", ["logistic", "svm"])
def test_one_phase_is_predicted_throughout(classifier: str) -> None:
    predict = fit_phases(np.ones((3, 2)), [4, 4, 4], classifier)  # type: ignore[arg-type]
    assert predict(np.zeros((2, 2))).tolist() == [4, 4]


def test_weighted_f1() -> None:
    truth, guess = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 3, 2, 2])
    expected = f1_score(truth, guess, average="weighted")
    assert phase_score(truth, guess, "weighted_f1") == pytest.approx(expected)


def test_fractions_mean_at_least_one_video() -> None:
    assert [first_videos(f, 12) for f in (0.01, 0.1, 0.5, 1.0)] == [1, 1, 6, 12]


def test_few_shot_draws_and_interval() -> None:
    pairs = [clouds(seed, each=5) for seed in range(6)]
    x, y = [p[0] for p in pairs], [p[1] for p in pairs]
    found = few_shot(x, y, x, y, shots=(1, 6), episodes=3)
    assert found[6].half_width == pytest.approx(0)
    assert found[1].mean == pytest.approx(np.mean(found[1].episodes))
    assert found == few_shot(x, y, x, y, shots=(1, 6), episodes=3)
    draws = np.random.RandomState(42)
    first = [draws.permutation(6)[:1][0] for _ in range(3)]
    held_x, held_y = np.concatenate(x), np.concatenate(y)
    by_hand = [phase_score(held_y, fit_phases(x[v], y[v], "svm")(held_x)) for v in first]
    assert list(found[1].episodes) == pytest.approx(by_hand)


def test_sgd_probe_learns_and_is_a_function_of_its_seed() -> None:
    pairs = [clouds(seed, each=5) for seed in range(12)]
    x, y = [p[0] for p in pairs], [np.append(p[1][:-1], -1) for p in pairs]
    config = SgdProbeConfig(learning_rate=0.5, epochs=5, videos_per_batch=5)
    found = fit_sgd_probe(x, y, x, y, classes=3, config=config)
    again = fit_sgd_probe(x, y, x, y, classes=3, config=config)
    assert found.validation > 0.9
    np.testing.assert_array_equal(found.weight, again.weight)
    other = fit_sgd_probe(x, y, x, y, classes=3, config=SgdProbeConfig(0.5, 5, seed=1))
    assert (found.weight != other.weight).any()


def test_refusals() -> None:
    x, y = clouds(0)
    with pytest.raises(UsageError, match="classifier"):
        fit_phases(x, y, "tree")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one per frame"):
        fit_phases(x, y[1:])
    with pytest.raises(UsageError, match="at least 1"):
        few_shot([x], [y], [x], [y], episodes=0)
    with pytest.raises(DataError, match="1 training videos and a batch takes 10"):
        fit_sgd_probe([x], [y], [x], [y], classes=3)
    with pytest.raises(DataError, match="highest class"):
        fit_sgd_probe([x], [y], [x], [y], classes=2)
    with pytest.raises(UsageError, match="order lists 1 epochs"):
        fit_sgd_probe([x] * 10, [y] * 10, [x], [y], classes=3, order=[[0]])
