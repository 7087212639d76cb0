"""Predictions where nobody knows what happens: neither right nor wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actionspace.events.uncounted import within
from actionspace.metrics.detection_matching import Instances
from actionspace.metrics.inputs import Bools, Floats
from actionspace.paths import sha256_json


def count(guess: Instances, wanted: Instances, uncounted: Mapping[int, Floats]) -> Bools:
    """Return which predictions ``[M]`` count.

    Those do not whose middle lies in uncounted time, unless it lies in an annotated event of their
    class.

    Args:
        guess: predictions.
        wanted: annotated events.
        uncounted: spans ``[N, 2]`` by the number of the video.
    """
    counts = np.ones(len(guess), bool)
    middle = guess.spans.mean(axis=1)
    for video, spans in uncounted.items():
        mine = np.flatnonzero(guess.video == video)
        mine = mine[within(middle[mine], spans)]
        events = wanted.at(wanted.video == video)
        for label in np.unique(guess.labels[mine]):
            own = mine[guess.labels[mine] == label]
            counts[own] = within(middle[own], events.spans[events.labels == label])
    return counts


def rule(uncounted: Mapping[str, Floats]) -> dict[str, Any]:
    """Return what the protocol says of it; nothing where every second counts."""
    if not uncounted:
        return {}
    spans = {video: [str(t) for t in own.ravel()] for video, own in uncounted.items()}
    said = "predictions in it are left out, but in annotated events of their class"
    return {"uncounted_time": {"videos": len(spans), "hash": sha256_json(spans), "rule": said}}
