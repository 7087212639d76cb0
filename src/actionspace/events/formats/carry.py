"""What a format cannot carry is refused, or left out when that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actionspace.errors import DataError
from actionspace.events import columns as col
from actionspace.events.table import Events


def carried(
    events: Events, name: str, rows: Sequence[str], videos: Sequence[str], lossy: bool
) -> Events:
    """Return the events with only the columns that a format carries.

    Raises:
        DataError: another column holds values and ``lossy`` is False; the column is named.
    """
    if len(events.heads) > 1 and not lossy:
        raise DataError(
            f"The format '{name}' holds one label column, these events have the heads "
            f"{', '.join(events.heads)}. Write CSV, or leave out the others with lossy=True."
        )
    head = events.heads[0]
    # Without these an event still says the same, so formats without room for them lose them.
    beside = [name for name in col.UNCERTAINTY if name in rows and name in events.rows.columns]
    table = events.rows[[*col.EVENT_COLUMNS, *beside]].assign(label=events.rows[head])
    facts = events.videos
    default = {"status": "event"}
    for kind, frame, keep in (("event", table, rows), ("video", facts, videos)):
        for column in frame.columns:
            if column in keep or column in ("id", "video"):
                continue
            used = frame[column].notna() & (frame[column] != default.get(column))
            if used.any() and not lossy:
                first = frame[used].iloc[0]
                which = f"event {first['id']} of " if kind == "event" else ""
                raise DataError(
                    f"The format '{name}' cannot hold the {kind} column '{column}' "
                    f"({which}{first['video']}: {first[column]!r}). Write CSV, or leave it out "
                    f"with lossy=True."
                )
    further = [name for name in rows if name in table.columns and name not in ("start", "end")]
    return Events.from_frames(
        table[["id", "video", "start", "end", *further]],
        facts[["video", *videos]],
        events.root,
    )


def with_times(events: Events, name: str) -> Events:
    """Return the events with whole-video ones written out as 0 to the video's duration.

    Raises:
        DataError: the duration of such a video is unknown.
    """
    whole = events.rows["start"].isna()
    if not whole.any():
        return events
    duration = events.rows["video"].map(events.videos.set_index("video")["duration"])
    unknown = whole & duration.isna()
    if unknown.any():
        raise DataError(
            f"The format '{name}' needs times: {events.rows['video'][unknown].iloc[0]} has an "
            f"event for the whole video and no duration. Fill in 'duration', or write CSV."
        )
    rows = events.rows.assign(
        start=events.rows["start"].mask(whole, 0.0), end=events.rows["end"].mask(whole, duration)
    )
    return replace(events, rows=rows)
