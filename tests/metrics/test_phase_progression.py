from __future__ import annotations

import numpy as np
import pytest

from actionspace.errors import DataError, UsageError
from actionspace.metrics.phase_progression import (
    phase_progression,
    progression_targets,
    r_squared,
)


def video(*lengths: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(len(lengths)), lengths)
    noise = np.random.default_rng(seed).normal(size=(len(labels), 2))
    return np.column_stack([np.arange(len(labels)), noise]), labels


def test_targets() -> None:
    np.testing.assert_allclose(
        progression_targets([0, 0, 1, 2], 2), [[-0.25, -0.5], [0, -0.25], [0.25, 0], [0.5, 0.25]]
    )


def test_missing_phase_by_policy() -> None:
    with pytest.raises(DataError, match="Phase 1 does not occur"):
        progression_targets([0, 2], 2)
    np.testing.assert_allclose(progression_targets([0, 2], 2, "start")[:, 1], [0.5, 1])
    assert np.isnan(progression_targets([0, 2], 2, "skip")[:, 1]).all()


def test_skipped_videos_do_not_touch_the_boundary_they_lack() -> None:
    x, y = video(5, 5, 5)
    odd_x, odd_y = video(4, 0, 6, seed=1)
    odd_y[odd_y == 2] = 2
    whole = phase_progression([x], [y], [x], [y], boundaries=2, missing="skip")
    mixed = phase_progression([x, odd_x], [y, odd_y], [x], [y], boundaries=2, missing="skip")
    assert mixed.per_boundary[1] == pytest.approx(whole.per_boundary[1], abs=1e-12)
    assert mixed.per_boundary[0] != pytest.approx(whole.per_boundary[0], abs=1e-6)


def test_boundary_nobody_has_is_undefined_and_left_out() -> None:
    x, y = video(5, 5)
    found = phase_progression([x], [y], [x], [y], boundaries=3, missing="skip")
    assert np.isnan(found.per_boundary[2])
    assert found.validation == pytest.approx(np.mean(found.per_boundary[:2]))


def test_time_itself_is_perfect_and_constants_are_nothing() -> None:
    x, y = video(5, 5)
    assert phase_progression([x], [y], [x], [y], boundaries=1).train == pytest.approx(1)
    still = phase_progression([0 * x], [y], [0 * x], [y], boundaries=1)
    assert still.validation == pytest.approx(0)
    one = phase_progression([x], [y], [x[:1]], [y[:1]], boundaries=1)
    assert np.isnan(one.validation)


def test_r_squared_of_a_constant() -> None:
    assert r_squared(np.ones(3), np.ones(3)) == 1
    assert r_squared(np.ones(3), np.zeros(3)) == 0


def test_refusals() -> None:
    x, y = video(2, 2)
    with pytest.raises(UsageError, match="boundaries"):
        phase_progression([x], [y], [x], [y], boundaries=0)
    with pytest.raises(UsageError, match="missing"):
        phase_progression([x], [y], [x], [y], boundaries=1, missing="zero")  # type: ignore[arg-type]
