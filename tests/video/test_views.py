"""Views as data: numbers, order, boxes and times of the requested clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import VideoError
from actionspace.video.views import Views
from tests.video.test_sweep import _index

NAN = float("nan")
SMALL = Views(frames=4, stride=2, size=32, short_side=32, geometry="three", clips=2)


def test_views_of_an_event_are_crop_major_then_clip() -> None:
    index = _index(100, [])  # 64 x 48 at 25 fps
    requests = SMALL.requests_for_interval(index, 1.0, 3.0, "event")
    assert [r.key for r in requests] == [("event", v) for v in range(6)]
    assert SMALL.n_views == 6 and SMALL.transform().output_size(64, 48) == (43, 32)
    assert [r.box[0] for r in requests if r.box] == [0, 0, 10, 10, 5, 5]
    # 50 frames from 25 on; offsets floor(43 / 4) and floor(3 * 43 / 4)
    assert requests[0].frames.tolist() == [35, 37, 39, 41]
    assert requests[1].frames.tolist() == [57, 59, 61, 63]
    assert requests[4].frames.tolist() == requests[0].frames.tolist()


@pytest.mark.parametrize("views", [SMALL, replace(SMALL, augment=5), replace(SMALL, spread=True)])
def test_one_view_alone_is_what_it_is_among_all(views: Views) -> None:
    index = _index(100, [])
    every = views.requests_for_interval(index, 1.0, 3.0, "event", sample=7)
    assert len(every) == views.n_views
    for v, request in enumerate(every):
        (alone,) = views.requests_for_interval(index, 1.0, 3.0, "event", sample=7, view=v)
        assert alone.key == request.key and alone.box == request.box
        assert alone.frames.tolist() == request.frames.tolist()


def test_short_events_wrap_round_or_repeat() -> None:
    index = _index(100, [])
    one = replace(SMALL, geometry="center", clips=1)
    (looped,) = one.requests_for_interval(index, 0.4, 0.6)
    assert looped.frames.tolist() == [10, 12, 14, 11]
    (stopped,) = replace(one, out_of_bound="repeat_last").requests_for_interval(index, 0.4, 0.6)
    assert stopped.frames.tolist() == [10, 12, 14, 14]


def test_a_point_event_is_the_clip_around_it() -> None:
    index = _index(100, [])
    one = replace(SMALL, geometry="center", clips=1)
    (around,) = one.requests_for_interval(index, 2.0, 2.0)
    assert around.frames.tolist() == [46, 48, 50, 52]
    (first,) = one.requests_for_interval(index, 0.0, 0.0)
    (last,) = one.requests_for_interval(index, 4.0, 4.0)
    assert first.frames[0] == 0 and last.frames.max() < 100


def test_an_event_outside_is_refused_and_nan_is_the_whole_video() -> None:
    index = _index(100, [])
    with pytest.raises(VideoError, match=r"from 4.5 s to 5 s lies outside.*4.00 s"):
        SMALL.requests_for_interval(index, 4.5, 5.0)
    (whole,) = replace(SMALL, geometry="center", clips=1).requests_for_interval(index, NAN, NAN)
    assert whole.frames.tolist() == [46, 48, 50, 52]


def test_dense_rows_and_times() -> None:
    index = _index(30, [])
    requests, times = SMALL.requests_dense(index, 5)
    assert [r.key for r in requests] == [(row, view) for row in range(6) for view in range(3)]
    assert requests[3].frames.tolist() == [5, 7, 9, 11]
    assert requests[-1].frames.tolist() == [25, 27, 29, 29]  # repeats the last one inside
    assert np.allclose(times[0], [0, 8 / 25]) and np.allclose(times[-1], [1, 30 / 25])
    short, times = SMALL.requests_dense(_index(5, []), 5)
    assert short[0].frames.tolist() == [0, 2, 4, 1] and np.allclose(times, [[0, 0.2]])


@given(st.integers(1, 400), st.integers(1, 40), st.sampled_from([None, 5.0, 12.5, 60.0]))
def test_dense_rows_cover_every_frame(total: int, hop: int, fps: float | None) -> None:
    index = _index(total, [])
    views = replace(SMALL, geometry="full", fps=fps)
    requests, times = views.requests_dense(index, hop)
    assert len(requests) == len(times) and requests[0].box is None
    assert times[0, 0] == 0 and (hop > 8 or times[-1, 1] == index.duration)
    assert (times[:, 1] > times[:, 0]).all()
    assert all(r.frames.min() >= 0 and r.frames.max() < total for r in requests)


def test_a_nominal_rate_takes_the_frames_shown_at_its_times() -> None:
    index = _index(100, [])
    views = replace(SMALL, geometry="center", clips=1, fps=12.5)
    requests, times = views.requests_dense(index, 4)
    assert requests[0].frames.tolist() == [0, 4, 8, 12]  # every 2nd of 12.5 fps
    assert np.allclose(times[1], [4 / 12.5, 12 / 12.5])
    (event,) = views.requests_for_interval(index, 1.0, 1.64)
    assert event.frames.tolist() == [25, 29, 33, 37]


@pytest.mark.parametrize("native", [24, 25, 30, 50, 60, 120, 1])
@pytest.mark.parametrize("fps", [5, 7.5, 10, 12.5, 15, 20, 24, 25, 30, 60])
def test_a_nominal_rate_does_not_depend_on_rounded_stamps(native: float, fps: float) -> None:
    exact = _index(300, [])
    exact = replace(exact, times=exact.times * 25 / native, fps=float(native))
    rounded = replace(exact, times=np.round(exact.times, 3))  # as Matroska stores them
    views = replace(SMALL, frames=64, geometry="full", fps=float(fps))
    (a, _), (b, _) = views.requests_dense(exact, 64), views.requests_dense(rounded, 64)
    assert all((x.frames == y.frames).all() for x, y in zip(a[:2], b[:2], strict=True))


def test_broken_time_stamps_do_not_fill_the_memory() -> None:
    index = _index(10, [])
    index = replace(index, times=index.times * 1e9)
    with pytest.raises(VideoError, match="time stamps are probably broken"):
        replace(SMALL, fps=30.0).requests_dense(index, 8)


def test_train_views_are_a_function_of_seed_epoch_and_sample() -> None:
    index = _index(100, [])
    views = replace(SMALL, geometry="center", augment=5, short_side=40, seed=3)

    def draw(**kw: int) -> list[object]:
        requests = views.requests_for_interval(index, NAN, NAN, "e", **kw)
        return [(r.frames.tolist(), r.box, r.flip, r.size) for r in requests]

    assert len(draw()) == views.n_views == 5
    assert draw(epoch=1, sample=7) == draw(epoch=1, sample=7)
    assert draw(epoch=1, sample=7) != draw(epoch=2, sample=7)
    assert draw(epoch=1, sample=7) != draw(epoch=1, sample=8)
    drawn = [d for s in range(40) for d in draw(sample=s)]
    assert {d[3] for d in drawn} == {32}  # type: ignore[index]
    assert 60 < sum(d[2] for d in drawn) < 140  # type: ignore[index]


def test_dense_train_views_differ_between_rows() -> None:
    views = replace(SMALL, geometry="full", augment=2, short_side=40)
    requests, _ = views.requests_dense(_index(60, []), 8)
    assert len(requests) == 2 * len({r.key[0] for r in requests})
    assert len({(r.box, r.flip) for r in requests}) == len(requests)


@pytest.mark.parametrize("shape", [(240, 320), (300, 200), (241, 255), (400, 401)])
def test_padded_clips_spread_over_the_event_are_those_of_the_original_pipeline(shape) -> None:
    from actionspace.encoders.convnet import KINETICS_MEAN, KINETICS_STD
    from actionspace.video.float_clips import center_crop
    from actionspace.video.transform import crop_resize, normalize

    height, width = shape
    index = replace(_index(100, []), width=width, height=height)
    views = Views(frames=32, size=256, geometry="pad", spread=True)
    assert views.transform().output_size(width, height) == (width, height)
    (request,) = views.requests_for_interval(index, NAN, NAN)
    assert request.frames[0] == 0 and request.frames[-1] == 99
    assert request.frames[1] == 3 and len(request.frames) == 32
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    clip = crop_resize(frame, request.box, request.size, request.flip)[None]
    got = normalize(clip, KINETICS_MEAN, KINETICS_STD)
    exact = center_crop(normalize(frame[None], KINETICS_MEAN, KINETICS_STD), 256)
    assert np.abs(got - exact).max() < 0.0045  # grey is 115 there, 114.75 here


def test_a_short_event_that_is_spread_repeats_its_last_frame() -> None:
    index = _index(100, [])
    views = Views(frames=8, size=32, short_side=32, spread=True)
    (request,) = views.requests_for_interval(index, 0.4, 0.6)
    assert request.frames.tolist() == [10, 11, 12, 13, 14, 14, 14, 14]
    assert views.n_views == 1
