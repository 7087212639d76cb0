"""Nothing that happens after the window's end is ever looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.event_sequences import Made, make
from hypothesis import given
from hypothesis import strategies as st

from actionspace.anticipation.history import past
from actionspace.anticipation.options import HorizonConfig, WindowConfig
from actionspace.anticipation.prepare import prepare, read_manifest
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.anticipation.samples import draw_horizons, window_end
from actionspace.anticipation.timeline import Timeline
from actionspace.anticipation.window import EDGE, observed, slot_count

seconds = st.floats(0.05, 5.0)


@given(
    gaps=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=40),
    length=st.floats(0.0, 4.0),
    until=st.floats(-3.0, 60.0),
    window=seconds,
    step=seconds,
)
def test_no_row_that_is_seen_ends_after_the_window(
    gaps: list[float], length: float, until: float, window: float, step: float
) -> None:
    ends = np.cumsum(gaps)
    times = np.stack([np.maximum(ends - length, 0), ends], 1)
    slots = observed(times, until, window, step)
    assert len(slots.rows) == slot_count(window, step)
    seen = ends[slots.rows[slots.known]]
    assert (seen <= slots.at[slots.known] + EDGE).all()
    assert (seen <= until + EDGE).all()
    assert (np.diff(slots.rows[slots.known]) >= 0).all()  # oldest first
    newest = ends[ends <= until]
    if slots.known[-1]:
        assert seen[-1] == pytest.approx(newest.max() if len(newest) else seen[-1], abs=EDGE)


def test_rows_on_a_grid_are_taken_once_each_and_padding_is_told() -> None:
    times = np.stack([np.arange(20) * 0.25, np.arange(1, 21) * 0.25], 1)
    inside = observed(times, 3.0, 2.0, 0.25)
    assert inside.rows.tolist() == list(range(4, 12))
    assert inside.known.all() and not inside.padded
    early = observed(times, 1.0, 2.0, 0.25)
    assert early.padded and early.known.tolist() == [False] * 4 + [True] * 4
    assert not observed(times, 0.2, 2.0, 0.25).known.any()
    coarse = observed(times, 3.0, 2.0, 0.5)  # every second row, the last that has ended first
    assert coarse.rows.tolist() == [5, 7, 9, 11]
    late = observed(times, 9.0, 1.0, 0.25)  # features end at 5 s: nothing stale is shown
    assert not late.known.any()


@given(
    starts=st.lists(st.floats(0.0, 50.0), min_size=1, max_size=20, unique=True),
    horizon=st.floats(0.05, 5.0),
)
def test_labels_of_the_past_have_begun_and_ends_to_come_are_not_told(
    starts: list[float], horizon: float
) -> None:
    begin = np.sort(np.array(starts))
    line = Timeline(begin, begin + 3.0, np.arange(len(begin))[:, None])
    for k, start in enumerate(begin):
        until = start - horizon
        seen = past(line, until, 4)
        labels = seen.labels[seen.known, 0]
        assert (labels < k).all()  # never the event itself, nor a later one
        assert (begin[labels] <= until).all()
        lasted = np.expm1(seen.times[seen.known, 1])
        assert (lasted <= until - begin[labels] + 1e-3).all()


def test_the_end_anchor_is_the_published_one() -> None:
    assert window_end(10.0, 14.0, 1.0) == 9.0
    assert window_end(10.0, 14.0, 1.0, "end") == 13.0  # three seconds into the action
    assert window_end(10.0, 14.0, 1.0, "end", 0.25) == 12.0
    with pytest.raises(ValueError, match="anchor=end only"):
        WindowConfig(point=(0.0, 0.25))


def test_horizons_are_drawn_from_range_or_grid() -> None:
    rng = np.random.default_rng(0)
    free = HorizonConfig(train=(0.25, 2.0))
    drawn = draw_horizons(free, 500, rng)
    assert 0.25 <= drawn.min() < 0.35 and 1.9 < drawn.max() <= 2.0
    grid = HorizonConfig(train=(0.25, 2.0), train_step=0.25)
    assert set(draw_horizons(grid, 500, rng)) == set(np.arange(1, 9) * 0.25)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("sequences"), 0, videos=8, rows=80)


@pytest.mark.parametrize("horizon", [0.25, 1.0])
def test_samples_do_not_change_with_what_comes_later(made: Made, horizon: float) -> None:
    """Everything after the window's end is made NaN or another label: the sample stays the same."""
    recipe = AnticipationRecipe(input="both", window=WindowConfig(seconds=3.0))
    found = prepare(recipe, read_manifest(recipe, made.manifest), features=str(made.features))
    questions = found.questions(found.asked("train"), horizon)
    asked = questions.asked
    for index in range(0, len(questions), 7):
        before = questions.load(index, 0)
        video, start = str(asked.videos[index]), asked.starts[index]
        features, times = found.stores[0].get(video)
        kept = features.copy()
        features[times[:, 1] > start - horizon + EDGE] = 1e6
        line = asked.timelines[asked.sequence[index]]
        labels = line.labels.copy()
        line.labels[line.starts > start - horizon] = 0
        after = questions.load(index, 0)
        features[:], line.labels[:] = kept, labels
        for name in ("rows", "known"):
            for a, b in zip(getattr(before, name), getattr(after, name), strict=True):
                assert a.equal(b)
        assert before.labels.equal(after.labels) and before.times.equal(after.times)


def test_a_moved_window_is_noticed(tmp_path: Path) -> None:
    """The test above can fail: with rows up to the event itself it does."""
    made = make(tmp_path, 0, videos=8, rows=80)
    recipe = AnticipationRecipe(window=WindowConfig(seconds=3.0))
    found = prepare(recipe, read_manifest(recipe, made.manifest), features=str(made.features))
    near, far = (found.questions(found.asked("train"), h) for h in (0.01, 1.0))
    assert not near.load(5, 0).rows[0].equal(far.load(5, 0).rows[0])
