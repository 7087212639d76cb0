"""Classification figures, EPIC-KITCHENS-100 figures and its server's verdicts, as published.

The EPIC cases hold labels under CC BY-NC and are not among the copies in ``cases/``; without them
``tests/metrics/test_epic.py`` counts the same figures slowly.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from actionspace.errors import DataError
from actionspace.metrics import classification as C
from actionspace.metrics import confusion, epic
from actionspace.metrics.epic_submission import Supervision, check_submission, submission
from tests.golden.x3d import folders, unit

TOLERANCE = 1e-12
FLOAT32 = 1e-7  # figures that the original holds in float32


def listing(file: str, key: str | None = None) -> dict[str, Any]:
    for folder in folders():
        if (folder / file).is_file():
            found = json.loads((folder / file).read_text(encoding="utf-8"))
            if key is None or key in found:
                return found if key is None else {key: found[key]}
    return {}


CLASSIFICATION = listing("metrics.json", "classification").get("classification", {})
EK100 = listing("metrics.json", "ek100").get("ek100", {})
VERDICTS = listing("metrics.json", "submission_validation").get("submission_validation", [])
SUBMISSIONS = {
    challenge: listing(f"ek100_{challenge}_submission.json")
    for challenge in ("recognition", "anticipation")
}


def rule(name: str, rows: int, columns: int, low: float, high: float) -> np.ndarray:
    """A float32 table of rule ``crc-hash-v1``."""
    return (low + (high - low) * unit(name, rows * columns)).astype(np.float32).reshape(rows, -1)


def boosted(scores: np.ndarray, labels: np.ndarray, name: str, share: float) -> np.ndarray:
    """Scores as float64, raised by 3 on the true class of a share of rows."""
    lucky = unit(name, len(scores)) < share
    scores = scores.astype(np.float64)
    scores[np.flatnonzero(lucky), labels[lucky]] += 3
    return scores


@pytest.mark.skipif(not CLASSIFICATION, reason="no golden/x3d classification case here")
def test_classification() -> None:
    case = CLASSIFICATION
    labels = np.array(case["labels"])
    scores = rule("metrics/golden/scores", case["N"], case["C"], -2, 2)
    scores = boosted(scores, labels, "metrics/golden/boost", 0.6)
    matrix = C.score_confusion(scores, labels)
    ours = {
        "f1_macro_present": C.macro_f1(scores, labels),
        "f1_macro_all_classes": C.macro_f1(scores, labels, every_class=True),
        "f1_weighted": C.weighted_f1(scores, labels),
        "f1_micro": C.micro_f1(scores, labels),
        "precision_macro_all": confusion.precisions(matrix).mean(),
        "recall_macro_all": confusion.recalls(matrix).mean(),
        "balanced_accuracy": C.balanced_accuracy(scores, labels),
        "per_class_recall": np.nan_to_num(C.per_class_recall(scores, labels)),
        "per_class_f1": confusion.f1s(matrix),
        "per_class_precision": confusion.precisions(matrix),
        "confusion": matrix,
    }
    for name, value in ours.items():
        np.testing.assert_allclose(value, case[name], rtol=0, atol=TOLERANCE, err_msg=name)
    for k in (1, 5):
        assert C.top_k_accuracy(scores, labels, k) == pytest.approx(case[f"top{k}"], abs=FLOAT32)


@pytest.fixture(scope="module")
def ek100() -> dict[str, Any]:
    if not EK100:
        pytest.skip("no golden/x3d EPIC-KITCHENS case here")
    n = len(EK100["narration_ids"])
    verbs, nouns = np.array(EK100["verb_class"]), np.array(EK100["noun_class"])
    return {
        "verb": boosted(rule("ek/golden/verb", n, 97, -3, 3), verbs, "ek/golden/bv", 0.55),
        "noun": boosted(rule("ek/golden/noun", n, 300, -3, 3), nouns, "ek/golden/bn", 0.45),
        "verb_labels": verbs,
        "noun_labels": nouns,
        "subsets": epic.Subsets(
            np.isin(EK100["participant_id"], EK100["unseen"]),
            np.isin(verbs, EK100["tail_verbs"]),
            np.isin(nouns, EK100["tail_nouns"]),
        ),
    }


def test_epic_recognition(ek100: dict[str, Any]) -> None:
    ours = epic.recognition_metrics(**ek100)
    for name, values in EK100["recognition_accuracy_top1_top5"].items():
        part, what = name.split("_")
        front = what if part == "all" else f"{part}_{what}"
        for k, value in zip((1, 5), values, strict=False):
            assert ours.pop(f"{front}_top{k}_accuracy") == pytest.approx(value, abs=TOLERANCE)
    assert not ours  # nothing is measured that was not compared


def test_epic_anticipation(ek100: dict[str, Any]) -> None:
    ours = epic.anticipation_metrics(**ek100)
    for name, value in EK100["anticipation_mt5r"].items():
        key = name.removeprefix("overall_").replace("mt5r", "mean_top5_recall")
        assert 100 * ours.pop(key) == pytest.approx(value, abs=100 * TOLERANCE), name
    assert not ours


def test_epic_actions_rank_as_the_original_scores_them(ek100: dict[str, Any]) -> None:
    best = epic.action_scores(ek100["verb"], ek100["noun"])
    expected = EK100["first_action_scores"]
    n = len(expected)
    assert [f"{v * 1000 + o}" for v, o in zip(best.verbs[0], best.nouns[0], strict=True)][
        :n
    ] == list(expected)
    ratio = best.scores[0][:n] / list(expected.values())  # softmax over all segments there
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def spoilt(content: dict[str, Any], how: str) -> dict[str, Any]:
    """A submission with the fault that a verdict names."""
    content = copy.deepcopy(content)
    results = content["results"]
    first = next(iter(results))
    if how == "version 0.1":
        content["version"] = "0.1"
    elif how == "no sls_td":
        del content["sls_td"]
    elif how == "sls_pt 6":
        content["sls_pt"] = 6
    elif how == "missing segment":
        del results[first]
    elif how == "extra segment":
        results["P99_99_9"] = results[first]
    elif how == "missing verb 96":
        del results[first]["verb"]["96"]
    elif how == "noun 300":
        results[first]["noun"]["300"] = 0.5
    elif how == "99 actions":
        results[first]["action"].popitem()
    elif how == "string score":
        results[first]["noun"]["7"] = "0.5"
    elif how == "challenge":
        content["challenge"] = "action_guessing"
    else:
        assert how == "ok", f"a verdict on something new: {how}"
    return content


SAYS = {
    "UnsupportedSubmissionVersionException": "version",
    "MissingPropertyException": "lacks 'sls_td'",
    "InvalidSLSException": "sls_pt is 6",
    "MissingResultException": "1 segment.* no score",
    "UnexpectedResultException": "'P99_99_9'",
    "MissingScoreException": "'96'",
    "UnexpectedScoreEntriesException": "'300'",
    "InvalidNumberOfActionScoresException": "99 actions",
    "InvalidScoreException": "'0.5'",
    "UnsupportedChallengeException": "challenge",
}


@pytest.mark.parametrize(("how", "error"), [pytest.param(*v, id=v[0]) for v in VERDICTS])
def test_submissions_are_refused_as_the_server_does(how: str, error: str | None) -> None:
    ids = ["P01_11_0", "P01_11_1", "P01_11_2"]
    verb, noun = rule("v", 3, 97, -1, 1), rule("n", 3, 300, -1, 1)
    content = spoilt(submission(ids, verb, noun), how)
    if error is None:
        check_submission(content, ids)
        return
    with pytest.raises(DataError, match=SAYS[error]):
        check_submission(content, ids)


@pytest.mark.parametrize("challenge", SUBMISSIONS)
def test_our_submission_is_the_original_one(challenge: str, ek100: dict[str, Any]) -> None:
    published = copy.deepcopy(SUBMISSIONS[challenge])
    if not published:
        pytest.skip("no golden/x3d EPIC submission here")
    ids = list(published["results"])
    rows = [EK100["narration_ids"].index(i) for i in ids]
    supervision = Supervision(published["sls_pt"], published["sls_tl"], published["sls_td"])
    ours = submission(
        ids,
        ek100["verb"][rows],
        ek100["noun"][rows],
        actions="action" in published["results"][ids[0]],
        challenge=f"action_{challenge}",
        supervision=supervision,
    )
    check_submission(published, ids)
    for segment, theirs in published["results"].items():
        expected, found = (part.pop("action", {}) for part in (theirs, ours["results"][segment]))
        assert list(found) == list(expected)  # the best first
        ratio = np.array(list(found.values())) / np.array(list(expected.values()))
        np.testing.assert_allclose(ratio, ratio[:1].repeat(len(ratio)), rtol=1e-9)  # see above
    assert ours == published
