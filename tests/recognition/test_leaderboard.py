"""Frozen encoders compared: who is tested on what, what is kept, what is said."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.table import Events
from actionspace.metrics.classification import mean_class_accuracy
from actionspace.metrics.intervals import bootstrap
from actionspace.recognition.leaderboard import compare as comparing
from actionspace.recognition.leaderboard import heads as leaderboard_heads
from actionspace.recognition.leaderboard.compare import compare
from actionspace.recognition.leaderboard.options import Options
from actionspace.recognition.leaderboard.plan import few_labels, inner_splits, make_plan, scarce
from actionspace.recognition.leaderboard.scores import Judge
from actionspace.recognition.leaderboard.table import table
from tests.recognition import tiny
from tests.recognition.conftest import recipe

MEAN = "tests.recognition.test_leaderboard:brightness"


def brightness() -> Any:
    """An encoder that cannot tell motions apart."""
    module = tiny.Motion()
    whole = module.forward
    module.forward = lambda x: whole(x)[:, 3:4].repeat(1, 5)  # type: ignore[method-assign]
    return module


@pytest.fixture(scope="module")
def board_folder(work: Path) -> Path:
    return work / "board"


@pytest.fixture
def board(clips: Events, board_folder: Path) -> dict[str, Any]:
    """Two encoders and one that is not there, four heads, few-shot curves; kept between tests."""
    asked = Options(folds=3, shots=(1, 2, 9), draws=2, bootstrap=50)
    return compare(
        recipe(), [tiny.ENCODER, MEAN, "starterr"], data=clips, out=board_folder, options=asked
    )


def test_the_encoder_that_sees_motion_wins(board: dict[str, Any], board_folder: Path) -> None:
    rows = board["rows"]
    assert len(rows) == 8 and rows[0]["encoder"] == tiny.ENCODER
    values = [row["mean_class_accuracy"] for row in rows]
    assert values == sorted(values, reverse=True) and values[0] > 0.9
    blind = [row for row in rows if row["encoder"] == MEAN]
    assert all(row["mean_class_accuracy"] < 0.7 and row["behind_best"] < -0.2 for row in blind)
    assert any(row["apart_from_best"] for row in blind)
    assert rows[0]["behind_best"] == 0 and not rows[0]["apart_from_best"]
    assert board["protocol"]["events"] == 18 and board["protocol"]["groups"] == 6
    assert "starterr" in board["failed"] and "starter" in board["failed"]["starterr"]
    assert board["command"].endswith(f"encoder={tiny.ENCODER} folds=3")
    assert "folds=3" in board["command"] and "3 grouped folds" in board["protocol"]["how"]
    assert json.loads((board_folder / "leaderboard.json").read_text())["rows"][0]["head"]
    with (board_folder / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 8 and float(lines[0]["mean_class_accuracy_low"]) <= values[0]
    assert len(table(board)) == 8 and table(board)[0]["behind the best"] == "best"


def test_few_shot_curves_rise_and_say_where_labels_lack(board: dict[str, Any]) -> None:
    curves = {(c["encoder"], c["head"]): c["points"] for c in board["few_shot"]}
    assert len(curves) == 8
    points = curves[tiny.ENCODER, "linear"]
    assert [p["shots"] for p in points] == [1, 2, 9]
    assert points[-1]["value"] >= points[0]["value"]
    for point in points:
        assert point["interval"][0] <= point["value"] <= point["interval"][1]
    assert any("Fewer than 9 labels" in note and "still" in note for note in board["notes"])
    assert not any("Fewer than 2 labels" in note for note in board["notes"])


def test_what_is_finished_is_not_done_again(
    board: dict[str, Any],
    clips: Events,
    board_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    real = leaderboard_heads.answer

    def counted(head: str, *args: Any, **more: Any) -> Any:
        done.append(head)
        return real(head, *args, **more)

    monkeypatch.setattr(comparing, "answer", counted)
    monkeypatch.setattr(comparing, "answer_few", None)  # must not be asked at all
    asked = Options(folds=3, shots=(1, 2, 9), draws=2, bootstrap=50)
    again = compare(
        recipe(), [tiny.ENCODER, MEAN, "starterr"], data=clips, out=board_folder, options=asked
    )
    assert not done and again == board
    part = next((board_folder / "parts").glob("*linear-*.json"))
    part.write_text("{")  # a damaged part is made again, others are taken over
    once = compare(
        recipe(),
        [tiny.ENCODER, MEAN],
        data=clips,
        out=board_folder,
        options=replace(asked, shots=()),
    )
    assert done == ["linear"] and len(once["rows"]) == 8 and not once["few_shot"]
    compare(recipe(), [MEAN], data=clips, out=board_folder, options=Options(("knn",), 3, seed=1))
    assert done == ["linear", "knn"]


def test_splits_choose_on_validation_and_test_on_test(split: Events, tmp_path: Path) -> None:
    plan = make_plan(split, "label", None, 0)
    [trial] = plan.trials
    assert (trial.learn.sum(), trial.validation.sum(), trial.test.sum()) == (15, 3, 3)
    assert not (trial.learn & trial.test).any() and (trial.validation & ~trial.learn).sum() == 0
    rows = np.flatnonzero(trial.learn)
    masks = inner_splits(plan.truth[rows], plan.groups[rows], trial.validation[rows], 3, 0)
    assert [mask.tolist() for mask in masks] == [(~trial.validation[rows]).tolist()]
    found = compare(
        recipe(), [tiny.ENCODER], data=split, out=tmp_path, options=Options(("linear", "ridge"))
    )
    assert found["protocol"]["events"] == 3 and "folds" not in found["command"]
    no_test = replace(split, videos=split.videos.assign(split="train"))
    with pytest.raises(DataError, match=r"split 'test'.*--folds"):
        make_plan(no_test, "label", None, 0)
    assert len(make_plan(no_test, "label", 2, 0).trials) == 2


def test_no_group_is_on_both_sides(clips: Events) -> None:
    plan = make_plan(clips, "label", None, 0)
    assert len(plan.trials) == 5 and plan.tested.all()
    for trial in plan.trials:
        assert not set(plan.groups[trial.learn]) & set(plan.groups[trial.test])
        rows = np.flatnonzero(trial.learn)
        nobody = np.zeros(len(rows), bool)
        for mask in inner_splits(plan.truth[rows], plan.groups[rows], nobody, 3, 0):
            assert not set(plan.groups[rows][mask]) & set(plan.groups[rows][~mask])


def test_few_labels_are_nested_and_of_the_training_part(clips: Events) -> None:
    plan = make_plan(clips, "label", 3, 0)
    drawn: dict[int, list[np.ndarray]] = {}
    for at, draw, kept in few_labels(plan, 1, (1, 3, 99), 2, 0):
        assert not (kept & ~plan.trials[1].learn).any()
        drawn.setdefault(draw, []).append(kept)
        each = np.bincount(plan.truth[kept], minlength=3)
        assert each.tolist() == [min((1, 3, 99)[at], 4)] * 3
    for small, middle, whole in drawn.values():
        assert not (small & ~middle).any() and (whole == plan.trials[1].learn).all()
    assert (drawn[0][0] != drawn[1][0]).any()
    assert scarce(plan, 4) == () and scarce(plan, 5) == plan.classes


def test_scores_and_intervals_are_those_of_the_metrics() -> None:
    rng = np.random.default_rng(0)
    truth, groups = rng.integers(0, 3, 90), rng.integers(0, 12, 90)
    guess = np.where(rng.random(90) < 0.6, truth, rng.integers(0, 3, 90))
    judge = Judge(truth, groups, 3, 400, 0)
    score = judge.mean_class_accuracy(guess)
    hot = np.eye(3)
    assert score.value == pytest.approx(mean_class_accuracy(hot[guess], truth))

    def measure(g: np.ndarray, t: np.ndarray) -> float:
        return mean_class_accuracy(hot[g], t)

    assert score.interval == pytest.approx(bootstrap(measure, guess, truth, groups=groups, n=400))
    assert judge.top1_accuracy(guess).value == pytest.approx((guess == truth).mean())
    nothing = score.minus(score)
    assert nothing.value == 0 and nothing.interval == (0, 0)
    # The same answers drawn several times say what one says, over groups alone.
    many = judge.mean_class_accuracy(np.stack([guess] * 4))
    assert many.value == pytest.approx(score.value)
    assert many.interval == pytest.approx(score.interval)
    lone = Judge(truth, np.zeros(90, int), 3, 10, 0).mean_class_accuracy(guess)
    assert np.isnan(lone.interval).all()


def test_videos_that_one_encoder_lacks_are_left_out_for_all(
    clips: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = comparing.make_features
    gone = clips.videos["video"].iloc[0]

    def without(name: str, recipe: Any, events: Events, kept: Any, *, tokens: bool) -> Any:
        if name == tiny.ENCODER:
            return real(name, recipe, events, kept, tokens=tokens)
        others = events.select(videos=[v for v in events.videos["video"] if v != gone])
        monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path / "cache"))
        made = real(name, recipe, others, kept, tokens=tokens)
        return replace(made, skipped={gone: "too short"})

    monkeypatch.setattr(comparing, "make_features", without)
    found = compare(
        recipe(),
        [tiny.ENCODER, MEAN],
        data=clips,
        out=tmp_path / "board",
        options=Options(("centroid",), folds=3),
    )
    assert found["protocol"]["events"] == 17
    assert found["left_out"] == {gone: f"{MEAN}: too short"}


def test_attentive_looks_at_tokens_and_others_at_their_mean(clips: Events, tmp_path: Path) -> None:
    asked = Options(("attentive", "ridge"), folds=2)
    found = compare(recipe(), [tiny.ENCODER], data=clips, out=tmp_path, options=asked)
    heads = {row["head"]: row for row in found["rows"]}
    assert heads["ridge"]["mean_class_accuracy"] > 0.8
    assert heads["attentive"]["chosen"][0]["lr"] > 0
    # Pooled features are the tokens' mean, so that one pass through the encoder serves both.
    pooled = compare(
        recipe(), [tiny.ENCODER], data=clips, out=tmp_path, options=Options(("ridge",), folds=2)
    )
    difference = heads["ridge"]["mean_class_accuracy"] - pooled["rows"][0]["mean_class_accuracy"]
    assert abs(difference) < 0.06


def test_what_cannot_be_compared_is_refused(clips: Events, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'lineer'.*linear"):
        compare(recipe(), ["starter"], data=clips, out=tmp_path, options=Options(("lineer",)))
    with pytest.raises(UsageError, match="encoder"):
        compare(recipe(), [], data=clips, out=tmp_path)
    with pytest.raises(UsageError, match="shots"):
        compare(recipe(), ["starter"], data=clips, out=tmp_path, options=Options(shots=(0,)))
    with pytest.raises(RunError, match=r"(?s)None of the encoders.*starterr.*swinn3d"):
        compare(recipe(), ["starterr", "swinn3d_t"], data=clips, out=tmp_path)
    several = replace(clips, rows=clips.rows.assign(label="still|left"))
    with pytest.raises(DataError, match="one per event"):
        compare(recipe(), ["starter"], data=several, out=tmp_path)
