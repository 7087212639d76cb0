"""What ``calibrate`` found for a run: ``calibration.json``, beside what the training left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import DataError, RunError
from actionspace.paths import read_json

if TYPE_CHECKING:
    from actionspace.training.run import Run

NAME = "calibration.json"
LEAST = 1e-7  # that a score, and 1 less a score, counts as


def logits_of(scores: Any) -> np.ndarray:
    """Return the logits of scores in [0, 1], ``[N]``, float64."""
    p = np.clip(np.asarray(scores, dtype=float), LEAST, 1 - LEAST)
    return np.asarray(np.log(p / (1 - p)))


def calibrated(scores: Any, temperature: float, offset: float) -> np.ndarray:
    """Return scores whose logits are divided by a temperature and moved by an offset, ``[N]``.

    Their order stays. With temperature 1 and offset 0 they are as they came.
    """
    if temperature == 1.0 and offset == 0.0:
        return np.asarray(scores)
    return np.asarray(1 / (1 + np.exp(-(logits_of(scores) / temperature + offset))))


def calibration_of(run: Run) -> tuple[float, float]:
    """Return temperature and offset that a run's scores are calibrated with; 1 and 0 = not.

    Raises:
        RunError: the file is damaged.
    """
    path = run.path / NAME
    if not path.is_file():
        return 1.0, 0.0
    try:
        found = read_json(path)
        temperature, offset = float(found["temperature"]), float(found["offset"])
    except (DataError, KeyError, TypeError, ValueError) as e:
        raise RunError(_damaged(path)) from e
    if not (0 < temperature < math.inf and math.isfinite(offset)):
        raise RunError(_damaged(path))
    return temperature, offset


def _damaged(path: Any) -> str:
    return (
        f"{path} is damaged. Delete it, and the run scores as it was trained; or calibrate again."
    )
