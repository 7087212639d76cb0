"""How far predicted boundaries are from the annotated ones, and whether they know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actionspace.events.columns import UNCERTAINTY
from actionspace.events.labels import split_labels
from actionspace.events.table import Events
from actionspace.metrics.detection_matching import Instances, all_overlaps, match

if TYPE_CHECKING:
    import pandas as pd

#: Temporal IoU from which on an event counts as found.
FOUND = 0.5


def boundary_measures(truth: Events, predictions: Events, head: str = "label") -> dict[str, float]:
    """Return how certain boundaries of events that were found are, and whether that is true.

    An event is found by the best-scoring prediction of its class that overlaps it by half. Of
    the starts and ends of all that are found:

    - ``boundary_coverage``: the share within the interval that should hold 80 % of them. More than
      0.8 says that intervals are too wide, less that they are too narrow.
    - ``boundary_interval``: their mean width in seconds.
    - ``boundary_error``: the mean distance of the predicted boundary, in seconds.

    Args:
        truth: the annotations.
        predictions: of the same videos, with scores.
        head: whose labels must agree.

    Returns:
        nothing where predictions do not tell how uncertain they are, or find no event.
    """
    if not set(UNCERTAINTY) <= set(predictions.rows.columns):
        return {}
    wanted, guess = _by_label(truth, head), _by_label(predictions, head)
    guess = guess[guess[[*UNCERTAINTY]].notna().all(axis=1)]
    names = {name: i for i, name in enumerate(dict.fromkeys(truth.videos["video"]))}
    classes = {name: i for i, name in enumerate(wanted[head].unique())}
    guess = guess[guess["video"].isin(names) & guess[head].isin(classes)]
    annotated, predicted = (
        Instances(
            table["video"].map(names).to_numpy(np.int64),
            table[["start", "end"]].to_numpy(np.float64),
            table[head].map(classes).to_numpy(np.int64),
            table["score"].to_numpy(np.float64) if scored else np.zeros(0),
        )
        for table, scored in ((wanted, False), (guess, True))
    )
    found = match(
        annotated, predicted, np.array([FOUND]), all_overlaps(annotated, predicted, FOUND)
    )[:, 0]
    hits = found >= 0
    if not hits.any():
        return {}
    true = annotated.spans[found[hits]]
    lows = guess[["start_low", "end_low"]].to_numpy()[hits]
    highs = guess[["start_high", "end_high"]].to_numpy()[hits]
    return {
        "boundary_coverage": float(((lows <= true) & (true <= highs)).mean()),
        "boundary_interval": float((highs - lows).mean()),
        "boundary_error": float(np.abs(predicted.spans[hits] - true).mean()),
    }


def _by_label(events: Events, head: str) -> pd.DataFrame:
    """Return the events that lie in time, one row per label."""
    rows = events.rows[(events.rows["status"] == "event") & events.rows["start"].notna()]
    rows = rows.copy()
    rows[head] = [split_labels(text) for text in rows[head]]
    return rows.explode(head).dropna(subset=head).reset_index(drop=True)
