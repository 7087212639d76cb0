from __future__ import annotations

import numpy as np
import pytest

from actionspace.errors import DataError
from actionspace.features.store import VideoFeatures
from actionspace.features.track import Track


def test_views_are_averaged_and_rows_stand_at_their_middles() -> None:
    rows = np.arange(12, dtype=np.float16).reshape(3, 2, 2)
    times = np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]])
    found = Track.of_features("a.mp4", VideoFeatures(rows, times, {"duration": 5.0}))
    assert found.embeddings.dtype == np.float32
    np.testing.assert_array_equal(found.embeddings, [[1, 2], [5, 6], [9, 10]])
    np.testing.assert_array_equal(found.times, [1, 2, 3])
    np.testing.assert_array_equal(found.spans(), [[0, 1.5], [1.5, 2.5], [2.5, 5]])
    coarse = found.every(2)
    np.testing.assert_array_equal(coarse.times, [1, 3])
    np.testing.assert_array_equal(coarse.spans(), [[0, 2], [2, 5]])


def test_a_row_alone_is_a_video() -> None:
    found = Track.of("a", [[1.0, 0.0]], [0.5])
    np.testing.assert_array_equal(found.spans(), [[0, 0.5]])


@pytest.mark.parametrize(
    ("rows", "times", "says"),
    [
        (np.zeros((2, 3)), [0.0], "do not fit"),
        (np.zeros((0, 3)), [], "do not fit"),
        (np.zeros(3), [0.0, 1.0, 2.0], "do not fit"),
        (np.array([[0.0], [np.nan]]), [0.0, 1.0], "row 1"),
        (np.zeros((2, 3)), [1.0, 1.0], "rows=dense"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    rows: np.ndarray, times: list[float], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        Track.of("a.mp4", rows, times)
