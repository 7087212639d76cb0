"""Hypothesis strategies for events, by what a format can carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from actionspace.events.columns import format_spans
from actionspace.events.labels import join_labels
from actionspace.events.table import Events

letters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
words = st.text(letters, min_size=1, max_size=8).map(str.strip).filter(bool)
plain = st.text("abcXYZ äß-_09", min_size=1, max_size=6).map(str.strip).filter(bool)
seconds = st.floats(0, 1e6)
milliseconds = st.integers(0, 10**8).map(lambda n: n / 1000)


def names(draw: st.DrawFn, most: int = 3) -> list[str]:
    """Video paths that are what they say on every system, some in folders, some with spaces."""
    stems = st.lists(plain.filter(lambda s: s[0] not in "-_"), min_size=1, max_size=3)
    paths = stems.map(lambda parts: "/".join(parts) + ".mp4")
    return draw(st.lists(paths, min_size=1, max_size=most, unique_by=str.lower))


@st.composite
def spans(
    draw: st.DrawFn, times: st.SearchStrategy[float], points: bool = True
) -> dict[str, float]:
    a, b = sorted((draw(times), draw(times)))
    if points and draw(st.integers(0, 3)) == 0:
        b = a
    return {"start": a, "end": b}


@st.composite
def facts(draw: st.DrawFn, text: st.SearchStrategy[str]) -> dict[str, Any]:
    """The columns of a video."""
    maybe = st.none() | text
    cuts = draw(st.none() | st.lists(st.floats(0, 1e5), min_size=2, max_size=2, unique=True))
    boxes = st.tuples(*[st.integers(0, 99)] * 2, *[st.integers(1, 99)] * 2)
    return {
        "split": draw(st.sampled_from(["train", "val", "test", None])),
        "group": draw(maybe),
        "duration": draw(st.floats(1e6, 2e6)),
        "fps": draw(st.floats(1, 250)),
        "frames": draw(st.none() | st.integers(0, 10**7)),
        "labelled": None if cuts is None else format_spans([tuple(sorted(cuts))]),
        "crop": draw(st.none() | boxes.map(lambda b: ",".join(map(str, b)))),
        "features": draw(maybe),
    }


@st.composite
def tables(
    draw: st.DrawFn,
    root: Path,
    *,
    text: st.SearchStrategy[str] = words,
    times: st.SearchStrategy[float] = seconds,
    several: bool = True,
    whole: bool = True,
    unlabelled: bool = True,
    least: int = 0,
) -> Events:
    """Events of one head with every column in use, grouped by video."""
    maybe = st.none() | text
    labels = st.lists(text, min_size=1, max_size=3 if several else 1).map(join_labels)
    labels = labels | st.none() if unlabelled else labels
    rows: list[dict[str, Any]] = []
    videos = [{"video": name, **draw(facts(text))} for name in names(draw)]
    for video in videos:
        for _ in range(draw(st.integers(least, 4))):
            span = draw(spans(times))
            label = draw(labels)
            if whole and label is not None and draw(st.integers(0, 4)) == 0:
                span = {}
            rows.append(
                {
                    "video": video["video"],
                    **span,
                    "label": label,
                    "subject": draw(maybe),
                    "modifiers": draw(maybe),
                    "status": draw(st.sampled_from(["event", "ignore"])),
                    "annotator": draw(maybe),
                    "score": draw(st.none() | st.floats(0, 1)),
                }
            )
    return Events.from_frames(rows, videos, root)


def renumbered(events: Events, order: list[str] | None = None) -> Events:
    """The events with ids counted anew, rows grouped by video and sorted by ``order`` in each."""
    place = {v: i for i, v in enumerate(events.videos["video"])}
    rows = events.rows.assign(_place=events.rows["video"].map(place))
    rows = rows.sort_values(["_place", *(order or [])], kind="stable").drop(
        columns=["_place", "id"]
    )
    return Events.from_frames(rows, events.videos, events.root, events.heads)
