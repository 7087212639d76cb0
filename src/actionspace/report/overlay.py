"""A video with what was predicted under the picture, and what is true, as time goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import UsageError

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.report.strip import Row
    from actionspace.training.predictions import Predictions

#: Narrower pictures are enlarged, so that names can be read.
LEAST_WIDTH = 320


def beside(out: str | os.PathLike[str] | None) -> Path:
    """Return the folder for the overlays of predictions that go to ``out``.

    Raises:
        UsageError: they go nowhere.
    """
    if out is None:
        raise UsageError("overlay=True writes videos: say where with out=FOLDER.")
    return Path(out) if Path(out).suffix == "" else Path(out).parent


def write_overlays(found: Predictions, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``<folder>/<video>.overlay.mp4`` for every video that was predicted.

    Shown are the events that score enough to be told, and the truth where the predictions bring it
    along.

    Raises:
        VideoError: a video cannot be read again or written.
    """
    found = found.told()
    truth, classes = found.truth, []
    for head in found.events.heads:
        background = found.background(head)
        nothing = background.get("label") if background.get("kind") == "trained" else None
        classes += [name for name in found.classes(head) if name != nothing]
        if truth is not None and head in truth:
            truth = truth[truth[head] != nothing]
    true = None if truth is None else replace(found.events, rows=truth)
    written = []
    for video in map(str, found.events.videos["video"]):
        if video in found.skipped:
            continue
        parts = [p for p in PurePosixPath(video).parts if p not in ("/", "..")]
        target = Path(folder, *parts).with_suffix(".overlay.mp4")
        written.append(write_overlay(video, found.events, true, target, classes=classes))
    return written


def write_overlay(
    video: str,
    predicted: Events,
    true: Events | None,
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a video (H.264) with a strip under the picture that tells its events.

    Each frame is shown as long as in the source; there is no sound. One frame is in memory at a
    time, whatever the length.

    Args:
        video: its name in ``predicted``.
        predicted: events, also of other videos; of several heads each gets a row.
        true: annotated events, for rows below; one to ignore is not shown.
        out: the file to write.
        classes: names in the order of their colours; None = those of both tables, sorted.

    Raises:
        VideoError: the video cannot be read, or not written.
    """
    from actionspace.progress import progress
    from actionspace.report.strip import Strip
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep
    from actionspace.video.transform import FrameTransform
    from actionspace.video.write import write_video

    path = predicted.path(video)
    index = frame_index(path)
    width, height = index.width, index.height
    enlarged = -(-LEAST_WIDTH // width)
    transform = FrameTransform(short_side=enlarged * min(width, height) if enlarged > 1 else None)
    width, height = transform.output_size(width, height)
    strip = Strip(
        event_rows(video, predicted, true, index.duration, classes), index.duration, width
    )

    def pictures() -> Iterator[np.ndarray]:
        frames = sweep(path, range(len(index)), transform=transform, index=index)
        last, shown = np.zeros((height, width, 3), np.uint8), 0
        for number, frame in progress(frames, total=len(index), what="overlay", unit="frame"):
            while shown < number:  # a frame that cannot be decoded: its place is kept
                yield with_strip(last, shown)
                shown += 1
            last = frame
        while shown < len(index):
            yield with_strip(last, shown)
            shown += 1

    def with_strip(picture: np.ndarray, number: int) -> np.ndarray:
        return np.concatenate([picture, strip.draw(float(index.times[number].mean()))])

    return write_video(
        out, pictures(), index.fps, options={"preset": "veryfast"}, times=index.times
    )


def event_rows(
    video: str,
    predicted: Events,
    true: Events | None,
    duration: float,
    classes: Sequence[str] | None = None,
) -> list[Row]:
    """Return the rows of the strip: per head what was predicted, and under it what is true."""
    from actionspace.events.blur import edges_of
    from actionspace.events.labels import label_order
    from actionspace.events.plot import colours
    from actionspace.events.table import split_labels
    from actionspace.report.strip import Mark, Row

    tables = [events for events in (predicted, true) if events is not None]
    heads = [(h, e) for e in tables for h in e.heads if h in predicted.heads]
    texts = [t for h, e in heads for t in e.for_video(video)[h].dropna()]
    named = label_order(name for text in texts for name in split_labels(text))
    palette = colours(list(dict.fromkeys([*(classes or ()), *named])))

    def marks(events: Events, head: str) -> list[Mark]:
        rows = events.for_video(video)
        rows = rows[(rows["status"] == "event") & rows[head].notna()]
        own = f"{head}_score"
        scores = rows[own if own in rows.columns else "score"]
        return [
            Mark(
                0.0 if start != start else float(start),
                duration if end != end else float(end),
                label,
                palette[label],
                None if score != score else float(score),
                edges_of(row),
            )
            for row, score in zip(rows.to_dict("records"), scores, strict=True)
            for start, end, text in [(row["start"], row["end"], row[head])]
            for label in split_labels(text)
        ]

    rows = []
    for head in predicted.heads:
        several = len(predicted.heads) > 1
        rows.append(Row(head if several else "predicted", marks(predicted, head)))
        if true is not None and head in true.heads:
            rows.append(Row(f"true {head}" if several else "true", marks(true, head)))
    return rows
