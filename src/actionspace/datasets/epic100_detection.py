"""EPIC-KITCHENS-100 detection: when which verb and which noun happens in whole videos.

Read from ``epic_kitchens_100_verb.json`` and ``epic_kitchens_100_noun.json`` as ActionFormer
publishes them (one or both), or from the official ``EPIC_100_*.csv``, see :mod:`.epic100`. All 97
verbs and 300 nouns are classes, also those that no segment has. The annotation is CC BY-NC 4.0 and
no part of it is in here. Figures are published on the validation split, which is called ``test``.
"""

from __future__ import annotations

from pathlib import Path

from actionspace.datasets import epic100, untrimmed
from actionspace.datasets.sources import only_file
from actionspace.errors import DataError, UsageError
from actionspace.events.labels import join_labels, split_labels
from actionspace.events.table import Events

COUNTS = {"verb": 97, "noun": 300}


def manifest(
    source: Path,
    *,
    head: str = "",
    features: str = "",
    missing: str = "raise",
    val_as_test: bool = True,
) -> Events:
    """Return the manifest.

    Args:
        source: the folder with the annotation, anywhere under it.
        head: ``verb`` or ``noun`` alone; empty = what is there, and ``action`` for the pair.
        features: folders of features, see :mod:`.untrimmed`.
        missing: videos without features: ``raise`` or ``skip``.
        val_as_test: call the validation split ``test``.

    Raises:
        DataError: no annotation, another layout, or files of verbs and nouns that disagree.
        UsageError: an unknown head.
    """
    if head and head not in COUNTS:
        raise UsageError(f"head={head}: use verb or noun, or leave it out for both.")
    wanted = [head] if head else list(COUNTS)
    files = {h: f for h in wanted if (f := _json(source, h))}
    if files:
        splits = {"train": "train", "val": "test" if val_as_test else "val"}
        parts = {h: untrimmed.database(f, source, splits) for h, f in files.items()}
        events = _joined(parts, files)
    else:
        found = epic100.manifest(source, val_as_test=val_as_test)
        heads = (head,) if head else found.heads
        unwanted = [h for h in found.heads if h not in heads]
        videos = found.videos.assign(video=found.videos["group"])
        bare = dict(zip(found.videos["video"], found.videos["group"], strict=True))
        rows = found.rows.assign(video=found.rows["video"].map(bare)).drop(columns=unwanted)
        events = Events.from_frames(rows, videos, source, heads)
    return untrimmed.finish(events, source, features=features, missing=missing)


def classes(source: Path, *, head: str = "") -> dict[str, list[str]]:
    """Return all 97 verbs or 300 nouns, or both, in the order of their ids.

    Classes without a segment get their names from ``EPIC_100_{verb,noun}_classes.csv`` where those
    are there, else they are called ``class 83``.
    """
    order = {}
    official = only_file(source, "EPIC_100_verb_classes.csv")
    named = epic100.read_classes(source) if official else None
    for h in [head] if head else COUNTS:
        names = named and dict(enumerate(named.verbs if h == "verb" else named.nouns))
        file = _json(source, h)
        if file or named:
            ids = untrimmed.class_ids(file) if file else {}
            order[h] = untrimmed.in_order(ids, COUNTS[h], names or None)
    return order


def _json(source: Path, head: str) -> Path | None:
    return only_file(source, f"epic_kitchens_100_{head}.json")


def _joined(parts: dict[str, Events], files: dict[str, Path]) -> Events:
    """Return one table with a head per file; the files hold the same segments in the same order."""
    [first, *more] = parts
    rows = parts[first].rows.rename(columns={"label": first})
    for other in more:
        theirs = parts[other].rows
        where = ["video", "start", "end"]
        if not rows[where].equals(theirs[where]):
            raise DataError(
                f"{files[first]} and {files[other]} do not hold the same segments in the same "
                f"order; use head={first} or head={other} for one of them."
            )
        pairs = zip(rows[first], theirs["label"], strict=True)
        rows = rows.assign(**{other: theirs["label"]})
        rows["action"] = [
            join_labels([" ".join(split_labels(a) + split_labels(b))]) for a, b in pairs
        ]
    heads = (*parts, "action") if more else tuple(parts)
    return Events.from_frames(rows, parts[first].videos, parts[first].root, heads)
