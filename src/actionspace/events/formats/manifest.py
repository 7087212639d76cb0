"""The package's own format: the two tables as CSV or Parquet, or both in one file.

Carries every column. A folder holds ``events.csv`` and ``videos.csv`` (or ``.parquet``). In one
file the columns of both tables stand side by side; a row with neither times nor a label says only
that its video exists. Columns that are not known are heads. Video paths are written relative to
the file's folder; where they lead out of it, reading needs ``root=`` or ``allow_outside=True``.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from actionspace.errors import DataError, did_you_mean
from actionspace.events import columns as col
from actionspace.events.table import Events, Origin
from actionspace.paths import atomic_path, write_text

KNOWN = tuple(dict.fromkeys([*col.EVENT_COLUMNS, *col.UNCERTAINTY, *col.VIDEO_COLUMNS]))
SUFFIXES = (".parquet", ".csv", ".tsv")


def matches(path: Path) -> bool:
    """Say whether the path is a manifest folder, or a table with a ``video`` column."""
    if path.is_dir():
        return any((path / f"events{s}").is_file() for s in SUFFIXES)
    return path.suffix.lower() in SUFFIXES


def read(path: Path, root: Path, columns: Mapping[str, str] | None = None) -> Events:
    """Read a manifest. ``columns`` renames columns of the file (``{"path": "video"}``; to ``""``
    drops one).

    Raises:
        DataError: unreadable file, missing or misspelt column, value of a wrong type, two rows
            that describe one video differently; file and row are named.
    """
    events_file, videos_file = _files(path)
    table = _load(events_file, columns or {})
    if videos_file is None:
        return _from_one(table, events_file, root)
    videos = _load(videos_file, {})
    for name in ("video", *col.VIDEO_COLUMNS[1:]):
        if name != "video" and name in table.columns:
            raise DataError(f"{events_file}: the column '{name}' belongs into {videos_file.name}.")
    events = _is_event(table, events_file)
    rows = _with_ids(table[events])
    origin = Origin(
        events_file,
        videos_file,
        dict(zip(rows["id"], rows["_row"], strict=True)),
        _rows_by_video(videos),
    )
    return Events.from_frames(
        rows.drop(columns="_row"), videos.drop(columns="_row"), root, _heads(table, events_file),
        origin,
    )  # fmt: skip


def write(events: Events, path: Path) -> None:
    """Write one file (``.csv``, ``.tsv``, ``.parquet``) or a folder of two (CSV).

    Raises:
        DataError: one file is asked for but the videos table has columns of its own.
    """
    if path.suffix.lower() in SUFFIXES:
        pair = path.with_name(f"videos{path.suffix}")
        if path.stem == "events" and pair.is_file():
            _write_two(events, path, pair)
        else:
            _save(_as_one(_relocated(events, path.parent), path), path)
    else:
        write_folder(events, path, ".csv")


def write_folder(events: Events, folder: Path, suffix: str) -> None:
    """Write ``events`` and ``videos`` tables with ``suffix`` into ``folder``."""
    _write_two(events, folder / f"events{suffix}", folder / f"videos{suffix}")


def _write_two(events: Events, events_file: Path, videos_file: Path) -> None:
    events = _relocated(events, events_file.parent)
    _save(_used(events.videos, ("video",)), videos_file)
    _save(_used(_event_columns(events), _least(events)), events_file)


def _files(path: Path) -> tuple[Path, Path | None]:
    if path.is_dir():
        found = [path / f"events{s}" for s in SUFFIXES if (path / f"events{s}").is_file()]
        if len(found) > 1:
            raise DataError(f"{path} holds {' and '.join(f.name for f in found)}; keep one.")
        path = found[0]
    pair = path.with_name(f"videos{path.suffix}")
    return path, pair if path.stem == "events" and pair.is_file() else None


def _load(path: Path, renames: Mapping[str, str]) -> pd.DataFrame:
    """Return the file's table with known column names and a ``_row`` column (from 1)."""
    table = _load_parquet(path) if path.suffix.lower() == ".parquet" else load_csv(path)
    for name in renames:
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise DataError(f"{path}: there is no column '{name}' to rename.{hint}")
    known = {name: name.lower() for name in table.columns if name.lower() in KNOWN}
    table = table.rename(columns={**known, **renames})
    table = table.drop(columns=[name for name in table.columns if name == ""])
    names = list(table.columns)
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise DataError(f"{path}: there are two columns '{twice[0]}'.")
    absent = [k for k in KNOWN if k not in names]
    for name in names:
        near = difflib.get_close_matches(name.lower(), absent, n=1, cutoff=0.8)
        if name not in KNOWN and near:
            raise DataError(
                f"{path}, row 1: unknown column '{name}'. Did you mean '{near[0]}'? Rename it, "
                f"or say columns={{'{name}': '{near[0]}'}} ('' drops it)."
            )
    if "video" not in names:
        raise DataError(
            f"{path}, row 1: there is no column 'video' among: "
            f"{', '.join(n for n in names if n != '_row')}. Rename the column that holds the video "
            f"paths, or say columns={{'its name': 'video'}}."
        )
    return table


