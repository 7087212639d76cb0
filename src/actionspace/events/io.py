"""Read and write annotations in any known format; the format is told from the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events import columns as col
from actionspace.events.formats.carry import carried
from actionspace.events.table import Events

# In the order in which they are tried; the first that knows the file reads it.
_MODULES = {
    "boris": "boris",
    "boris-csv": "boris_csv",
    "elan": "elan",
    "via": "via",
    "football": "football",
    "actionformer": "actionformer",
    "activitynet": "activitynet",
    "kinetics": "kinetics_csv",
    "list": "video_list",
    "csv": "manifest",
    "parquet": "manifest",
    "folder": "class_folders",
}
FORMATS = tuple(_MODULES)
"""Names of the formats :func:`read` and :func:`write` know."""

_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "list",
    ".boris": "boris",
    ".eaf": "elan",
    ".json": "activitynet",
    "": "csv",
}


def read(
    path: str | Path,
    format: str | None = None,
    *,
    root: str | Path | None = None,
    allow_outside: bool = False,
    **options: Any,
) -> Events:
    """Read annotations.

    Args:
        path: a file or folder in one of :data:`FORMATS`.
        format: its format; None = told from the path and its content.
        root: the folder that video paths are relative to; None = the folder the file lies in.
            Paths that are absolute or begin with ``..`` are followed from the file's folder.
        allow_outside: accept videos outside ``root``.
        options: what the format's own reader takes, e.g. ``columns={"path": "video"}`` for CSV or
            ``names="labels.txt"`` for lists.

    Raises:
        DataError: the file is missing, of no known format, or wrong; file and row are named.
        UsageError: unknown format or option.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    name = _known(format) if format is not None else sniff(path)
    folder = path if path.is_dir() else path.parent
    root = Path(root) if root is not None else folder
    reader: Callable[..., Events] = _module(name).read
    try:
        events = reader(path, root, **options)
    except TypeError as e:
        if options and "unexpected keyword" in str(e):
            raise UsageError(f"The format '{name}' has no such option: {e}.") from e
        raise
    return _contained(events, folder, allow_outside)


def write(
    events: Events, path: str | Path, format: str | None = None, *, lossy: bool = False
) -> Path:
    """Write annotations; the format is told from the suffix (none = a CSV manifest folder).

    ``lossy=True`` leaves out the columns that the format cannot hold instead of refusing.

    Raises:
        DataError: the events hold something that the format cannot carry.
        UsageError: the suffix says no format, or the format cannot be written.
    """
    path = Path(path)
    if format is None:
        suffix = path.suffix.lower()
        if suffix not in _BY_SUFFIX:
            raise UsageError(f"{path}: no format for '{suffix}'. Formats: {', '.join(FORMATS)}.")
        format = _BY_SUFFIX[suffix]
    name = _known(format)
    module = _module(name)
    if not hasattr(module, "write"):
        raise UsageError(f"The format '{name}' can be read only.")
    if module is not _module("csv"):
        events = carried(events, name, module.ROWS, module.VIDEOS, lossy)
    if name == "parquet" and path.suffix.lower() != ".parquet":
        module.write_folder(events, path, ".parquet")
    else:
        module.write(events, path)
    return path


def sniff(path: Path) -> str:
    """Return the format of a file or folder.

    Raises:
        DataError: none fits; the message lists the formats.
    """
    for name in FORMATS:
        if _module(name).matches(path):
            return name
    raise DataError(
        f"{path}: this is none of the formats {', '.join(FORMATS)}. If it is one of them, say "
        f"which with format=."
    )


def _known(name: str) -> str:
    if name not in _MODULES:
        hint = did_you_mean(name, FORMATS) or f" Formats: {', '.join(FORMATS)}."
        raise UsageError(f"Unknown annotation format '{name}'.{hint}")
    return name


def _module(name: str) -> Any:
    return import_module(f"actionspace.events.formats.{_MODULES[name]}")


def _contained(events: Events, folder: Path, allow_outside: bool) -> Events:
    """Return the events with every video path relative to the root; refuse those outside it."""
    moved: dict[str, str] = {}
    for video in events.videos["video"]:
        if not (col.is_absolute(video) or video.startswith("..")):
            continue
        inside = col.place_under(video, folder, events.root)
        if inside is not None:
            moved[video] = inside
        elif not allow_outside:
            raise DataError(
                f"{_place(events, video)}: the video '{video}' lies outside {events.root}. "
                f"Give the folder that holds the videos as root=, or allow it with "
                f"allow_outside=True (--allow-outside)."
            )
        elif not col.is_absolute(video):
            moved[video] = Path(os.path.relpath(folder / video, events.root)).as_posix()
    if not moved:
        return events

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(video=table["video"].map(lambda v: moved.get(v, v)).astype(object))

    origin = events.origin
    if origin is not None:
        video_rows = {moved.get(v, v): row for v, row in origin.video_rows.items()}
        origin = replace(origin, video_rows=video_rows)
    return Events.from_frames(
        renamed(events.rows), renamed(events.videos), events.root, events.heads, origin
    )


def _place(events: Events, video: str) -> str:
    origin = events.origin
    if origin is None:
        return "The annotations"
    row = origin.video_rows.get(video)
    file = origin.videos_file or origin.events_file
    return f"{file}, row {row}" if row is not None else str(file)
