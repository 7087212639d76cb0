"""The fork's constraints, adaptive ranges and validation of configurations, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.api import validate_config
from actionspace.events.constraints import TemporalConstraints
from actionspace.events.constraints_fork import constrain_class, merge_close
from actionspace.localization.ranges import compute_adaptive_ranges
from tests.golden.tal import Case, cases

CONSTRAINTS, MERGED = cases("temporal_constraints"), cases("merge_close_detections")
ONE_CLASS, CONFIGS = cases("enforce_class_constraints"), cases("config_validation")
RANGES, RANGES_OF_JSON = cases("adaptive_ranges"), cases("adaptive_ranges_json")


def named(case: object) -> str:
    return case.id if isinstance(case, Case) else ""


def equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same detections in the same order, every number to the last bit."""
    assert list(ours["video-id"]) == theirs["video-id"]
    for name in ("t-start", "t-end", "label", "score"):
        np.testing.assert_array_equal(np.asarray(ours[name]), np.asarray(theirs[name]))


@pytest.mark.skipif(not CONSTRAINTS, reason="no golden/tal constraints here")
@pytest.mark.parametrize("case", CONSTRAINTS, ids=named)
def test_constraints(case: Case) -> None:
    rules = TemporalConstraints(**case.entry["args"], compat="fork")
    equal(rules.apply(case.entry["input"]), case.entry["expected"])


@pytest.mark.skipif(not ONE_CLASS, reason="no golden/tal constraints of a class here")
@pytest.mark.parametrize("case", ONE_CLASS, ids=named)
def test_constraints_of_a_class(case: Case) -> None:
    args = dict(case.entry["args"])
    label = args.pop("class_id")
    equal(constrain_class(case.entry["input"], label, **args), case.entry["expected"])


@pytest.mark.skipif(not MERGED, reason="no golden/tal merging here")
@pytest.mark.parametrize("case", MERGED, ids=named)
def test_merging(case: Case) -> None:
    args = case.entry["args"]
    ours = merge_close(case.entry["input"], args["merge_gap"], args["class_id"])
    equal(ours, case.entry["expected"])


@pytest.mark.skipif(not RANGES, reason="no golden/tal ranges here")
@pytest.mark.parametrize("case", RANGES, ids=named)
def test_ranges(case: Case) -> None:
    ours = compute_adaptive_ranges(case.entry["durations"], **case.entry["args"])
    assert [list(r) for r in ours] == case.entry["expected"]


@pytest.mark.skipif(not RANGES_OF_JSON, reason="no golden/tal ranges of annotations here")
@pytest.mark.parametrize("case", RANGES_OF_JSON, ids=named)
def test_ranges_of_annotations(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(case.entry["annotation"]), encoding="utf-8")
    ours = compute_adaptive_ranges(file, **case.entry["args"], subset=None)
    assert [list(r) for r in ours] == case.entry["expected"]


@pytest.mark.skipif(not CONFIGS, reason="no golden/tal configurations here")
@pytest.mark.parametrize("case", CONFIGS, ids=named)
def test_configurations(case: Case) -> None:
    found = validate_config(case.entry["config"], compat="fork")
    assert found.valid == case.entry["valid"]
    assert len(found.errors) == case.entry["n_errors"], found
    assert len(found.warnings) == case.entry["n_warnings"], found
    told = str(found)
    for path, _ in case.entry["changes"]:  # what was changed is named
        assert path in told or path == "model.backbone_type" or not (found.errors or told)