def load_csv(path: Path) -> pd.DataFrame:
    """Return a CSV file as text columns (blank = None) with ``_row``, the row as a spreadsheet
    counts it; comma, semicolon or tab is told from the header.

    Raises:
        DataError: not UTF-8, no header, or a row longer than the header.
    """
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as e:
        raise DataError(f"{path} is not a CSV file: {e}.") from e
    if not records or not any(cell.strip() for cell in records[0]):
        raise DataError(f"{path} is empty; its first row must name the columns.")
    header = [name.strip() for name in records[0]]
    while header and not header[-1]:
        header.pop()
    if "" in header:
        raise DataError(f"{path}, row 1: column {header.index('') + 1} has no name.")
    width = len(header)
    body: list[list[Any]] = []
    for number, record in enumerate(records[1:], start=2):
        cells = [cell.strip() or None for cell in record]
        if not any(cells):
            continue
        if any(cells[width:]):
            raise DataError(
                f"{path}, row {number}: {len(cells)} cells under {width} columns; put a text that "
                f'holds a {delimiter!r} in "quotes".'
            )
        cells += [None] * (width - len(cells))
        body.append([*cells[:width], number])
    return pd.DataFrame(body, columns=[*header, "_row"], dtype=object)


def read_text(path: Path) -> str:
    """Return a UTF-8 file's text, line ends as they are.

    Raises:
        DataError: the file is missing, unreadable or in another encoding.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(
            f"{path} is not UTF-8 text; save it again as 'CSV UTF-8' (or plain text, UTF-8)."
        ) from e
    except OSError as e:
        raise DataError(f"Cannot read {path}: {e.strerror or e}.") from e


def read_lines(path: Path) -> list[str]:
    """Return a UTF-8 file's lines without their ends (only real ones: not U+2028 and the like)."""
    return [line.removesuffix("\r") for line in read_text(path).split("\n")]


def _load_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as e:
        raise DataError(f"{path} is not a Parquet table: {e}") from e
    return table.reset_index(drop=True).assign(_row=range(1, len(table) + 1))


def _heads(table: pd.DataFrame, file: Path) -> tuple[str, ...]:
    extra = [n for n in table.columns if n not in KNOWN and n != "_row"]
    heads = (["label"] if "label" in table.columns else []) + extra
    if not heads:
        raise DataError(f"{file}, row 1: there is no 'label' column; add one (it may be empty).")
    return tuple(heads)


def _is_event(table: pd.DataFrame, file: Path) -> pd.Series[bool]:
    marks = [n for n in ("start", "end", *_heads(table, file)) if n in table.columns]
    return table[marks].notna().any(axis=1)


def _with_ids(rows: pd.DataFrame) -> pd.DataFrame:
    numbered = pd.Series([str(i) for i in range(len(rows))], index=rows.index, dtype=object)
    if "id" not in rows.columns:
        return rows.assign(id=numbered)
    return rows.assign(id=rows["id"].where(rows["id"].notna(), numbered).astype(str))


def _rows_by_video(table: pd.DataFrame) -> dict[str, int]:
    named = table[table["video"].notna()]
    return {
        col.video_name(str(v)): int(r)
        for v, r in zip(named["video"][::-1], named["_row"][::-1], strict=True)
    }


