from __future__ import annotations

import pytest

from actionspace.alignment.labels import label_timestamps, match_length, merge_annotators
from actionspace.errors import DataError


def test_averages_people_and_splits_gaps() -> None:
    people = {
        "a": {"0": [[0, 2_000_000]], "1": [[4_000_000, 6_000_000]]},
        "b": {"0": [[1_000_000, 3_000_000]], "1": [[5_000_000, 7_000_000]]},
    }
    assert merge_annotators(people, 2) == {0: (0.5, 3.5), 1: (3.5, 6.5)}


def test_phases_need_not_come_in_order_and_several_spans_average() -> None:
    people = {"a": {"1": [[0, 1e6], [0, 3e6]], "0": [[4e6, 5e6]]}}
    merged = merge_annotators(people, 2)
    assert merged == {0: (3, 5), 1: (0, 3)}
    assert label_timestamps([-1, 0, 2.9, 3, 5, 9], merged).tolist() == [1, 1, 1, 0, 0, 0]


def test_refusals() -> None:
    with pytest.raises(DataError, match="nothing to merge"):
        merge_annotators({}, 2)
    with pytest.raises(DataError, match="'a' gives nothing for phase 1"):
        merge_annotators({"a": {"0": [[0, 1]]}}, 2)
    with pytest.raises(DataError, match="start, end"):
        merge_annotators({"a": {"0": [[0, 1, 2]]}}, 1)
    with pytest.raises(DataError, match="Frame 1 at 3 s lies in no phase"):
        label_timestamps([1, 3], {0: (0, 2), 1: (4, 5)})
    with pytest.raises(DataError, match="no phases"):
        label_timestamps([1], {})
    with pytest.raises(DataError, match="empty"):
        match_length([], 3)


def test_labels_are_resampled_to_the_frames() -> None:
    assert match_length([0, 1, 2, 3], 2).tolist() == [0, 2]
    assert match_length([0, 1], 5).tolist() == [0, 0, 0, 1, 1]
