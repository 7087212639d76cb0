"""Phases of one labelled video for others that are aligned with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from actionspace.alignment.timemap import TimeMap
from actionspace.errors import DataError, did_you_mean
from actionspace.events.frames import from_frames
from actionspace.events.table import Events

if TYPE_CHECKING:
    from actionspace.alignment.match import Floats


def transfer_phases(events: Events, maps: Sequence[TimeMap], *, head: str = "phase") -> Events:
    """Give each row of a video the phase of its moment in the labelled one.

    Args:
        events: the phases of the labelled video, perhaps with other videos.
        maps: from each further video to the labelled one.
        head: column of the phases.

    Returns:
        Contiguous events of the further videos; where the labelled video has no phase there is no
        event.

    Raises:
        DataError: there is no such column, or a labelled video without a phase.
    """
    if head not in events.heads:
        hint = did_you_mean(head, events.heads) or f" There is: {', '.join(events.heads)}."
        raise DataError(f"The events have no column '{head}' of phases.{hint}")
    found = [pd.DataFrame(columns=["video", "start", "end", head])]
    for each in maps:
        names = _phases_at(events, each.target.name, each.times, head)
        spans = each.source.spans().round(6)
        rows = from_frames(names, spans, each.source.name, background="")
        found.append(rows.rename(columns={"label": head}))
    videos = [{"video": m.source.name, "duration": round(m.source.duration, 6)} for m in maps]
    rows = pd.concat([table for table in found[1:] if len(table)] or found, ignore_index=True)
    return Events.from_frames(rows, pd.DataFrame(videos), events.root, heads=(head,))


def _phases_at(events: Events, video: str, times: Floats, head: str) -> np.ndarray:
    """Return the phase at each moment, "" where none is; of several the one that starts last."""
    rows = events.for_video(video)
    rows = rows[(rows["status"] == "event") & rows[head].notna()]
    if rows.empty:
        hint = did_you_mean(video, events.videos["video"])
        raise DataError(f"The video '{video}' has no event with a '{head}' to hand on.{hint}")
    names = np.full(len(times), "", object)
    bounds = rows.assign(start=rows["start"].fillna(-np.inf), end=rows["end"].fillna(np.inf))
    bounds = bounds.sort_values("start", kind="stable")
    for start, end, name in bounds[["start", "end", head]].itertuples(index=False):
        names[(times >= start) & (times < end)] = name
    return names
