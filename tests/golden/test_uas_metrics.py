"""Classification metrics of the originals: every case and every expected value the file lists."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from actionspace.metrics import classification as C
from actionspace.metrics.confusion import confusion_matrix
from tests.golden.uas import manifests

ORIGINAL_RAISES = "macro_top_k_accuracy_original"


def _cases() -> list[Any]:
    found: dict[str, Any] = {}
    for folder, manifest in manifests():
        name = manifest.get("other", {}).get("metrics", {}).get("file", "metrics.json")
        if not (folder / name).is_file():
            continue
        listed = json.loads((folder / name).read_text(encoding="utf-8"))
        for case in listed["cases"]:
            for key, value in case["expected"].items():
                if key != ORIGINAL_RAISES:
                    test_id = f"uas-{case['name']}-{key}"
                    found.setdefault(test_id, (case, key, value, listed["tolerance"]))
    return [pytest.param(*values, id=test_id) for test_id, values in found.items()]


def _measure(key: str, scores: np.ndarray, labels: np.ndarray) -> Any:
    if match := re.fullmatch(r"(?:micro_)?top_?(\d+)_acc(?:uracy)?", key):
        return C.top_k_accuracy(scores, labels, int(match[1]))
    if match := re.fullmatch(r"macro_top_(\d+)_accuracy_intended", key):
        return C.macro_top_k_accuracy(scores, labels, int(match[1]))
    if match := re.fullmatch(r"confusion_matrix(?:_(true|pred|all))?", key):
        return confusion_matrix(C.predicted(scores), labels, normalize=match[1])
    if key == "confusion_label_set":
        return np.union1d(C.predicted(scores), labels)
    if key.endswith("per_class_ap"):
        return C.per_class_average_precision(scores, labels)
    by_name = {
        "micro_top_k_accuracy": C.top_k_accuracy,
        "macro_top_k_accuracy_intended": C.macro_top_k_accuracy,
    }
    return by_name.get(key, getattr(C, key, None))(scores, labels)


CASES = _cases()


@pytest.mark.skipif(not CASES, reason="no golden/uas metrics here")
@pytest.mark.parametrize("case,key,value,tolerance", CASES)
def test_metric(case: dict[str, Any], key: str, value: Any, tolerance: float) -> None:
    ours = _measure(key, np.array(case["scores"]), np.array(case["labels"]))
    expected = np.array(value, dtype=np.float64)  # null becomes NaN
    np.testing.assert_allclose(
        np.asarray(ours, dtype=np.float64), expected, rtol=0, atol=tolerance, equal_nan=True
    )
