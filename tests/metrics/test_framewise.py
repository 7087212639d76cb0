"""Frame-wise measures: properties, the definition restated, and real predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.metrics import framewise as F

NAMES = np.array(["rest", "walk", "groom", "rear"])


@st.composite
def labellings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two labellings of the same frames in runs of a few frames."""
    frames = draw(st.integers(1, 60))
    out = []
    for _ in range(2):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        runs = np.repeat(rng.integers(0, 4, frames), rng.integers(1, 8, frames))
        out.append(NAMES[runs[:frames]])
    return out[0], out[1]


def _runs(labels: list[str], background: str | None) -> list[tuple[str, int, int]]:
    runs: list[tuple[str, int, int]] = []
    for i, label in enumerate(labels):
        if runs and runs[-1][0] == label:
            runs[-1] = (label, runs[-1][1], i + 1)
        else:
            runs.append((label, i, i + 1))
    return [r for r in runs if r[0] != background]


def plain_f1(truth: list[str], guess: list[str], threshold: float, background: str | None) -> float:
    """Segmental F1 as the paper words it, one segment at a time."""
    wanted, found = _runs(truth, background), _runs(guess, background)
    used: set[int] = set()
    for label, start, end in found:
        overlaps = [
            (min(end, e) - max(start, s)) / (max(end, e) - min(start, s)) if name == label else -1.0
            for name, s, e in wanted
        ]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if overlaps and overlaps[best] >= threshold:
            used.add(best)
    total = len(wanted) + len(found)
    return 2 * len(used) / total if total else 1.0


def plain_edit(truth: list[str], guess: list[str], background: str | None) -> float:
    a, b = ([r[0] for r in _runs(x, background)] for x in (truth, guess))
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, change)
    longer = max(len(a), len(b))
    return 100 * (1 - table[-1][-1] / longer) if longer else 100.0


@given(
    labellings(), st.sampled_from([None, "rest", "absent"]), st.sampled_from([0.1, 0.25, 0.5, 1])
)
def test_equal_to_the_definition(
    pair: tuple[np.ndarray, np.ndarray], background: str | None, threshold: float
) -> None:
    truth, guess = pair
    a, b = truth.tolist(), guess.tolist()
    assert F.segmental_f1(truth, guess, threshold, background=background) == pytest.approx(
        plain_f1(a, b, threshold, background)
    )
    assert F.edit_score(truth, guess, background=background) == pytest.approx(
        plain_edit(a, b, background)
    )


