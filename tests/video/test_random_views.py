"""Random views: mirroring, speed and jitter of training clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actionspace.features.grid import Grid
from actionspace.video import sample
from actionspace.video.views import Views
from tests.video.test_sweep import _index

NAN = float("nan")
VIEWS = Views(frames=8, stride=3, size=32, short_side=40, augment=6, seed=1)


def drawn(views: Views, total: int = 200, samples: int = 20) -> list:
    index = _index(total, [])
    return [
        r for s in range(samples) for r in views.requests_for_interval(index, NAN, NAN, 0, sample=s)
    ]


def test_the_usual_options_change_nothing():
    steps, span = sample.random_steps(8, 3, np.random.default_rng(0))
    assert steps.tolist() == list(range(0, 24, 3))
    assert span == 24
    assert Grid.of(VIEWS, "events", None).as_dict().keys().isdisjoint({"flip", "speed", "jitter"})
    for request in drawn(VIEWS):
        assert (np.diff(request.frames) == 3).all()


def test_mirroring_can_be_switched_off_and_nothing_else_changes():
    usual, never = drawn(VIEWS), drawn(replace(VIEWS, flip=False))
    assert 30 < sum(r.flip for r in usual) < 90
    assert not any(r.flip for r in never)
    assert [r.box for r in usual] == [r.box for r in never]
    dense, _ = replace(VIEWS, flip=False).requests_dense(_index(90, []), 12)
    assert not any(r.flip for r in dense)


def test_speed_stretches_the_clip():
    strides = [np.diff(r.frames).mean() for r in drawn(replace(VIEWS, speed=(0.5, 2.0)))]
    assert 1.4 < min(strides) < 2
    assert 4.5 < max(strides) < 6.2
    assert abs(np.exp(np.mean(np.log(strides))) - 3) < 0.5
    fixed = drawn(replace(VIEWS, speed=(2.0, 2.0)))
    assert all((np.diff(r.frames) == 6).all() for r in fixed)
    assert len({int(r.frames[0]) for r in fixed}) > 50


def test_jitter_takes_a_random_frame_of_each_stride():
    steps = np.stack([r.frames for r in drawn(replace(VIEWS, jitter=True))])
    within = steps - steps.min(axis=1, keepdims=True)
    assert (np.diff(steps) > 0).all()
    assert set(np.diff(within).ravel()) == {1, 2, 3, 4, 5}
    assert (np.ptp(steps, axis=1) < 24).all()


def test_a_fingerprint_tells_random_views_apart():
    changed = replace(VIEWS, flip=False, speed=(0.5, 2.0), jitter=True)
    told = Grid.of(changed, "events", None).as_dict()
    assert (told["flip"], told["speed"], told["jitter"]) == (False, [0.5, 2.0], True)
    fixed = replace(changed, augment=0)
    assert "speed" not in Grid.of(fixed, "events", None).as_dict()


@given(
    st.integers(1, 60),
    st.integers(1, 9),
    st.integers(1, 5),
    st.tuples(st.floats(0.2, 4), st.floats(0.2, 4)).map(sorted),
    st.booleans(),
    st.sampled_from(["loop", "repeat_last"]),
)
def test_frames_are_those_of_the_video(total, frames, stride, speed, jitter, how):
    views = Views(frames, stride, 16, 16, augment=3, out_of_bound=how, jitter=jitter)
    for request in drawn(replace(views, speed=tuple(speed)), total, 2):
        assert len(request.frames) == frames
        assert request.frames.min() >= 0
        assert request.frames.max() < total
        if how == "repeat_last":
            assert (np.diff(request.frames) >= 0).all()
