"""Regression ranges from durations: every event has a level, and test data has no say."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import ConfigError, DataError, UsageError
from actionspace.localization.auto import choose_ranges
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import UNBOUNDED, ModelConfig
from actionspace.localization.options import AutoConfig
from actionspace.localization.ranges import compute_adaptive_ranges
from actionspace.localization.validate import learnt_by
from tests.localization import untrimmed
from tests.localization.test_auto import SMALL


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.5, 5000), min_size=1, max_size=40), st.integers(1, 8))
def test_coverage_leaves_out_no_distance(durations: list[float], levels: int) -> None:
    ranges = compute_adaptive_ranges(durations, levels, method="coverage")
    assert len(ranges) == levels
    assert ranges[0][0] == 0 and ranges[-1][1] == UNBOUNDED
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert all(low < high for low, high in ranges)


def test_long_events_have_cells_of_several_levels_that_learn_them() -> None:
    durations = np.linspace(4, 600, 50)
    ranges = compute_adaptive_ranges(durations, 6, method="coverage")
    model = ModelConfig(regression_ranges=tuple(ranges))
    segments = np.stack([np.full(50, 3.3), 3.3 + durations], axis=1)
    assert learnt_by(model, LossConfig(), segments).any(axis=0).all()
    # Points near the middle of an event look half of its length far.
    assert ranges[-1][0] < 600 / 2


def test_percentile_ends_beyond_the_longest_event_only() -> None:
    ranges = compute_adaptive_ranges([3.0, 7.0, 19.0], 6, overlap_ratio=0.0)
    assert ranges[-1] == (14, 21)
    assert compute_adaptive_ranges([], 3, scale_factor=4) == [(0, 1), (1, 4), (4, 32)]


def annotations(folder: Path) -> Path:
    def video(subset: str, seconds: float) -> dict[str, object]:
        return {"subset": subset, "annotations": [{"segment": [1, 1 + seconds]}] * 3}

    file = folder / "anet.json"
    content = {"a": video("Training", 2.0), "b": video("validation", 40.0)}
    file.write_text(json.dumps({"database": content}), encoding="utf-8")
    return file


def test_only_training_events_count(tmp_path: Path) -> None:
    file = annotations(tmp_path)
    options = {"fps": 10.0, "feat_stride": 2.0}
    assert compute_adaptive_ranges(file, 2, **options)[-1][1] == 11  # type: ignore[arg-type]
    every = compute_adaptive_ranges(str(file), 2, subset=None, **options)  # type: ignore[arg-type]
    assert every[-1][1] == 221  # 1.1 times 200, rounded up
    held = compute_adaptive_ranges(file, 2, subset="Validation", **options)  # type: ignore[arg-type]
    assert held[-1][1] == 221  # 1.1 times 200, rounded up
    with pytest.raises(DataError, match="the subset 'test'"):
        compute_adaptive_ranges(file, 2, subset="test")


def test_events_and_manifests_tell_durations(tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    options = {"fps": untrimmed.FPS, "feat_stride": float(untrimmed.STRIDE), "num_levels": 3}
    ranges = compute_adaptive_ranges(events, **options)  # type: ignore[arg-type]
    assert ranges == compute_adaptive_ranges(tmp_path / "events.csv", **options)  # type: ignore[arg-type]
    rows = events.select(split="train").rows
    longest = float((rows["end"] - rows["start"]).max()) * untrimmed.FPS / untrimmed.STRIDE
    assert ranges[-1][1] == np.ceil(1.1 * longest)


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(UsageError, match="Did you mean 'coverage'"):
        compute_adaptive_ranges([1.0], 3, method="coverag")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="num_levels=0"):
        compute_adaptive_ranges([1.0], 0)
    with pytest.raises(DataError, match="A duration is -1"):
        compute_adaptive_ranges([2.0, -1.0])


@pytest.mark.parametrize("method", ["percentile", "coverage"])
def test_auto_chooses_ranges_for_the_levels_there_are(method: str) -> None:
    auto = AutoConfig.model_validate({"ranges": method})
    lengths = [4.0, 9, 17, 30, 44, 80]
    chosen, [note] = choose_ranges(SMALL, auto, lengths)
    wanted = compute_adaptive_ranges(lengths, 3, method=auto.ranges or "coverage")
    assert list(chosen.regression_ranges) == wanted
    assert chosen.model_copy(update={"regression_ranges": SMALL.regression_ranges}) == SMALL
    assert ("has no end" in note) == (method == "coverage")


def test_ranges_of_equal_events_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"auto\.ranges: .*regression range"):
        choose_ranges(ModelConfig(), AutoConfig(ranges="percentile"), [3.0] * 9)
