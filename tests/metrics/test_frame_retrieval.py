from __future__ import annotations

import numpy as np
import pytest

from actionspace.errors import DataError, UsageError
from actionspace.metrics.frame_retrieval import retrieval_at_k

A = np.array([[0.0], [1.0], [10.0]])
B = np.array([[0.1], [9.0], [11.0], [30.0]])
PHASES = [np.array([0, 0, 1]), np.array([0, 1, 1, 0])]


def test_precision_among_other_videos() -> None:
    # Nearest two in B of 0, 1, 10: phases (0, 1), (0, 1), (1, 1); in A of B's frames: (0, 0) for
    # 0.1, (1, 0) for each other one.
    found = retrieval_at_k([A, B], PHASES, (1, 2))
    assert found[2] == pytest.approx(np.mean([(0.5 + 0.5 + 1) / 3, (1 + 0.5 + 0.5 + 0.5) / 4]))
    assert found[1] == pytest.approx(np.mean([1, 3 / 4]))


def test_own_video_counts_the_frame_itself() -> None:
    assert retrieval_at_k([A, B], PHASES, (1,), definition="precision_own")[1] == 1
    found = retrieval_at_k([A], PHASES[:1], (2,), definition="precision_own")
    assert found[2] == pytest.approx((1 + 1 + 0.5) / 3)


def test_mean_average_precision_is_over_frames() -> None:
    found = retrieval_at_k([A, B], PHASES, (2,), definition="mean_average_precision")
    # Hits at first place: 1; at second only: 1/2; frame 30 of B: (1, 0) against 0, so 1/2.
    assert found[2] == pytest.approx((1 + 1 + 1 + 1 + 1 + 1 + 0.5) / 7)


def test_no_hit_counts_zero_and_large_k_takes_all() -> None:
    labels = [np.array([0, 0, 0]), np.array([1, 1, 1, 1])]
    for definition in ("precision_others", "mean_average_precision"):
        found = retrieval_at_k([A, B], labels, (50,), definition=definition)  # type: ignore[arg-type]
        assert found == {50: 0}
    assert retrieval_at_k([A, B], PHASES, (50,))[50] == pytest.approx(
        np.mean([np.mean([0.5, 0.5, 0.5]), np.mean([2 / 3, 1 / 3, 1 / 3, 2 / 3])])
    )


def test_stride_and_a_single_video() -> None:
    assert np.isnan(retrieval_at_k([A], PHASES[:1], (5,))[5])
    assert retrieval_at_k([A, B], PHASES, (1,), stride=3)[1] == 1


def test_refusals() -> None:
    with pytest.raises(UsageError, match="definition"):
        retrieval_at_k([A], PHASES[:1], definition="recall")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 1"):
        retrieval_at_k([A], PHASES[:1], (0,))
    with pytest.raises(DataError, match="Video 0 has 3 frames"):
        retrieval_at_k([A], [np.array([0])])
    with pytest.raises(DataError, match="labels for 1 videos"):
        retrieval_at_k([A, B], PHASES[:1])
    with pytest.raises(DataError, match="whole numbers"):
        retrieval_at_k([A], [np.array([0.5, 1, 1])])
