"""MultiTHUMOS: THUMOS14's videos with dense labels of 65 classes, several at a time.

Read from ``multithumos.json`` in ActionFormer's layout, or from the official ``annotations/
<Class>.txt`` (lines ``video start end``) with ``class_list.txt`` (lines ``number Class``).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from actionspace.datasets import untrimmed
from actionspace.datasets.sources import need_file, only_file
from actionspace.datasets.thumos14 import SPLITS
from actionspace.errors import DataError
from actionspace.events.formats.manifest import read_lines
from actionspace.events.table import Events

JSON = ("multithumos.json",)
LIST = "class_list.txt"


def manifest(source: Path, *, features: str = "", missing: str = "skip") -> Events:
    """Return the manifest.

    Args:
        source: the folder with the annotation, anywhere under it.
        features: folders of features, see :mod:`.untrimmed`.
        missing: videos without features: ``skip`` or ``raise``.

    Raises:
        DataError: no annotation, or another layout; file and row are named.
    """
    file = only_file(source, *JSON)
    events = untrimmed.database(file, source, SPLITS) if file else _from_folder(source)
    return untrimmed.finish(events, source, features=features, missing=missing)


def classes(source: Path) -> dict[str, list[str]]:
    """Return the class names in the order of their ids."""
    file = only_file(source, *JSON)
    return {"label": untrimmed.in_order(untrimmed.class_ids(file)) if file else _names(source)}


def _names(source: Path) -> list[str]:
    file = need_file(source, *JSON, LIST)
    names = {}
    for row, line in enumerate(read_lines(file), start=1):
        words = line.split()
        if words:
            if len(words) != 2 or not words[0].isdigit():
                raise DataError(f"{file}, row {row}: {line!r} is not 'number class'.")
            names[int(words[0])] = words[1]
    return [names[number] for number in sorted(names)]


def _from_folder(source: Path) -> Events:
    folder = need_file(source, *JSON, LIST).parent / "annotations"
    files = {name: folder / f"{name}.txt" for name in _names(source)}
    lacking = [str(f) for f in files.values() if not f.is_file()]
    if lacking:
        raise DataError(f"{lacking[0]} is not there, though {LIST} lists its class.")
    rows = untrimmed.text_annotations(files, {"_validation_": "train", "_test_": "test"})
    table = pd.DataFrame(rows)
    videos = table[["video", "split"]].drop_duplicates()
    return Events.from_frames(table.drop(columns="split"), videos, source)
