"""Sizes, boxes and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import VideoError
from actionspace.video import transform as tf

side = st.integers(1, 700)


@given(side, side, st.integers(1, 300))
def test_the_short_side_is_exact_and_the_shape_kept(width: int, height: int, short: int) -> None:
    w, h = tf.rescale_size(width, height, short)
    assert min(w, h) == short
    scale = short / min(width, height)
    assert abs(w - width * scale) <= 0.5 + 1e-9 and abs(h - height * scale) <= 0.5 + 1e-9


@given(side, side, st.data())
def test_boxes_lie_in_the_frame(width: int, height: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, min(width, height)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    boxes = [tf.center_box(width, height, size), tf.random_resized_box(width, height, rng)]
    boxes += tf.three_boxes(width, height, size) if size == min(width, height) else []
    for x, y, w, h in boxes:
        assert 0 <= x <= x + w <= width and 0 <= y <= y + h <= height and w > 0 and h > 0


def test_random_boxes_follow_the_area_and_the_aspect() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([tf.random_resized_box(340, 256, rng) for _ in range(4000)])
    w, h = boxes[:, 2], boxes[:, 3]
    area, aspect = w * h / (340 * 256), np.log(w / h)
    assert 0.079 < area.min() < 0.1 and area.max() > 0.9
    assert -0.31 < aspect.min() < -0.27 and 0.27 < aspect.max() < 0.31
    small = aspect[area < 0.4]  # there every drawn aspect fits
    assert abs(small.mean()) < 0.02 and abs(small.std() - 2 * np.log(4 / 3) / 12**0.5) < 0.01


def test_a_box_that_never_fits_becomes_the_middle_square() -> None:
    assert tf.random_resized_box(1000, 10, np.random.default_rng(0)) == (495, 0, 10, 10)


def test_boxes_that_do_not_fit_say_so() -> None:
    with pytest.raises(VideoError, match="224 x 224 does not fit in a frame of 300 x 200"):
        tf.center_box(300, 200, 224)
    with pytest.raises(VideoError, match="shorter side is 224"):
        tf.three_boxes(400, 256, 224)
    with pytest.raises(VideoError, match="does not lie inside a frame of 64 x 48"):
        tf.FrameTransform(crop=(60, 0, 10, 10)).output_size(64, 48)


def _reference(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear interpolation in float64, written the slow way."""
    h, w = image.shape[:2]
    out = np.empty((height, width, 3))
    for j in range(height):
        for i in range(width):
            y = min(max((j + 0.5) * h / height - 0.5, 0), h - 1)
            x = min(max((i + 0.5) * w / width - 0.5, 0), w - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            top = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
            bottom = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
            out[j, i] = top * (1 - (y - y0)) + bottom * (y - y0)
    return out


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.integers(1, 24))
def test_resize_is_bilinear_without_antialias(h: int, w: int, height: int, width: int) -> None:
    image = np.random.default_rng(h * 100 + w).integers(0, 256, (h, w, 3), dtype=np.uint8)
    ours = tf.resize_bilinear(image, width, height)
    assert ours.dtype == np.uint8 and ours.shape == (height, width, 3)
    assert np.abs(ours - _reference(image, width, height)).max() <= 1


def test_resize_reads_views_and_keeps_flat_colours() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    view = image[5:30, 10:50][:, ::-1]
    assert np.array_equal(tf.resize_bilinear(view, 20, 20), tf.resize_bilinear(view.copy(), 20, 20))
    for level in (0, 1, 254, 255):
        flat = np.full((37, 53, 3), level, np.uint8)
        assert (tf.resize_bilinear(flat, 91, 17) == level).all()


def test_normalize() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    ours = tf.normalize(clip, mean, std)
    assert ours.shape == (3, 4, 5, 6) and ours.dtype == np.float32
    expected = (clip.astype(np.float64) - mean) / std
    assert np.allclose(ours, expected.transpose(3, 0, 1, 2), atol=1e-6)
