"""Fusion: the weighted mean it says, events and classes matched by name, more senses know more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from actionspace.cli import main
from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.table import Events
from actionspace.recognition.blend import blend, fit_weights
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.fit import train
from actionspace.recognition.fuse import fuse
from actionspace.recognition.predict import predictions
from actionspace.training.predictions import (
    Predictions,
    predicted_events,
    read_predictions,
    write_predictions,
)
from actionspace.training.run import Run
from actionspace.video.write import write_video
from tests.recognition import tiny
from tests.recognition.conftest import recipe
from tests.video import sounding

CLASSES = ["a", "b", "c"]


def _probabilities(seed: int, events: int, classes: int = 3) -> np.ndarray:
    return softmax(np.random.default_rng(seed).normal(0, 2, (events, classes)), axis=1)


def _folder(
    path: Path,
    values: np.ndarray,
    classes: list[str] = CLASSES,
    names: list[str] | None = None,
    true: list[str] | None = None,
    ids: list[str] | None = None,
    **about: Any,
) -> Path:
    """Write predictions of one clip per video."""
    names = names or [f"{i}.mp4" for i in range(len(values))]
    rows = pd.DataFrame(
        {
            "id": ids or [f"e{name}" for name in names],
            "video": names,
            "label": [classes[i] for i in values.argmax(axis=1)],
            "score": values.max(axis=1),
        }
    )
    truth = None
    if true:
        truth = rows.drop(columns="score").assign(label=true)
        rows["label_true"] = true
    videos = pd.DataFrame({"video": sorted(set(names)), "duration": 1.0})
    events = predicted_events(rows, videos, "data", ("label",))
    if truth is not None:
        truth = Events.from_frames(truth, videos, Path("data")).rows
    head = {"classes": classes, "multi_label": False, "thresholds": []} | about
    labels = {"heads": {"label": head}, "untrimmed": [], "skipped": {}, "background": {}}
    scores = {"label": values.astype(np.float32)}
    return write_predictions(
        Predictions(events, scores, labels, pd.DataFrame(columns=["video"]), truth=truth), path
    )


# ---- the arithmetic ---------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.integers(0, 100),
    st.lists(st.floats(0, 5), min_size=2, max_size=4).filter(lambda w: sum(w) > 0.1),
    st.booleans(),
)
def test_blend_is_the_weighted_mean(seed: int, weights: list[float], multi: bool):
    w = np.array(weights) / sum(weights)
    raw = np.random.default_rng(seed).normal(0, 2, (len(w), 6, 4))
    p = expit(raw) if multi else softmax(raw, axis=2)
    np.testing.assert_allclose(blend(p, w, "prob", multi), np.tensordot(w, p, 1), atol=1e-12)
    mean = np.tensordot(w, raw, 1)
    expected = expit(mean) if multi else softmax(mean, axis=1)
    np.testing.assert_allclose(blend(p, w, "score", multi), expected, atol=1e-9)


@pytest.mark.parametrize("average", ["prob", "score"])
def test_a_model_that_says_nothing_leaves_it_to_the_others(average: Any):
    p = np.stack([_probabilities(0, 4), _probabilities(1, 4)])
    p[1, 0] = np.nan
    p[:, 1] = np.nan
    found = blend(p, np.array([0.3, 0.7]), average, False)
    np.testing.assert_allclose(found[0], p[0, 0])
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(blend(p, np.array([0.0, 1.0]), average, False)[0], p[0, 0])
    assert not np.isnan(found[2:]).any()


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("average", ["prob", "score"])
def test_fitted_weights_are_the_best_of_a_fine_grid(average: Any, multi: bool):
    rng = np.random.default_rng(5)
    targets = rng.integers(0, 4, 300)
    hot = np.eye(4)[targets]
    told = hot.astype(bool) if multi else targets
    raw = np.stack([hot * size + rng.normal(0, 1, hot.shape) for size in (2.0, 1.0, 0.0)])
    p = expit(raw) if multi else softmax(raw, axis=2)

    def loss(w: np.ndarray) -> float:
        q = np.clip(blend(p, w, average, multi), 1e-12, 1)
        if multi:
            return float(-np.where(told, np.log(q), np.log(np.clip(1 - q, 1e-12, 1))).mean())
        return float(-np.log(q[np.arange(300), targets]).mean())

    best = fit_weights(p, told, average, multi)
    assert best.sum() == pytest.approx(1) and (best >= 0).all()
    steps = np.linspace(0, 1, 21)
    grid = [np.array([x, y, 1 - x - y]) for x in steps for y in steps if x + y <= 1]
    assert loss(best) <= min(map(loss, grid)) + 1e-6
    assert best[0] > best[1] > best[2]


# ---- folders ----------------------------------------------------------------------------------


def test_classes_are_matched_by_name_and_the_result_is_a_predictions_folder(tmp_path: Path):
    p, q = _probabilities(0, 8), _probabilities(1, 8)
    true = [CLASSES[i] for i in p.argmax(axis=1)]
    _folder(tmp_path / "p", p, true=true)
    _folder(tmp_path / "q", q[:, [2, 0, 1]], ["c", "a", "b"], true=true)
    fuse([tmp_path / "p", tmp_path / "q"], tmp_path / "f", weights=[3, 1])
    found = read_predictions(tmp_path / "f")
    assert found.classes() == CLASSES
    np.testing.assert_allclose(found.scores["label"], 0.75 * p + 0.25 * q, atol=1e-6)
    assert found.labels["fused"]["weights"] == [0.75, 0.25]
    assert found.labels["fused"]["missing"] == {}
    mixed = 0.75 * p + 0.25 * q
    assert list(found.events.rows["label"]) == [CLASSES[i] for i in mixed.argmax(axis=1)]
    metrics = evaluate(tmp_path / "f", bootstrap=0)
    assert metrics["top1_accuracy"] == (mixed.argmax(axis=1) == p.argmax(axis=1)).mean()


def test_events_are_matched_by_id_or_time_and_what_is_missing_is_told(tmp_path: Path):
    p, q = _probabilities(0, 4), _probabilities(1, 4)
    _folder(tmp_path / "p", p, names=["0.mp4", "1.mp4", "2.mp4", "3.mp4"])
    order = ["2.mp4", "0.mp4", "9.mp4", "1.mp4"]
    _folder(tmp_path / "q", q, names=order, ids=["x", "e0.mp4", "y", "z"])
    found = fuse([tmp_path / "p", tmp_path / "q"])
    by_video = dict(zip(found.events.rows["video"], found.scores["label"], strict=True))
    assert list(by_video) == ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "9.mp4"]
    for video, expected in {
        "0.mp4": (p[0] + q[1]) / 2,
        "1.mp4": (p[1] + q[3]) / 2,
        "2.mp4": (p[2] + q[0]) / 2,
        "3.mp4": p[3],
        "9.mp4": q[2],
    }.items():
        np.testing.assert_allclose(by_video[video], expected, atol=1e-6, err_msg=video)
    told = found.labels["fused"]["missing"]
    assert told == {str(tmp_path / "p"): ["y"], str(tmp_path / "q"): ["e3.mp4"]}


def test_numbered_events_of_two_manifests_are_kept_apart(tmp_path: Path):
    p, q = _probabilities(0, 2), _probabilities(1, 2)
    true = [[CLASSES[i] for i in values.argmax(axis=1)] for values in (p, q)]
    _folder(tmp_path / "p", p, names=["a.mp4", "b.mp4"], ids=["0", "1"], true=true[0])
    _folder(
        tmp_path / "q", q, names=["b.mp4", "c.mp4"], ids=["0", "1"], true=[true[0][1], true[1][1]]
    )
    found = fuse([tmp_path / "p", tmp_path / "q"], tmp_path / "f", weights=[0.9, 0.1])
    assert list(found.events.rows["id"]) == ["a.mp4#0", "b.mp4#1", "c.mp4#1"]
    metrics = evaluate(tmp_path / "f", bootstrap=0)
    assert metrics["top1_accuracy"] == 1 and metrics["protocol"]["unscored_events"] == 0


def test_two_animals_at_the_same_time_are_told_apart_by_id(tmp_path: Path):
    p = _probabilities(0, 2)
    names = ["0.mp4", "0.mp4"]
    for name, order in (("p", [0, 1]), ("q", [1, 0])):
        ids = [f"e{i}" for i in order]
        _folder(tmp_path / name, p[order], names=names, ids=ids)
    found = fuse([tmp_path / "p", tmp_path / "q"])
    np.testing.assert_allclose(found.scores["label"], p, atol=1e-6)


def test_pictures_and_flow_of_a_video_lie_in_folders_of_one_name(tmp_path: Path):
    p, q = _probabilities(0, 3), _probabilities(1, 3)
    true = [CLASSES[i] for i in p.argmax(axis=1)]
    ids = ["P01_01_0", "P01_02_0", "P01_02_1"]
    names = [f"P01/{{}}/P01_0{i}" for i in (1, 2, 2)]
    for folder, values, kind in (("p", p, "rgb_frames"), ("q", q, "flow_frames")):
        videos = [name.format(kind) for name in names]
        _folder(tmp_path / folder, values, names=videos, ids=ids, true=true)
    found = fuse([tmp_path / "p", tmp_path / "q"], tmp_path / "f")
    assert found.labels["fused"]["missing"] == {}
    assert list(found.events.rows["video"]) == [name.format("rgb_frames") for name in names]
    np.testing.assert_allclose(found.scores["label"], (p + q) / 2, atol=1e-6)
    assert evaluate(tmp_path / "f", bootstrap=0)["protocol"]["unscored_events"] == 0
    # Where paths do agree, a name alone is no video: two cameras may well number theirs alike.
    _folder(tmp_path / "r", q, names=["a/1.mp4", "a/2.mp4", "b/1.mp4"])
    _folder(tmp_path / "s", p, names=["a/1.mp4", "c/2.mp4", "c/3.mp4"])
    assert len(fuse([tmp_path / "r", tmp_path / "s"]).events.rows) == 5
    # And a name that two videos have tells neither.
    _folder(tmp_path / "t", q, names=["x/1.mp4", "x/2.mp4", "y/1.mp4"])
    _folder(tmp_path / "u", p, names=["z/1.mp4", "z/2.mp4", "z/3.mp4"])
    assert len(fuse([tmp_path / "t", tmp_path / "u"]).events.rows) == 5


def test_weights_are_fitted_on_labelled_predictions(tmp_path: Path):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 200)
    true = [CLASSES[i] for i in targets]
    good = softmax(2 * np.eye(3)[targets] + rng.normal(0, 1, (200, 3)), axis=1)
    _folder(tmp_path / "good", good, true=true)
    _folder(tmp_path / "bad", _probabilities(3, 200)[:, [1, 0, 2]], ["b", "a", "c"], true=true)
    paths = [tmp_path / "good", tmp_path / "bad"]
    found = fuse(paths, fit_on=paths)
    good_weight, bad_weight = found.labels["fused"]["weights"]
    assert good_weight > 0.9 > bad_weight
    _folder(tmp_path / "unlabelled", good)
    with pytest.raises(DataError, match="without annotations"):
        fuse(paths, fit_on=[tmp_path / "unlabelled"] * 2)


def test_what_does_not_fit_is_refused(tmp_path: Path):
    p = _folder(tmp_path / "p", _probabilities(0, 3))
    typo = _folder(tmp_path / "typo", _probabilities(0, 3), ["a", "bb", "c"])
    fewer = _folder(tmp_path / "fewer", _probabilities(0, 3, 2), ["a", "b"])
    several = _folder(tmp_path / "several", _probabilities(0, 3), multi_label=True)
    with pytest.raises(DataError, match=r"typo lacks the class 'b'\. Did you mean 'bb'\?"):
        fuse([p, typo])
    with pytest.raises(DataError, match="fewer lacks the class 'c'"):
        fuse([p, fewer])
    with pytest.raises(DataError, match="alone has the class 'c'"):
        fuse([fewer, p])
    with pytest.raises(DataError, match="several labels per event"):
        fuse([p, several])
    for weights in ([1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(UsageError, match="do not fit: 2 numbers"):
            fuse([p, p], weights=weights)
    with pytest.raises(UsageError, match="neither 'prob' nor 'score'"):
        fuse([p, p], average="scores")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exclude each other"):
        fuse([p, p], weights=[1, 1], fit_on=[p, p])
    with pytest.raises(UsageError, match="one per model"):
        fuse([p, p], fit_on=[p])
    with pytest.raises(UsageError, match="nothing to fuse"):
        fuse([p])
    with pytest.raises(RunError, match="no predictions folder"):
        fuse([p, tmp_path])
    assert not list(tmp_path.glob("out*"))


def test_untrimmed_videos_are_fused_over_time(long_run: Run, work: Path, tmp_path: Path):
    source = work / "long" / "events.csv"
    predictions(long_run, source, split="test", out=tmp_path / "p")
    alone = evaluate(tmp_path / "p", bootstrap=0)
    fuse([tmp_path / "p", tmp_path / "p"], tmp_path / "f")
    again = evaluate(tmp_path / "f", bootstrap=0)
    for name in ("top1_accuracy", "frame_accuracy", "segmental_f1@0.50", "edit_score"):
        assert again[name] == pytest.approx(alone[name], abs=1e-6), name
    p, f = read_predictions(tmp_path / "p"), read_predictions(tmp_path / "f")
    pd.testing.assert_frame_equal(
        f.events.rows[["video", "start", "end", "label"]],
        p.events.rows[["video", "start", "end", "label"]],
    )
    np.testing.assert_allclose(f.scores["label"], p.scores["label"], atol=1e-5)


# ---- sight and sound --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sight_and_sound(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Four classes: what moves which way is seen, the pitch of the sound is heard.

    ``right`` and ``left`` are seen alone, ``high`` and ``low`` heard alone; so each sense can
    answer half of the question.
    """
    root = tmp_path_factory.mktemp("senses")
    rng = np.random.default_rng(0)
    rows, videos = [], []
    for group in range(14):
        for motion in ("right", "left"):
            for pitch in (500, 1500):
                video = f"{group}_{motion}_{pitch}.mkv"
                pictures = tiny.frames([(motion, 20)], int(rng.integers(1000)))
                noise = rng.normal(0, 0.05, round(0.8 * 44_100))
                sound = sounding.tone(0.8, pitch * rng.uniform(0.9, 1.1)) + noise
                codec = "aac" if group % 2 else "pcm_s16le"
                sounding.write(root / video, pictures, sound, codec=codec)
                name = f"{motion}-{'low' if pitch == 500 else 'high'}"
                rows.append({"video": video, "label": name})
                split = "train" if group < 8 else "val" if group < 11 else "test"
                videos.append({"video": video, "group": f"g{group}", "split": split})
    mute = root / "mute.mkv"
    write_video(mute, tiny.frames([("left", 20)], 5), tiny.FPS)
    rows.append({"video": "mute.mkv", "label": "left-low"})
    videos.append({"video": "mute.mkv", "group": "mute", "split": "test"})
    return Events.from_frames(pd.DataFrame(rows), pd.DataFrame(videos), root)


