"""Scaling and crops of float clips beyond the golden cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import VideoError
from actionspace.video.float_clips import center_crop, scale_short_side, third_crop

side = st.integers(1, 40)


def _ramp(height: int, width: int) -> np.ndarray:
    """A clip [2, H, W] that tells each pixel's row and column."""
    return np.stack(np.mgrid[:height, :width]).astype(np.float32)


@given(side, side, st.integers(1, 60))
def test_scaling_keeps_the_shape_and_straight_lines(height: int, width: int, short: int) -> None:
    scaled = scale_short_side(_ramp(height, width), short)
    by = short / min(height, width)
    assert min(scaled.shape[1:]) == short
    assert max(scaled.shape[1:]) in (int(max(height, width) * by), short)
    for lines, old in ((scaled[0, :, 0], height), (scaled[1, 0], width)):
        exact = (np.arange(len(lines)) + 0.5) * old / len(lines) - 0.5
        np.testing.assert_allclose(lines, np.clip(exact, 0, old - 1), atol=1e-4)


@given(side, side, st.integers(1, 50))
def test_the_centre_stays_in_the_centre(height: int, width: int, size: int) -> None:
    padded = center_crop(_ramp(height, width) + 1, size, fill=0.0)
    assert padded.shape == (2, size, size)
    for axis, old in ((0, height), (1, width)):
        kept = padded[axis].max(axis=1 - axis)
        inside = kept[kept > 0]
        assert len(inside) == min(old, size)
        assert (np.diff(inside) == 1).all()
        if old >= size:
            assert abs(inside.mean() - (old + 1) / 2) <= 0.5
        else:
            front = int((kept > 0).argmax())
            assert front == (size - old) // 2


@pytest.mark.parametrize(("shape", "axis"), [((10, 17), 1), ((17, 10), 0)])
def test_three_crops_cover_the_longer_side(shape: tuple[int, int], axis: int) -> None:
    crops = [third_crop(_ramp(*shape), 9, which) for which in range(3)]
    assert [crop[axis].min() for crop in crops] == [0, 4, 8]
    assert {crop[1 - axis].min() for crop in crops} == {1}  # odd margins: the greater half in front


def test_a_crop_larger_than_the_clip_is_refused() -> None:
    with pytest.raises(VideoError, match="9 x 9 does not fit in a clip of 12 x 8"):
        third_crop(_ramp(8, 12), 9, 0)