def _from_one(table: pd.DataFrame, file: Path, root: Path) -> Events:
    nameless = table[table["video"].isna()]
    if len(nameless):
        raise DataError(f"{file}, row {nameless['_row'].iloc[0]}: 'video' is empty.")
    table = table.assign(video=[col.video_name(str(v)) for v in table["video"]])
    of_videos = [n for n in col.VIDEO_COLUMNS if n in table.columns]
    videos: dict[str, dict[str, Any]] = {}
    set_in: dict[tuple[str, str], int] = {}
    for record in table[[*of_videos, "_row"]].to_dict("records"):
        video, row = record["video"], record["_row"]
        facts = videos.setdefault(video, dict.fromkeys(of_videos))
        for name in of_videos:
            value = record[name]
            if value is None or value != value:
                continue
            before = facts[name]
            if before is not None and before != value:
                raise DataError(
                    f"{file}, row {row}: '{name}' of {video} is {value!r}, but row "
                    f"{set_in[video, name]} says {before!r}; a video has one."
                )
            facts[name] = value
            set_in.setdefault((video, name), row)
    events = _is_event(table, file)
    rows = _with_ids(table[events])
    origin = Origin(
        file, None, dict(zip(rows["id"], rows["_row"], strict=True)), _rows_by_video(table)
    )
    heads = _heads(table, file)
    keep = [n for n in rows.columns if n in (*col.EVENT_COLUMNS, *col.UNCERTAINTY, *heads)]
    return Events.from_frames(rows[keep], list(videos.values()), root, heads, origin)


def _relocated(events: Events, folder: Path) -> Events:
    """Return the events with video paths relative to ``folder``."""
    # As in reading, links are not followed: a path leads back to where it was written from.
    base, folder = (Path(os.path.abspath(p)) for p in (events.root, folder))  # noqa: PTH100
    if base == folder:
        return events
    names = {video: _relative(base / video, folder) for video in events.videos["video"]}

    def moved(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(video=table["video"].map(names).astype(object))

    return Events(moved(events.rows), moved(events.videos), folder, events.heads)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _least(events: Events) -> tuple[str, ...]:
    return ("video", *events.heads)


def _event_columns(events: Events) -> pd.DataFrame:
    """Return the rows without what reading fills in by itself."""
    rows = events.rows.copy()
    if rows["id"].tolist() == [str(i) for i in range(len(rows))]:
        rows = rows.drop(columns="id")
    if (rows["status"] == "event").all():
        rows = rows.drop(columns="status")
    return rows


def _used(table: pd.DataFrame, least: Sequence[str]) -> pd.DataFrame:
    return table[[n for n in table.columns if n in least or table[n].notna().any()]]


def _as_one(events: Events, path: Path) -> pd.DataFrame:
    """Return both tables side by side; rows without an event keep the order of the videos."""
    own = [c for c in events.videos.columns if c not in col.VIDEO_COLUMNS]
    if own:
        raise DataError(
            f"{path}: one file cannot hold the videos' own column '{own[0]}'; write a folder."
        )
    rows = _used(_event_columns(events), _least(events))
    facts = _used(events.videos, ("video",)).set_index("video")
    order = {video: i for i, video in enumerate(facts.index)}
    seen = 0
    records: list[dict[str, Any]] = []
    for record in rows.to_dict("records"):
        place = order[record["video"]]
        records += [{"video": v} for v in facts.index[seen:place]]
        seen = max(seen, place + 1)
        records.append({str(k): v for k, v in record.items()})
    records += [{"video": v} for v in facts.index[seen:]]
    table = pd.DataFrame(records, columns=rows.columns, dtype=object)
    return table.join(facts.astype(object), on="video")


def _save(table: pd.DataFrame, path: Path) -> None:
    if path.suffix.lower() == ".parquet":
        with atomic_path(path) as tmp:
            table.infer_objects().to_parquet(tmp, index=False)
        return
    out = io.StringIO(newline="")
    writer = csv.writer(
        out, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n"
    )
    writer.writerow(table.columns)
    for record in table.itertuples(index=False, name=None):
        writer.writerow([_cell(v) for v in record])
    write_text(path, out.getvalue())


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)
