"""CARL's evaluation, alignment, sampling and label preparation against the original's results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from actionspace.alignment.chunks import cut_clips
from actionspace.alignment.match import accumulate, align, distances, nearest, warp
from actionspace.alignment.sampling import (
    Draw,
    FrameSampling,
    block_length,
    offset_range,
    place,
    sample_views,
)
from actionspace.heads.phase_classifier import classify_phases, first_videos, fit_phases
from actionspace.heads.sgd_probe import SgdProbeConfig, fit_sgd_probe
from actionspace.metrics.frame_retrieval import retrieval_at_k
from actionspace.metrics.kendall_tau import kendalls_tau, similarity_image
from actionspace.metrics.phase_progression import phase_progression, progression_targets
from tests.golden.carl import Case, cases, parametrize

METRICS = cases("metrics")
WHOLE = [case for case in METRICS if "kendalls_tau" in case.values]
SAMPLING = cases("sampling")
DRAWN = [case for case in SAMPLING if "draws" in case.values]
STATISTICS = [case for case in SAMPLING if "draws" not in case.values]


def videos(case: Case, kind: str) -> list[np.ndarray]:
    tensors = case.tensors()
    numbers = (i for i in range(len(tensors)) if f"{kind}_{i}" in tensors)
    return [tensors[f"{kind}_{i}"].numpy() for i in numbers]


@parametrize(METRICS)
def test_kendalls_tau(case: Case) -> None:
    found = kendalls_tau(videos(case, "val"), stride=case.params["stride"])
    values = case.values
    if "tau" in values:
        assert found.mean == pytest.approx(values["tau"], abs=1e-12)
        assert found.undefined
        return
    scalars = values["kendalls_tau"]["scalars"]
    train = kendalls_tau(videos(case, "train"), stride=case.params["stride"])
    assert found.mean == pytest.approx(values["kendalls_tau"]["returned_val"], abs=1e-12)
    assert train.mean == pytest.approx(
        scalars[f"kendalls_tau/{case.name}_train_align_tau"], abs=1e-12
    )
    for i, j, _, tau in values["tau_pairs_val"]:
        assert found.pairs[i, j] == pytest.approx(tau, abs=1e-12, nan_ok=True)


@parametrize(WHOLE)
def test_neighbours_behind_tau(case: Case) -> None:
    stride, val = case.params["stride"], videos(case, "val")
    for i, j, neighbours, _ in case.values["tau_pairs_val"]:
        assert nearest(val[i][::stride], val[j][::stride]).tolist() == neighbours


@parametrize(WHOLE)
def test_similarity_image(case: Case) -> None:
    stride, val = case.params["stride"], videos(case, "val")
    image = similarity_image(
        val[0][::stride], val[1][::stride], temperature=0.1 if case.params["l2_normalize"] else 1
    )
    np.testing.assert_allclose(image, case.tensors()["sim_matrix_val_0_1_T"], atol=1e-6)


@parametrize(WHOLE)
def test_retrieval(case: Case) -> None:
    scalars = case.values["retrieval"]["scalars"]
    found = retrieval_at_k(
        videos(case, "val"),
        videos(case, "val_lab"),
        case.params["ks"],
        stride=case.params["stride"],
    )
    for k in case.params["ks"]:
        expected = scalars[f"AP/{case.name}_val set {k}_align_precision"]
        assert found[k] == pytest.approx(expected, abs=1e-12)


@parametrize(WHOLE)
def test_progression(case: Case) -> None:
    train, labels = videos(case, "train"), videos(case, "train_lab")
    val, val_labels = videos(case, "val"), videos(case, "val_lab")
    boundaries = case.params["num_classes"] - 1
    scalars = case.values["event_completion"]["scalars"]
    targets = progression_targets(val_labels[0], boundaries)
    np.testing.assert_allclose(targets, case.tensors()["event_targets_val_0"], atol=1e-12)
    for fraction in case.params["fractions"]:
        used = first_videos(fraction, len(train))
        found = phase_progression(
            train[:used], labels[:used], val, val_labels, boundaries=boundaries
        )
        for split, value in (("train", found.train), ("val", found.validation)):
            expected = scalars[f"event_completion/{split}_{case.name}_{fraction}_score"]
            assert value == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(found.per_boundary, case.values["event_r2_per_boundary"], atol=1e-6)


@parametrize(WHOLE)
@pytest.mark.parametrize("classifier", ["logistic", "svm"])
def test_classification(case: Case, classifier: Any) -> None:
    train, labels = videos(case, "train"), videos(case, "train_lab")
    val, val_labels = videos(case, "val"), videos(case, "val_lab")
    logistic = case.values["classification_logreg"]["scalars"]
    for fraction in case.params["fractions"]:
        used = first_videos(fraction, len(train))
        found = classify_phases(train[:used], labels[:used], val, val_labels, classifier=classifier)
        frames = (sum(map(len, train[:used])), sum(map(len, val)))
        for split, value, n in zip(("train", "val"), found, frames, strict=True):
            if classifier == "svm":
                expected = case.values["classification_svm_rbf_default"][str(fraction)][split]
            else:
                expected = logistic[f"classification/{split}_{case.name}_{fraction}_accuracy"]
            # One frame is allowed where scikit-learn stops short of the optimum.
            assert abs(value - expected) * n <= (1.01 if classifier == "logistic" else 1e-6)
    if classifier == "logistic":
        predict = fit_phases(np.concatenate(train), np.concatenate(labels))
        differing = predict(np.concatenate(val)) != np.array(case.values["logreg_val_pred"])
        assert differing.sum() <= 1


@parametrize(cases("finegym_probe"))
def test_sgd_probe(case: Case) -> None:
    p, tensors = case.params, case.tensors()
    found = fit_sgd_probe(
        videos(case, "train"),
        videos(case, "train_lab"),
        videos(case, "val"),
        videos(case, "val_lab"),
        classes=p["classes"],
        config=SgdProbeConfig(
            p["lr"], p["epochs"], p["momentum"], p["weight_decay"], p["videos_per_batch"]
        ),
        initial=(tensors["init_weight"].numpy(), tensors["init_bias"].numpy()),
        order=case.values["epoch_video_order"],
    )
    scalars = case.values["scalars"]
    assert 100 * found.train == pytest.approx(scalars["classification_1.0/train"], abs=1e-4)
    assert 100 * found.validation == pytest.approx(scalars["classification_1.0/val"], abs=1e-4)
    np.testing.assert_allclose(found.weight, tensors["final_weight"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.bias, tensors["final_bias"], rtol=1e-4, atol=1e-3)


@parametrize(cases("alignment"))
def test_alignment(case: Case) -> None:
    tensors, values = case.tensors(), case.values
    x, y, metric = tensors["x"].numpy(), tensors["y"].numpy(), case.params["dist"]
    cost = distances(x, y, metric)
    path = warp(cost)
    np.testing.assert_allclose(accumulate(cost), tensors["acc"], atol=1e-9)
    assert path.cost == pytest.approx(values["cost"], abs=1e-9)
    assert path.query.tolist() == values["path_x"]
    assert path.candidate.tolist() == values["path_y"]
    if "nn" in values:
        assert nearest(x, y, metric).tolist() == values["nn"]
    if "dtw_align" in values:
        assert align(x, y, "dtw", distance=metric).tolist() == values["dtw_align"]


def settings(case: Case) -> FrameSampling:
    p = case.params
    return FrameSampling(
        p["num_frames"],
        p.get("strategy", "time_augment"),
        "window" if p["dataset"] == "finegym" else "video",
        p["region"],
        p["consistent_offset"],
        p.get("num_contexts", 1),
        p.get("context_stride", 1),
        p["tcn_window"] if p.get("algo") == "tcn" else 0,
    )


@parametrize(DRAWN)
def test_sampling(case: Case) -> None:
    sampling, length, drawn = settings(case), case.params["seq_len"], case.values["draws"]
    ratio = drawn.get("ratio", 1.0)
    if "randperm_n" in drawn:
        assert block_length(sampling, length, ratio) == drawn["randperm_n"]
    if "offset" in drawn:
        block = block_length(sampling, length, ratio)
        low, high = offset_range(sampling, length, block, case.params["pre_steps_first"])
        assert (low, high) == (drawn["offset_low"], drawn["offset_high_exclusive"])
    picks = np.array(drawn.get("randperm", []), np.int64)
    shifts = np.array(drawn["tcn_shift"]) if "tcn_shift" in drawn else None
    found = place(sampling, length, Draw(ratio, drawn.get("offset", 0), picks, shifts))
    assert found.inputs.tolist() == case.values["steps"]
    assert found.chosen.tolist() == case.values["chosen_steps"]
    assert found.mask.tolist() == case.values["mask"]


@parametrize(STATISTICS)
def test_sampling_statistics(case: Case) -> None:
    """Means of 1000 free draws lie where those of the original's 4000 do, by standard errors."""
    expected, length = case.values, case.params["seq_len"]
    sampling = replace(settings(case), contexts=1)
    views = [sample_views(sampling, length, np.random.default_rng((7, i))) for i in range(1000)]
    first, second = zip(*views, strict=True)
    measured = {
        "mask_mean": [v.mask.mean() for v in first],
        "first_step_mean": [v.chosen[0] for v in first],
        "span_mean": [v.chosen[-1] - v.chosen[0] for v in first],
    }
    for name, sample in measured.items():
        error = np.std(sample) * np.sqrt(1 / 1000 + 1 / 4000)
        assert abs(np.mean(sample) - expected[name]) <= 4.5 * error + 1e-9, name
    apart = np.array([b.chosen[0] - a.chosen[0] for a, b in zip(first, second, strict=True)])
    assert np.std(apart) == pytest.approx(expected["second_minus_first_start_std"], rel=0.15)
    assert min(v.mask.mean() for v in first) >= expected["mask_min"] - 0.06


@parametrize(cases("embed_chunks"))
def test_clips(case: Case) -> None:
    p = case.params
    clips = cut_clips(
        p["seq_len"],
        p["frames_per_batch"],
        contexts=p["num_contexts"],
        context_stride=p["context_stride"],
    )
    expected = case.values["clips"]
    assert len(clips) == len(expected)
    for clip, entry in zip(clips, expected, strict=True):
        assert (len(clip.frames), len(clip.inputs)) == (entry["n"], entry["count"])
        assert clip.inputs[: len(entry["first"])].tolist() == entry["first"]
        assert clip.inputs[-len(entry["last"]) :].tolist() == entry["last"]
    assert sum(len(clip.frames) for clip in clips) == case.values["steps_len"]
