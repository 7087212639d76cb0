"""NMS, voting, score fusion and whole post-processing, as the published operators compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from actionspace.events.fusion import fuse_video_scores
from actionspace.events.nms import Groups, hard_nms, soft_nms
from actionspace.events.nms_in_order import diou_in_order
from actionspace.events.nms_videos import Detections, NmsOptions, cut_to_video, suppress
from actionspace.events.voting import vote
from tests.golden.tal import Case, cases, runs

DECAYS = ("vanilla", "linear", "gaussian")
OP, BATCHED, VOTING = runs("nms_op"), runs("nms_batched"), runs("seg_voting")
EVAL, FUSION = cases("eval_forward"), cases("score_fusion")


def close(ours: Any, theirs: Any, case: Case) -> None:
    np.testing.assert_allclose(
        np.asarray(ours),
        theirs,
        rtol=case.entry.get("rtol", 1e-6),
        atol=case.entry.get("atol", 1e-6),
    )


def placed(arrays: list[np.ndarray], kind: str) -> list[Any]:
    return [torch.from_numpy(a) for a in arrays] if kind == "torch" else arrays


@pytest.mark.skipif(not OP, reason="no golden/tal operator cases here")
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("case", "run"), OP, ids=lambda x: x["name"] if isinstance(x, dict) else ""
)
def test_operator(case: Case, run: dict[str, Any], kind: str) -> None:
    tensors = load_file(case.file("io"))
    spans, scores = (tensors[f"{run['name']}.{n}"] for n in ("segs", "scores"))
    sizes = np.array([len(scores)])
    groups = Groups(*placed([spans[None], scores[None], sizes], kind))
    if run["method"] == "hard":
        picks = hard_nms(groups, iou_threshold=run["iou_threshold"])
    else:
        options = {k: run[k] for k in ("sigma", "iou_threshold", "min_score")}
        picks = soft_nms(groups, decay=DECAYS[run["method"]], **options)  # type: ignore[arg-type]
        close(picks.scores[0], tensors[f"{run['name']}.dets"][:, 2], case)
        close(spans[np.asarray(picks.numbers[0])], tensors[f"{run['name']}.dets"][:, :2], case)
    np.testing.assert_array_equal(picks.numbers[0], tensors[f"{run['name']}.inds"])


def equal(ours: Detections, theirs: list[np.ndarray], case: Case) -> None:
    assert len(ours) == len(theirs[1])
    close(ours.segments, theirs[0], case)
    close(ours.scores, theirs[1], case)
    np.testing.assert_array_equal(ours.labels, theirs[2])


@pytest.mark.skipif(not BATCHED, reason="no golden/tal NMS cases here")
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("case", "run"), BATCHED, ids=lambda x: x["name"] if isinstance(x, dict) else ""
)
def test_whole_videos(case: Case, run: dict[str, Any], kind: str) -> None:
    tensors = load_file(case.file("io"))
    given = [tensors[f"{run['name']}.{n}"] for n in ("segs", "scores", "labels")]
    options = NmsOptions(
        "soft" if run["use_soft_nms"] else "hard",
        run["iou_threshold"],
        run["min_score"],
        run["max_seg_num"],
        run["sigma"],
        run["multiclass"],
        run["voting_thresh"],
    )
    (found,) = suppress([Detections(*placed(given, kind))], options)
    equal(found, [tensors[f"{run['name']}.out_{n}"] for n in ("segs", "scores", "labels")], case)


@pytest.mark.skipif(not VOTING, reason="no golden/tal voting case here")
@pytest.mark.parametrize(
    ("case", "run"), VOTING, ids=lambda x: str(x.get("thr")) if isinstance(x, dict) else ""
)
def test_voting(case: Case, run: dict[str, Any]) -> None:
    """Where the original gives NaN, for want of a neighbour, the segment stays."""
    t = load_file(case.file("io"))
    ours, theirs = (
        vote(t["nms_segs"], t["all_segs"], t["all_scores"], run["thr"]),
        t[f"out_{run['thr']}"],
    )
    lonely = np.isnan(theirs).any(axis=1)
    np.testing.assert_allclose(ours[~lonely], theirs[~lonely], rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(ours[lonely], t["nms_segs"][lonely])


@pytest.mark.skipif(not FUSION, reason="no golden/tal score fusion here")
@pytest.mark.parametrize("case", FUSION, ids=lambda c: c.id)
def test_score_fusion(case: Case) -> None:
    names = {"video-id": "video", "t-start": "start", "t-end": "end"}
    given, expected = (
        pd.DataFrame(case.entry[k]).rename(columns=names) for k in ("input", "expected")
    )
    ours = fuse_video_scores(
        given, case.entry["cls_scores"], segments=case.entry["num_pred"], best=case.entry["topk"]
    )
    for column in ("video", "label"):
        assert ours[column].tolist() == expected[column].tolist()
    for column in ("start", "end", "score"):
        np.testing.assert_allclose(ours[column], expected[column], rtol=1e-12)


def options_of(case: Case) -> NmsOptions:
    config = case.entry["config"]["test_cfg"]
    return NmsOptions(
        config["nms_method"],
        config["iou_threshold"],
        config["min_score"],
        config["max_seg_num"],
        config["nms_sigma"],
        config["multiclass_nms"],
        config["voting_thresh"],
    )


def as_sorted_there(video: Detections, min_score: float) -> Detections:
    """The candidates in the order in which the original's hard NMS takes them.

    It sorts by score in a way that mixes equals, in an order that depends on the processor; ours
    keeps their order.
    """
    enough = np.flatnonzero(video.scores > min_score)
    order = torch.from_numpy(video.scores[enough]).sort(descending=True)[1].numpy()
    return video.at(np.concatenate([enough[order], np.flatnonzero(video.scores <= min_score)]))


@pytest.mark.skipif(not EVAL, reason="no golden/tal model cases here")
@pytest.mark.parametrize("case", EVAL, ids=lambda c: c.id)
def test_from_candidates_to_seconds(case: Case) -> None:
    """All videos of a case in one batch."""
    tensors, options = load_file(case.file("io")), options_of(case)
    parts = ("segments", "scores", "labels")
    videos = [
        Detections(*(tensors[f"{run['prefix']}pre_nms.{n}"] for n in parts))
        for run in case.entry["runs"]
    ]
    if options.method == "hard":
        videos = [as_sorted_there(v, options.min_score) for v in videos]
    for run, found in zip(case.entry["runs"], suppress(videos, options), strict=True):
        theirs = [tensors[f"{run['prefix']}post.{n}"] for n in parts]
        frames = found.segments * run["feat_stride"] + 0.5 * run["feat_num_frames"]
        seconds = Detections(frames / run["fps"], found.scores, found.labels)
        equal(cut_to_video(seconds, run["duration"]), theirs, case)


FORK, FORK_EVAL = runs("nms_diou"), cases("fork_full_eval")


def fork_options(run: dict[str, Any]) -> NmsOptions:
    """A run of the fork's batched suppression."""
    return NmsOptions(
        "diou_in_order" if run["use_diou_nms"] else "soft",
        run["iou_threshold"],
        run["min_score"],
        run["max_seg_num"],
        run["sigma"],
        run["multiclass"],
        run["voting_thresh"],
        class_sigma={int(k): v for k, v in (run.get("class_sigma") or {}).items()},
    )


@pytest.mark.skipif(not FORK, reason="no golden/tal cases of distance-IoU suppression here")
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("case", "run"), FORK, ids=lambda x: x["name"] if isinstance(x, dict) else ""
)
def test_distance_iou(case: Case, run: dict[str, Any], kind: str) -> None:
    tensors, name = load_file(case.file("io")), run["name"]
    given = [tensors[f"{run.get('input', name)}.{n}"] for n in ("segs", "scores", "labels")]
    theirs = [tensors[f"{name}.out_{n}"] for n in ("segs", "scores", "labels")]
    if "input" in run:
        (found,) = suppress([Detections(*placed(given, kind))], fork_options(run))
        equal(found, theirs, case)
        return
    groups = Groups(*placed([given[0][None], given[1][None], np.array([len(given[1])])], kind))
    most = run["max_num"] if run["max_num"] > 0 else None
    picks = diou_in_order(groups, sigma=run["sigma"], min_score=run["min_score"], most=most)
    kept = np.asarray(picks.numbers[0, : int(picks.sizes[0])])
    equal(Detections(given[0][kept], picks.scores[0, : len(kept)], given[2][kept]), theirs, case)