@given(labellings())
def test_bounds_and_symmetry(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    for value in F.framewise_metrics([a], [b]).values():
        assert np.isnan(value) or -1 <= value <= 100
    kappa = F.cohen_kappa(a, b)
    np.testing.assert_allclose(F.cohen_kappa(b, a), kappa, equal_nan=True)
    assert np.isnan(kappa) or -1 <= kappa <= 1
    assert F.edit_score(a, b) == pytest.approx(F.edit_score(b, a))
    assert F.frame_accuracy(a, b) == pytest.approx(np.mean(a == b))
    assert F.frame_f1(a, b) == pytest.approx(F.frame_f1(b, a))


@given(labellings(), st.sampled_from(["pooled", "video"]))
def test_equal_labellings_are_perfect(pair: tuple[np.ndarray, np.ndarray], average: str) -> None:
    both = list(pair)
    metrics = F.framewise_metrics(both, both, background="rest", average=average)
    assert metrics.pop("edit_score") == 100
    kappa = metrics.pop("cohen_kappa")
    assert np.isnan(kappa) or kappa == pytest.approx(1)
    if all((a == "rest").all() for a in both):
        assert np.isnan(metrics.pop("frame_f1"))
    assert set(metrics.values()) == {1.0}


@given(labellings(), st.integers(1, 4))
def test_weights_count_like_repeated_frames(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    times = np.random.default_rng(seed).integers(1, 4, len(pair[0]))
    weighted = F.framewise_metrics([pair[0]], [pair[1]], weights=[times])
    repeated = F.framewise_metrics(*([np.repeat(x, times)] for x in pair))
    np.testing.assert_allclose(
        list(weighted.values()), list(repeated.values()), atol=1e-9, equal_nan=True
    )


@settings(deadline=None, max_examples=12)
@given(labellings())
def test_agrees_with_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    import sklearn.metrics as reference

    a, b = pair
    kappa = F.cohen_kappa(a, b)
    if not np.isnan(kappa):
        assert kappa == pytest.approx(reference.cohen_kappa_score(a, b))
    assert F.frame_f1(a, b) == pytest.approx(
        reference.f1_score(a, b, average="macro", zero_division=0)
    )


def test_unannotated_frames_neither_count_nor_join_segments() -> None:
    truth = np.array(["a", "a", "b", "b", "a", "a"])
    guess = np.array(["a", "a", "a", "a", "a", "a"])
    mask = np.array([True, True, False, False, True, True])
    assert F.frame_accuracy(truth, guess, mask=mask) == 1
    assert F.edit_score(truth, guess, mask=mask) == 100
    assert F.segmental_f1(truth, guess, 1.0, mask=mask) == 1
    p = F.pair(truth, guess, mask=mask)
    assert p.segments()[1].spans.tolist() == [[0, 2], [4, 6]]


def test_spans_are_seconds_with_durations() -> None:
    truth = np.array(["a", "b", "b"])
    guess = np.array(["a", "a", "b"])
    seconds = [4.0, 1.0, 5.0]
    assert F.frame_accuracy(truth, guess, weights=seconds) == pytest.approx(0.9)
    assert F.segmental_f1(truth, guess, 0.6, weights=seconds) == 1
    assert F.segmental_f1(truth, guess, 0.6) == 0


def test_a_true_segment_is_matched_once() -> None:
    truth = np.array(["a"] * 10)
    guess = np.array(["a"] * 4 + ["b"] * 2 + ["a"] * 4)
    assert F.segmental_f1(truth, guess, 0.1) == pytest.approx(2 * 1 / (3 + 1))


def test_background_is_ignored_by_segments_and_the_mean_of_f1() -> None:
    truth = np.array(["rest", "walk", "rest", "rest"])
    guess = np.array(["rest", "walk", "walk", "rest"])
    assert F.frame_f1_per_class(truth, guess) == pytest.approx({"rest": 0.8, "walk": 2 / 3})
    assert F.frame_f1(truth, guess, background="rest") == pytest.approx(2 / 3)
    assert F.segmental_f1(truth, guess, 0.5, background="rest") == 1
    quiet = np.array(["rest"] * 4)
    assert F.edit_score(quiet, quiet, background="rest") == 100
    assert np.isnan(F.cohen_kappa(quiet, quiet))


def test_pooled_counts_and_mean_over_videos_differ() -> None:
    long, short = np.array(["a"] * 9 + ["b"]), np.array(["b", "b"])
    guesses = [np.array(["a"] * 10), np.array(["a", "a"])]
    pooled = F.framewise_metrics([long, short], guesses)["frame_accuracy"]
    video = F.framewise_metrics([long, short], guesses, average="video")["frame_accuracy"]
    assert (pooled, video) == pytest.approx((9 / 12, 0.45))


def test_an_hour_of_names_takes_moments() -> None:
    import time

    rng = np.random.default_rng(0)
    runs = rng.integers(20, 400, 2000)
    truth = np.repeat(NAMES[rng.integers(0, 4, 2000)], runs)
    guess = np.roll(truth, 30)
    start = time.perf_counter()
    metrics = F.framewise_metrics([truth], [guess], background="rest")
    assert time.perf_counter() - start < 5
    assert 0.8 < metrics["frame_accuracy"] < 0.95


@pytest.mark.parametrize(
    "truth,guess,options,words",
    [
        (["a"], ["a", "b"], {}, "not of the same frames"),
        (["a"], ["a"], {"mask": [False]}, "No frame of video 0 is annotated"),
        (["a"], ["a"], {"mask": [True, True]}, "mask"),
        (["a"], ["a"], {"weights": [0.0]}, "Weights"),
    ],
)
def test_bad_input_is_named(
    truth: list[str], guess: list[str], options: dict[str, object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        F.frame_accuracy(truth, guess, **options)


def test_wrong_choices_are_named() -> None:
    with pytest.raises(UsageError, match="threshold"):
        F.segmental_f1(["a"], ["a"], 0)
    with pytest.raises(UsageError, match="'pooled' or 'video'"):
        F.framewise_metrics([["a"]], [["a"]], average="micro")
    with pytest.raises(DataError, match="one entry per video"):
        F.framewise_metrics([["a"]], [])


PUBLISHED = {
    "eval_video_ED-TCN_L2_C18": {
        "frame_accuracy": 0.734,
        "edit_score": 72.2,
        "segmental_f1@0.10": 0.765,
        "segmental_f1@0.25": 0.738,
        "segmental_f1@0.50": 0.645,
    }
}
"""Lea et al. 2017, table 1 (50 Salads, "eval" granularity): means over all five splits."""


@pytest.mark.parametrize("system", ["eval_video_ED-TCN_L2_C18", "eval_video_SVM"])
def test_real_predictions_on_50_salads(shared_data: Path, system: str) -> None:
    """The two splits at hand: exact against the definition, near the published five-split means."""
    import scipy.io

    files = sorted((shared_data / "annotations" / "50salads_framewise").glob(f"{system}_*.mat"))
    if not files:
        pytest.skip("50 Salads predictions are not at hand")
    parts = [scipy.io.loadmat(path) for path in files]
    truths = [y.ravel() for part in parts for y in part["Y"][0]]
    guesses = [p.ravel() for part in parts for p in part["P"][0]]
    metrics = F.framewise_metrics(truths, guesses, background=0, average="video")

    lists = [(y.tolist(), p.tolist()) for y, p in zip(truths, guesses, strict=True)]
    for threshold in (0.1, 0.25, 0.5):
        assert metrics[f"segmental_f1@{threshold:.2f}"] == pytest.approx(
            np.mean([plain_f1(y, p, threshold, 0) for y, p in lists])  # type: ignore[arg-type]
        )
    assert metrics["edit_score"] == pytest.approx(
        np.mean([plain_edit(y, p, 0) for y, p in lists])  # type: ignore[arg-type]
    )
    for name, value in PUBLISHED.get(system, {}).items():
        assert metrics[name] == pytest.approx(value, abs=0.05 * (100 if value > 1 else 1))
