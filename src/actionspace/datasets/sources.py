"""Finding a data set's lists and clips, wherever under the source they were unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from actionspace.errors import DataError, did_you_mean
from actionspace.events.formats.manifest import load_csv
from actionspace.events.table import VIDEO_SUFFIXES

if TYPE_CHECKING:
    import pandas as pd


def find_videos(source: Path) -> dict[str, str]:
    """Return file name -> path relative to ``source`` of every video under it.

    Of files with one name in several folders the first by path is taken; hidden ones (such as
    macOS leaves beside files) do not count.
    """
    found: dict[str, str] = {}
    for folder, subfolders, files in os.walk(source, followlinks=True):
        subfolders.sort()
        for file in sorted(files):
            if file.lower().endswith(VIDEO_SUFFIXES) and not file.startswith("."):
                found.setdefault(file, Path(folder, file).relative_to(source).as_posix())
    return found


def list_file(source: Path, name: str) -> Path | None:
    """Return the file of that name under ``source`` (the least deep one), or None.

    Folders are looked through level by level, so that millions of frames below are not.
    """
    level, seen = [source], set[str]()
    while level:
        found = [folder / name for folder in sorted(level) if (folder / name).is_file()]
        if found:
            return found[0]
        level = [child for folder in level for child in _subfolders(folder, seen)]
    return None


def _subfolders(folder: Path, seen: set[str]) -> list[Path]:
    """Return the folders in ``folder`` that are not in ``seen`` (a link may lead round)."""
    real = os.path.realpath(folder)
    if real in seen:
        return []
    seen.add(real)
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]


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


def need_table(source: Path, name: str, columns: Sequence[str]) -> tuple[Path, pd.DataFrame]:
    """Return a CSV file under ``source`` and its text columns, with ``_row`` as a spreadsheet has.

    Raises:
        DataError: the file is not there, or one of ``columns`` is not in it.
    """
    file = need_file(source, name)
    table = load_csv(file)
    for column in columns:
        if column not in table.columns:
            have = [c for c in table.columns if c != "_row"]
            hint = did_you_mean(column, have) or f" There is: {', '.join(have)}."
            raise DataError(f"{file}, row 1: there is no column '{column}'.{hint}")
    return file, table
