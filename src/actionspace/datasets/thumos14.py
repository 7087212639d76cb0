"""THUMOS14: temporal annotation of 20 sports in 200 validation and 213 test videos.

Training is on the validation videos. Read from ``thumos14.json`` as ActionFormer publishes it, or
from the official folders of ``<Class>_val.txt`` and ``<Class>_test.txt`` with lines ``video start
end``, where durations are not known and the ambiguous stretches are events to ignore. Published
figures are of 213 test videos or of fewer (210 without 270, 1292 and 1496): what is scored is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from actionspace.datasets import untrimmed
from actionspace.datasets.sources import only_file
from actionspace.errors import DataError
from actionspace.events.table import Events

JSON = ("thumos14.json", "thumos_14_anno.json")
SPLITS = {"train": "train", "val": "train", "test": "test"}
AMBIGUOUS = "Ambiguous"
_SPLIT_OF = {"_validation_": "train", "_test_": "test"}


def manifest(
    source: Path, *, features: str = "", missing: str = "skip", leave_out: str = ""
) -> Events:
    """Return the manifest.

    Args:
        source: the folder with the annotation, anywhere under it.
        features: folders of features, see :mod:`.untrimmed`.
        missing: videos without features: ``skip`` or ``raise``.
        leave_out: videos to do without, ``"270,1292,1496"`` or by whole names.

    Raises:
        DataError: no annotation, or another layout; file and row are named.
    """
    file = only_file(source, *JSON)
    events = untrimmed.database(file, source, SPLITS) if file else _from_folders(source)
    unwanted = {word.strip() for word in leave_out.split(",") if word.strip()}
    if unwanted:
        keep = [v for v in events.videos["video"] if not _named(v, unwanted)]
        events = events.select(videos=keep)
    return untrimmed.finish(events, source, features=features, missing=missing)


def classes(source: Path) -> dict[str, list[str]]:
    """Return the class names in the order of their ids."""
    file = only_file(source, *JSON)
    ids = untrimmed.class_ids(file) if file else {}
    return {"label": untrimmed.in_order(ids) if ids else sorted(_class_files(source))}


def _named(video: str, words: Iterable[str]) -> bool:
    return any(video == w or video.endswith(f"_test_{w:0>7}") for w in words)


def _class_files(source: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for split in ("val", "test"):
        for file in sorted(source.rglob(f"*_{split}.txt")):
            found.setdefault(file.stem.removesuffix(f"_{split}"), []).append(file)
    found.pop(AMBIGUOUS, None)
    if not found:
        raise DataError(
            f"{source} holds neither {JSON[0]} nor files such as BaseballPitch_val.txt; unpack "
            f"ActionFormer's thumos.tar.gz, or the official temporal annotation, there."
        )
    return found


def _from_folders(source: Path) -> Events:
    files = _class_files(source)
    rows = []
    for split in ("val", "test"):
        part = {c: f for c, all_of in files.items() for f in all_of if f.stem.endswith(f"_{split}")}
        rows += untrimmed.text_annotations(part, _SPLIT_OF)
        for file in sorted(source.rglob(f"{AMBIGUOUS}_{split}.txt")):
            unsure = untrimmed.text_annotations({AMBIGUOUS: file}, _SPLIT_OF)
            rows += [{**row, "status": "ignore"} for row in unsure]
    table = pd.DataFrame(rows)
    videos = table[["video", "split"]].drop_duplicates()
    return Events.from_frames(table.drop(columns="split"), videos, source)
