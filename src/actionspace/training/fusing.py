"""What predictions of several models need before they become one, whatever the task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from actionspace.errors import UsageError
from actionspace.training.predictions import Predictions


def model_shares(weights: Sequence[float] | None, models: int) -> np.ndarray:
    """Return what each model counts, float64 ``[models]`` with sum 1; None = all alike.

    Raises:
        UsageError: another number of weights, one below 0, or all 0.
    """
    chosen = np.ones(models) if weights is None else np.asarray(weights, np.float64)
    if chosen.shape != (models,) or (chosen < 0).any() or not 0 < chosen.sum() < np.inf:
        raise UsageError(
            f"weights={list(weights or ())} do not fit: {models} numbers are needed, none below 0 "
            "and not all 0."
        )
    return np.asarray(chosen / chosen.sum())


def encoder_name(found: Predictions) -> str:
    """Return the encoder behind predictions."""
    return str((found.labels.get("encoder") or {}).get("name") or "unknown")


def joined_truth(many: Sequence[Predictions]) -> pd.DataFrame | None:
    """Return the annotated events, those of each video by the first model that brought them."""
    told: list[pd.DataFrame] = []
    seen: set[str] = set()
    for truth in (p.truth for p in many if p.truth is not None):
        told.append(truth[~truth["video"].isin(seen)])
        seen |= set(truth["video"])
    return pd.concat(told, ignore_index=True) if told else None
