"""Merging annotators and labelling frames, against the tools of TCC that CARL uses."""

from __future__ import annotations

import numpy as np

from actionspace.events.phases import merge_annotators, phases_at
from tests.golden.carl import Case, cases, parametrize


@parametrize(cases("labels_prep"))
def test_merged_and_labelled(case: Case) -> None:
    merged = merge_annotators(case.params["annotators"])
    seconds = {phase: (start / 1e6, end / 1e6) for phase, (start, end) in merged.items()}
    expected = {int(k): v for k, v in case.values["merged_seconds"].items()}
    assert set(seconds) == set(expected)
    error = max(np.abs(np.subtract(seconds[phase], expected[phase])).max() for phase in expected)
    print(f"{case.id}: max error {error:.3g} s")
    assert error < 1e-9
    labels = phases_at(seconds, np.array(case.params["timestamps"]))
    assert labels.tolist() == case.values["labels"]