def test_sight_and_sound_know_more_than_either(sight_and_sound: Events, tmp_path: Path):
    runs = {
        name: train(
            recipe("head.refit=false", *more),
            data=sight_and_sound,
            out=tmp_path / name,
            report=False,
        )
        for name, more in {"sight": (), "sound": ("encoder=logmel",)}.items()
    }
    accuracy = {
        n: evaluate(tmp_path / n, sight_and_sound, bootstrap=0)["top1_accuracy"] for n in runs
    }
    for name in runs:
        predictions(runs[name], sight_and_sound, split="val", out=tmp_path / f"{name}_val")
        predictions(runs[name], sight_and_sound, split="test", out=tmp_path / f"{name}_test")
    assert "no sound track" in read_predictions(tmp_path / "sound_test").skipped["mute.mkv"]
    tests, vals = ([tmp_path / f"{name}_{part}" for name in runs] for part in ("test", "val"))
    found = fuse(tests, tmp_path / "fused", fit_on=vals, average="score")
    fused = evaluate(tmp_path / "fused", bootstrap=0)["top1_accuracy"]
    print(accuracy, "fused", fused, found.labels["fused"]["weights"])
    assert fused > 0.75 and fused >= max(accuracy.values()) + 0.25
    assert "mute.mkv" in set(found.events.rows["video"])  # by sight alone
    [(_, missing)] = found.labels["fused"]["missing"].items()
    assert len(missing) == 1


def test_the_verb_fuses_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [_folder(tmp_path / name, _probabilities(i, 4)) for i, name in enumerate("pq")]
    arguments = ["fuse", *map(str, paths), "--weights", "3:1", "--out", str(tmp_path / "f")]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--average", "score"])
    assert stop.value.code == 0
    assert "0.750" in capsys.readouterr().out
    found = read_predictions(tmp_path / "f").labels["fused"]
    assert found["weights"] == [0.75, 0.25] and found["average"] == "score"
    with pytest.raises(SystemExit) as stop:
        main(["fuse", str(paths[0]), "--out", str(tmp_path / "g")])
    assert stop.value.code == 2 and not (tmp_path / "g").exists()
    assert "nothing to fuse" in capsys.readouterr().err
