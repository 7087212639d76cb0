"""FineGym (Shao, Zhao, Dai & Lin, 2020): elements of gymnastics in events, 99 or 288 classes.

The files that CARL publishes, or the official annotation with the raw videos, from which events are
cut (:mod:`.finegym_events`). A frame without an element has no event.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from actionspace.datasets.finegym_events import Event, cut_events, listed_events
from actionspace.datasets.framewise import (
    FPS,
    FramewiseVideo,
    Rules,
    entry_video,
    framewise_events,
    read_pickle,
)
from actionspace.datasets.sources import only_file
from actionspace.errors import DataError
from actionspace.events.formats.video_list import read_names
from actionspace.events.table import Events
from actionspace.paths import read_json

VERSIONS = ("v1.0", "v1.1")
_LAYOUTS = (
    "gym{gym}_train_v1.0.pkl and gym{gym}_val.pkl with processed_videos/ (as CARL publishes it), "
    "or finegym_annotation_info_v1.0.json, gym{gym}_train_element_v1.0.txt, "
    "gym{gym}_val_element.txt and the raw videos <YouTube id>.mp4 (.mkv, .webm)"
)


def manifest(
    gym: int,
    source: Path,
    *,
    additional: bool = False,
    missing: str = "raise",
    mismatch: str = "raise",
    val_as_test: bool = True,
) -> Events:
    """Return the manifest of the events, elements in ``phase``, the apparatus' number in ``event``.

    Args:
        gym: number of classes, 99 or 288.
        source: a folder of one of the two layouts; events are cut into
            ``source/processed_videos``, those that exist are kept.
        additional: also the events without elements, to train on without labels
            (``additional_v1.0.pkl``, or cut into ``source/additional_processed_videos``).
        missing, mismatch, val_as_test: see :class:`~.framewise.Rules`.

    Raises:
        DataError: neither layout, or a file is not as it should be.
    """
    rules = Rules(missing, mismatch, val_as_test)
    pickles = {
        "train": only_file(source, *(f"gym{gym}_train_{v}.pkl" for v in VERSIONS)),
        "val": only_file(source, f"gym{gym}_val.pkl"),
    }
    if any(pickles.values()):
        videos = _published(source, pickles, additional)
    else:
        videos = _cut(gym, source, additional, rules)
    return framewise_events(source, videos, rules, class_names(gym, source))


def classes(gym: int, source: Path) -> dict[str, list[str]]:
    """Return the elements in the order of their numbers."""
    return {"phase": list(class_names(gym, source).values())}


def class_names(gym: int, source: Path) -> dict[int, str]:
    """Return number -> element, by the label map that is there; else by the number as text.

    A name that several elements have gets the number in front.
    """
    file = only_file(source, f"gym{gym}_categories.txt", f"label_map_gym{gym}.txt")
    numbers = {number: str(number) for number in range(gym)}
    if file is None:
        return numbers
    names = _categories(file)
    if sorted(names) != list(numbers):
        raise DataError(f"{file} names {len(names)} elements; expected {gym}, one per line.")
    texts = list(names.values())
    return {n: t if texts.count(t) == 1 else f"{n} {t}" for n, t in sorted(names.items())}


def _categories(file: Path) -> dict[int, str]:
    """Return the names of one per line, or of the official ``Clabel: 0; set: 1; ...; name``."""
    found = {int(k): v for k, v in (read_names(file) or {}).items()}
    if not all(name.lower().startswith("clabel") for name in found.values()):
        return found
    parts = [name.split(";") for name in found.values()]
    return {int(p[0].split(":")[1]): p[-1].strip() for p in parts}


def _published(
    source: Path, pickles: dict[str, Path | None], additional: bool
) -> list[FramewiseVideo]:
    extra = only_file(source, *(f"additional_{v}.pkl" for v in VERSIONS)) if additional else None
    if additional and extra is None:
        raise DataError(f"{source} does not hold additional_v1.0.pkl, which additional=true needs.")
    return [
        FramewiseVideo(
            entry_video(source, path, entry),
            split,
            None if path == extra else np.asarray(entry["frame_label"]).astype(np.int64),
            str(entry["name"]).split("_E_")[0],
            {"event": str(int(entry.get("event_label", -1)))},
        )
        for split, path in (*pickles.items(), ("train", extra))
        if path is not None
        for entry in read_pickle(path)
    ]


def _cut(gym: int, source: Path, additional: bool, rules: Rules) -> list[FramewiseVideo]:
    info = only_file(source, *(f"finegym_annotation_info_{v}.json" for v in VERSIONS))
    lists = {
        "train": only_file(source, *(f"gym{gym}_train_element_{v}.txt" for v in VERSIONS)),
        "val": only_file(source, f"gym{gym}_val_element.txt"),
    }
    if info is None or not any(lists.values()):
        raise DataError(f"{source} does not hold FineGym. Expected {_LAYOUTS.format(gym=gym)}.")
    annotation = read_json(info)
    found: list[tuple[str, Event]] = []
    for split, path in lists.items():
        if path is not None:
            found += [(split, event) for event in listed_events(path, annotation, info)]
    plain = listed_events(None, annotation, info) if additional else []
    skip = rules.missing == "skip"
    videos = cut_events(source, [event for _, event in found], "processed_videos", skip)
    videos |= cut_events(source, plain, "additional_processed_videos", skip)
    return [
        FramewiseVideo(
            videos[event.name].path,
            split,
            event.labels(videos[event.name].frames, FPS) if event.elements else None,
            event.youtube_id,
            {"event": str(event.apparatus)},
        )
        for split, event in (*found, *(("train", event) for event in plain))
        if event.name in videos
    ]
