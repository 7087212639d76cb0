"""What is unlike the reference: the distance to it, once time is aligned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from actionspace.alignment.timemap import TimeMap
from actionspace.errors import UsageError
from actionspace.report.time_curves_svg import Curve


def anomaly_score(maps: Sequence[TimeMap]) -> Curve:
    """Return how far each row of a video is from what is usual at its moment.

    The distance to the row of the aligned reference; of several references the nearest counts, so
    that what any one of them shows is usual. In units of the maps' distance, from 0.

    Args:
        maps: from one video to each reference, with one distance.

    Raises:
        UsageError: no map, or maps of several videos.
    """
    if not maps or any(found.source.name != maps[0].source.name for found in maps):
        raise UsageError("An anomaly score needs maps from one video to one reference or more.")
    nearest = np.min([found.distances for found in maps], axis=0)
    return Curve(maps[0].source.name, maps[0].source.times, nearest)
