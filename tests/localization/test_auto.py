"""Lengths chosen from the training events: valid, covering, and explained."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.localization.auto import choose_lengths
from actionspace.localization.network.config import UNBOUNDED, ModelConfig
from actionspace.localization.options import AutoConfig

SMALL = ModelConfig(
    embed_dim=16,
    neck_dim=16,
    head_dim=16,
    heads=2,
    windows=9,
    branch_blocks=2,
    max_length=64,
    regression_ranges=((0, 4), (4, 8), (8, UNBOUNDED)),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.2, 3000), min_size=1, max_size=30),
    st.lists(st.integers(1, 40_000), min_size=1, max_size=10),
)
def test_every_event_has_a_level_and_the_network_is_possible(
    events: list[float], videos: list[int]
) -> None:
    chosen, notes = choose_lengths(SMALL, AutoConfig(), videos, events, 0.5)
    ranges = chosen.regression_ranges
    assert ranges[0][0] == 0 and ranges[-1][1] == UNBOUNDED
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert chosen.max_length % chosen.divisor == 0
    assert len(notes) >= 3
    wanted = min(max(videos), max(2304, 1.5 * max(events)))
    assert chosen.max_length >= wanted
    assert chosen.longest >= min(max(videos), 13_824)


def test_long_events_get_more_levels_than_short_ones() -> None:
    short, _ = choose_lengths(SMALL, AutoConfig(), [500], [5.0] * 20, 0.5)
    long, notes = choose_lengths(SMALL, AutoConfig(), [500], [200.0] * 20, 0.5)
    assert len(short.regression_ranges) == 3
    assert len(long.regression_ranges) == 6
    # A point in the middle of an event looks half of its length far, which is the last level's.
    assert long.regression_ranges[-1][0] <= 100 < long.regression_ranges[-1][1]
    assert any("whole videos" in note for note in notes)


def test_events_shorter_than_rows_are_said() -> None:
    _, notes = choose_lengths(SMALL, AutoConfig(), [500], [1.2] * 5, 0.5)
    assert any("rows.hop" in note and "0.2 s" in note for note in notes)


def test_short_videos_are_not_mostly_padding() -> None:
    wide = SMALL.model_copy(update={"windows": 19})
    chosen, _ = choose_lengths(wide, AutoConfig(), [30, 45], [10.0] * 5, 0.5)
    assert chosen.max_length <= 2 * 45
    assert max(chosen.level_windows) < 19
