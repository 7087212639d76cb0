from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from actionspace.errors import UsageError
from actionspace.metrics.kendall_tau import kendalls_tau, similarity_image, tau_b


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 400))
def test_equal_to_scipy(seed: int, frames: int, highest: int) -> None:
    numbers = np.random.default_rng(seed).integers(0, highest, (frames, 4))
    expected = [kendalltau(np.arange(frames), column).statistic for column in numbers.T]
    np.testing.assert_allclose(tau_b(numbers), expected, rtol=1e-12)


def test_order_kept_reversed_and_strided() -> None:
    forward = np.arange(12.0)[:, None]
    found = kendalls_tau([forward, forward[:7], -forward + 11], stride=2)
    assert found.pairs[1, 0] == 1
    assert found.pairs[0, 2] == pytest.approx(-1, abs=0.2)
    assert np.isnan(np.diag(found.pairs)).all()
    assert found.undefined == 0
    assert found.note == ""


def test_undefined_pairs_are_counted_and_left_out() -> None:
    moving, still = np.arange(5.0)[:, None], np.zeros((4, 1))
    found = kendalls_tau([moving, still, np.zeros((1, 1)), 2 * moving])
    # Only the two moving videos order each other; "still" has but one nearest frame anywhere.
    assert found.undefined == 10
    assert found.mean == pytest.approx(np.nanmean(found.pairs))
    assert "10 of 12 pairs" in found.note


def test_no_defined_pair_is_nan() -> None:
    assert np.isnan(kendalls_tau([np.zeros((4, 2)), np.zeros((4, 2))]).mean)
    assert np.isnan(kendalls_tau([np.arange(4.0)[:, None]]).mean)


def test_stride_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="stride"):
        kendalls_tau([np.ones((3, 1))], stride=0)


def test_similarity_image_is_a_softmax_that_does_not_overflow() -> None:
    image = similarity_image(np.eye(3) * 1e3, np.eye(3) * 1e3)
    np.testing.assert_array_equal(image, np.eye(3))
    assert similarity_image(np.ones((2, 1)), np.ones((4, 1))).shape == (4, 2)
