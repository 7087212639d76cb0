"""A folder of class folders: ``CLASS/clip.mp4`` or ``SPLIT/CLASS/clip.mp4``.

Carries one label per whole video and the split. Top folders named train, val(idation) or test are
splits when all of them are. Videos that lie beside the class folders have no label.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from actionspace.errors import DataError
from actionspace.events.columns import split_name
from actionspace.events.labels import join_labels, split_labels
from actionspace.events.table import VIDEO_SUFFIXES, Events

ROWS = ("label",)
VIDEOS = ("split",)


def matches(path: Path) -> bool:
    """Say whether the path is a folder."""
    return path.is_dir()


def read(path: Path, root: Path) -> Events:
    """Read every video under the folder.

    Raises:
        DataError: there is no video in it.
    """
    found = sorted(_videos(path))
    if not found:
        raise DataError(f"{path} holds no video ({', '.join(VIDEO_SUFFIXES)}).")
    tops = {parts[0] for parts in (v.parts for v in found) if len(parts) > 1}
    splits = bool(tops) and all(split_name(top) for top in tops)
    rows, videos = [], []
    for video in found:
        folders = list(video.parts[:-1])
        split = split_name(folders.pop(0)) if splits and folders else None
        name = (PurePosixPath(os.path.relpath(path, root).replace(os.sep, "/")) / video).as_posix()
        videos.append({"video": name, "split": split})
        if folders:
            rows.append({"video": name, "label": join_labels([folders[0].strip()])})
    return Events.from_frames(rows, videos, root)


def _videos(path: Path) -> Iterator[PurePosixPath]:
    visited = set()
    for folder, subfolders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = [s for s in subfolders if not s.startswith(".")]
        for file in files:
            if not file.startswith(".") and file.lower().endswith(VIDEO_SUFFIXES):
                yield PurePosixPath(Path(folder, file).relative_to(path).as_posix())


def write(events: Events, path: Path) -> None:
    """Put each video (hard-linked, else copied) into the folder of its class under ``path``.

    Raises:
        DataError: an event is an interval, a video has several labels, a label cannot be a folder
            name, two videos would get one name, or a file is missing.
    """
    targets: dict[str, str] = {}
    for video, rows in events.by_video():
        name = str(video["video"])
        labels = split_labels(rows["label"].iloc[0]) if len(rows) else []
        if len(rows) > 1 or len(labels) > 1 or rows["start"].notna().any():
            raise DataError(f"{name}: class folders hold whole videos with one label each.")
        if labels and (set("/\\") & set(labels[0]) or labels[0].startswith(".")):
            raise DataError(f"{name}: the label {labels[0]!r} cannot be a folder's name.")
        parts = [p for p in (video["split"], *labels) if p]
        target = "/".join([*parts, PurePosixPath(name).name])
        if target in targets:
            raise DataError(f"{name} and {targets[target]} would both become {target}.")
        targets[target] = name
    for target, name in targets.items():
        source = events.path(name)
        if not source.is_file():
            raise DataError(f"{source} does not exist.")
        _place(source, path / target)


def _place(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise DataError(f"{target} exists already and is another file.")
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
