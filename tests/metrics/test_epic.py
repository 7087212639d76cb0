"""EPIC-KITCHENS-100 figures, counted slowly; submissions written, read, checked."""

from __future__ import annotations

import itertools
import json
import zipfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from actionspace.errors import DataError
from actionspace.metrics import epic
from actionspace.metrics.epic_submission import (
    Supervision,
    check_submission,
    official_columns,
    read_submission,
    submission,
    write_submission,
)


def scores(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, epic.VERBS)), rng.normal(size=(rows, epic.NOUNS))


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 12))
def test_actions_are_the_best_pairs(seed: int, verbs: int, nouns: int) -> None:
    rng = np.random.default_rng(seed)
    verb, noun, kept = rng.normal(size=(1, verbs)), rng.normal(size=(1, nouns)), 5
    best = epic.action_scores(verb, noun, kept)

    def softmax_of_kept(row: np.ndarray) -> dict[int, float]:
        order = sorted(range(len(row)), key=lambda i: -row[i])[:kept]
        total = sum(np.exp(row[i]) for i in order)
        return {i: np.exp(row[i]) / total for i in order}

    v, n = softmax_of_kept(verb[0]), softmax_of_kept(noun[0])
    slow = sorted(((v[a] * n[b], a, b) for a, b in itertools.product(v, n)), reverse=True)[:kept]
    assert best.scores[0] == pytest.approx([s for s, _, _ in slow])
    assert list(zip(best.verbs[0], best.nouns[0], strict=True)) == [(a, b) for _, a, b in slow]


def test_figures_by_hand() -> None:
    verb, noun = scores(4, 0)
    verbs, nouns = np.array([3, 3, 8, 12]), np.array([7, 250, 7, 60])
    for row, (v, n) in enumerate(zip(verbs, nouns, strict=True)):
        verb[row, v] = 9 if row != 1 else -9  # row 1: verb never found
        noun[row, n] = 9 if row != 2 else 2.5  # row 2: noun among the best five only
        noun[row, 299] = 5 if row == 2 else noun[row, 299]
    subsets = epic.subsets_of([None, "unseen|tail_noun", "unseen", "tail_verb|tail_noun"])
    figures = epic.recognition_metrics(verb, noun, verbs, nouns, subsets)
    assert figures["verb_top1_accuracy"] == 0.75 and figures["verb_top5_accuracy"] == 0.75
    assert figures["noun_top1_accuracy"] == 0.75 and figures["noun_top5_accuracy"] == 1
    assert figures["action_top1_accuracy"] == 0.5 and figures["action_top5_accuracy"] == 0.75
    assert figures["unseen_verb_top1_accuracy"] == 0.5
    assert figures["unseen_action_top1_accuracy"] == 0
    assert figures["tail_verb_top1_accuracy"] == 1  # row 3
    assert figures["tail_noun_top1_accuracy"] == 1  # rows 1 and 3
    assert figures["tail_action_top1_accuracy"] == 0.5  # rows 1 and 3, either
    recall = epic.anticipation_metrics(verb, noun, verbs, nouns, subsets)
    assert recall["verb_mean_top5_recall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert recall["noun_mean_top5_recall"] == 1
    assert recall["action_mean_top5_recall"] == pytest.approx(3 / 4)
    empty = epic.recognition_metrics(verb, noun, verbs, nouns, epic.subsets_of([None] * 4))
    assert np.isnan(empty["unseen_noun_top1_accuracy"])


def test_rows_must_agree() -> None:
    with pytest.raises(DataError, match="2 rows of verb scores and 3"):
        epic.action_scores(np.ones((2, 97)), np.ones((3, 300)))
    with pytest.raises(DataError, match="97"):
        epic.recognition_metrics(*scores(1, 0), [97], [0])
    with pytest.raises(DataError, match="2 segments, 1 rows"):
        submission(["a", "b"], *scores(1, 0))


def test_columns_are_put_in_the_official_order() -> None:
    official = ("take", "put", "wash")
    ours = official_columns([[1.0, 3.0], [5.0, 2.0]], ["wash", "take"], official)
    assert ours[:, [0, 2]].tolist() == [[3, 1], [2, 5]]
    assert (ours[:, 1] < -15).all() and np.isfinite(ours).all()  # 'put' is not known
    with pytest.raises(DataError, match=r"'whash' is no class .* Did you mean 'wash'"):
        official_columns([[1.0]], ["whash"], official)
    with pytest.raises(DataError, match="1 names for 2 columns"):
        official_columns([[1.0, 2.0]], ["wash"], official)


def test_a_submission_is_written_and_read_back(tmp_path: Path) -> None:
    ids = ["P33_101_0", "P34_02_1"]
    content = submission(ids, *scores(2, 1), supervision=Supervision(sls_pt=0, sls_tl=3, sls_td=3))
    assert all(len(row["action"]) == 100 for row in content["results"].values())
    path = write_submission(content, tmp_path / "out.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["test.json"]
        inside = json.loads(archive.read("test.json"))
    assert inside == content == read_submission(path)
    assert (inside["sls_pt"], inside["version"]) == (0, "0.2")
    check_submission(read_submission(path), reversed(ids))
    again = write_submission(content, tmp_path / "again.zip")
    assert again.read_bytes() == path.read_bytes()
    (tmp_path / "bare.json").write_text(json.dumps(content))
    assert read_submission(tmp_path / "bare.json") == content
    with pytest.raises(DataError, match=r"ends in \.zip"):
        write_submission(content, tmp_path / "out.json")
    (tmp_path / "not.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"not\.zip is not a zip"):
        read_submission(tmp_path / "not.zip")


def test_faults_that_the_original_checker_is_not_asked_about() -> None:
    ids = ["a", "b"]
    for change, said in (
        (lambda r: r["a"].pop("action"), "a has no actions while others do"),
        (lambda r: r["a"]["verb"].update({"3": float("nan")}), "finite number"),
        (lambda r: r["a"]["noun"].update({"3": True}), "finite number"),
        (lambda r: r["a"].pop("noun"), "a: 'noun' is missing"),
        (lambda r: _rename_first(r["a"]["action"], "97,3"), "'97,3' is no action"),
        (lambda r: _rename_first(r["a"]["action"], "take,cup"), "'take,cup' is no action"),
    ):
        content = submission(ids, *scores(2, 2))
        change(content["results"])
        with pytest.raises(DataError, match=said):
            check_submission(content, ids)


def _rename_first(actions: dict[str, float], name: str) -> None:
    actions[name] = actions.pop(next(iter(actions)))
