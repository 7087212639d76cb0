"""Finding a data set's lists and clips, wherever under the source they were unpacked."""

from __future__ import annotations

import os
from pathlib import Path

from actionspace.errors import DataError
from actionspace.events.table import VIDEO_SUFFIXES


def find_videos(source: Path) -> dict[str, str]:
    """Return file name -> path relative to ``source`` of every video under it.

    Of files with one name in several folders the first by path is taken.
    """
    found: dict[str, str] = {}
    for folder, subfolders, files in os.walk(source, followlinks=True):
        subfolders.sort()
        for file in sorted(files):
            if file.lower().endswith(VIDEO_SUFFIXES):
                found.setdefault(file, Path(folder, file).relative_to(source).as_posix())
    return found


def list_file(source: Path, name: str) -> Path | None:
    """Return the file of that name under ``source`` (the least deep one), or None."""
    found = sorted(source.rglob(name), key=lambda p: (len(p.parts), p))
    return found[0] if found else None


def only_file(source: Path, *names: str) -> Path | None:
    """Return the first of ``names`` that is somewhere under ``source``, or None."""
    return next((f for f in (list_file(source, name) for name in names) if f), None)


def need_file(source: Path, *names: str) -> Path:
    """Return the first of ``names`` under ``source``.

    Raises:
        DataError: none is there.
    """
    found = only_file(source, *names)
    if found is None:
        raise DataError(f"{source} does not hold {' or '.join(names)}; is this the right folder?")
    return found
