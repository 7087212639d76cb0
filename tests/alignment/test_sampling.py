from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.alignment.sampling import (
    FrameSampling,
    draw,
    offset_range,
    place,
    sample_views,
    with_contexts,
)
from actionspace.errors import ConfigError, DataError

lengths, frames, seeds = st.integers(1, 120), st.integers(1, 60), st.integers(0, 10_000)
blocks = st.sampled_from(["video", "window"])


@given(lengths, frames, seeds, blocks, st.floats(0, 2), st.floats(0, 1))
@settings(max_examples=200)
def test_stated_properties_of_time_augment(
    length: int, count: int, seed: int, block: str, region: float, consistent: float
) -> None:
    sampling = FrameSampling(count, "time_augment", block, region, consistent)  # type: ignore[arg-type]
    for view in sample_views(sampling, length, np.random.default_rng(seed)):
        valid = view.chosen[view.mask > 0]
        assert view.chosen.shape == view.mask.shape == view.inputs.shape == (count,)
        assert ((view.chosen >= 0) & (view.chosen < length)).all()
        assert (np.diff(valid) > 0).all()
        assert (np.diff(view.mask) <= 0).all()
        assert (view.chosen[view.mask == 0] == length - 1).all()
        if region <= 1 and length <= count:
            assert valid.tolist() == list(range(length))
        if block == "window" and length >= math.ceil(max(region, 1) * count):
            assert len(valid) == count
            assert valid[-1] - valid[0] < math.ceil(max(region, 1) * count)


@given(st.integers(30, 200), st.integers(2, 20), seeds, st.floats(0.01, 1))
def test_second_view_begins_near_the_first(
    length: int, count: int, seed: int, consistent: float
) -> None:
    sampling = FrameSampling(count, "time_augment", "window", 1.5, consistent)
    rng = np.random.default_rng(seed)
    first = place(sampling, length, draw(sampling, length, rng)).inputs.min()
    second = draw(sampling, length, rng, int(first))
    free = length - math.ceil(second.ratio * min(length, count))
    away = int((1 - consistent) * count)
    held = int(np.clip(first, 0, free))
    assert min(held, max(0, first - away)) <= second.offset <= max(held, min(free, first + away))


@given(lengths, frames, seeds)
def test_offset_uniform(length: int, count: int, seed: int) -> None:
    sampling = FrameSampling(count, "offset_uniform")
    view = sample_views(sampling, length, np.random.default_rng(seed), views=1)[0]
    assert view.mask.sum() == min(length, count)
    assert (np.diff(view.chosen[view.mask > 0]) > 0).all()
    if length < count:
        assert view.chosen[:length].tolist() == list(range(length))


@given(lengths, frames, seeds, st.integers(1, 9))
def test_positives_lie_shortly_before_their_anchors(
    length: int, count: int, seed: int, window: int
) -> None:
    sampling = FrameSampling(count, "offset_uniform", positive_window=window)
    drawn = draw(sampling, length, np.random.default_rng(seed))
    view = place(sampling, length, drawn)
    assert view.chosen.shape == (2 * count,)
    assert drawn.shifts is not None
    assert ((drawn.shifts >= -window) & (drawn.shifts < 0)).all()
    both = (view.mask[::2] > 0) & (view.mask[1::2] > 0)
    apart = (view.chosen[::2] - view.chosen[1::2])[both]
    assert ((apart >= 1) & (apart <= window)).all()


def test_a_sample_is_a_function_of_its_seed() -> None:
    sampling = FrameSampling(8)
    one, same, other = (
        sample_views(sampling, 50, np.random.default_rng((1, epoch, 4))) for epoch in (0, 0, 1)
    )
    assert all((a.chosen == b.chosen).all() for a, b in zip(one, same, strict=True))
    assert any((a.chosen != b.chosen).any() for a, b in zip(one, other, strict=True))


def test_contexts_come_from_where_the_frame_would_be() -> None:
    assert with_contexts(np.array([0, 5, 12]), 10, 3, 4).tolist() == [0, 0, 0, 0, 1, 5, 4, 8, 9]


def test_offsets_of_the_first_view_and_of_an_inert_setting() -> None:
    sampling = FrameSampling(10, "time_augment", "window", consistent_offset=0.0)
    assert offset_range(sampling, 60, 13) == offset_range(sampling, 60, 13, 7) == (0, 47)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="strategy"):
        FrameSampling(3, "stride")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1"):
        FrameSampling(0)
    with pytest.raises(DataError, match="without frames"):
        draw(FrameSampling(3), 0, np.random.default_rng(0))
