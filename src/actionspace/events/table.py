"""Events in, events out: the one typed pair of tables that every room reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError, did_you_mean
from actionspace.events import columns as col
from actionspace.events.labels import join_labels, label_order, split_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIDEO_SUFFIXES", "Events", "Origin", "concat", "join_labels", "split_labels"]

VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".asf", ".flv",
    ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".gif",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where rows came from: the files, and the row of each event (by id) and video, from 1."""

    events_file: Path | None = None
    videos_file: Path | None = None
    event_rows: Mapping[str, int] = field(default_factory=dict)
    video_rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Events:
    """Labelled intervals and the videos they lie in.

    ``rows`` has one row per event: ``id``, ``video`` (relative to ``root``, ``/`` between parts),
    ``start`` and ``end`` (seconds from the first presented frame, half-open; both NaN = the whole
    video; equal = a point event), ``label`` (several joined by ``|``), ``subject``, ``modifiers``,
    ``status`` (``event`` or ``ignore``), ``annotator``, ``score`` (NaN for annotations), then one
    text column per further head; of predictions perhaps ``columns.UNCERTAINTY``.
    ``videos`` has one row per video: ``video``, ``split``, ``group``, ``duration`` (s), ``fps``,
    ``frames``, ``labelled`` (annotated spans, None = all), ``crop`` (``x,y,w,h`` px), ``features``.
    Missing text is None, missing numbers are NaN.
    """

    rows: pd.DataFrame
    videos: pd.DataFrame
    root: Path
    heads: tuple[str, ...] = ("label",)
    origin: Origin | None = None

    @classmethod
    def from_frames(
        cls,
        rows: pd.DataFrame | Sequence[Mapping[str, Any]],
        videos: pd.DataFrame | Sequence[Mapping[str, Any]] | None = None,
        root: str | Path = ".",
        heads: Sequence[str] = ("label",),
        origin: Origin | None = None,
    ) -> Events:
        """Build the pair from tables that need hold ``video`` and the head columns only.

        Missing columns get their defaults, missing video rows are added. A row without times and
        without a label in any head says only that the video exists. Columns of ``rows`` that are
        neither known nor a head are refused; further columns of ``videos`` are kept as text.

        Raises:
            DataError: a missing or unknown column, a value of the wrong type, a start without an
                end, two events of one id or two rows of one video; the row is named.
        """
        rows = _frame(rows, ("video",))
        heads = tuple(heads)
        known = [*col.EVENT_COLUMNS, *[h for h in heads if h != "label"]]
        known += [name for name in col.UNCERTAINTY if name in rows.columns]
        for name in rows.columns:
            if name not in known:
                hint = did_you_mean(name, [*known, *col.UNCERTAINTY])
                raise DataError(f"Unknown events column '{name}'.{hint}")
        for head in heads:
            if head != "label" and head in col.OWN_MEANING:
                raise DataError(f"The column '{head}' has its own meaning and cannot be a head.")
        if not heads or (len(rows) and not any(h in rows.columns for h in heads)):
            raise DataError(
                f"The events table has no label column ({', '.join(heads) or 'label'})."
            )
        table, mentioned = _event_table(rows, known, heads, _namer(rows, origin))
        video_table = _video_table(_frame(videos, ("video",)), mentioned, origin)
        return cls(table, video_table, Path(root), heads, origin)

    def __len__(self) -> int:
        return len(self.rows)

    def equals(self, other: Events) -> bool:
        """Say whether both tables and the heads are equal (``root`` and ``origin`` aside)."""
        return (
            self.heads == other.heads
            and self.rows.equals(other.rows)
            and self.videos.equals(other.videos)
        )

    def path(self, video: str) -> Path:
        """Return the file of a video; a name without suffix finds the file that has one."""
        path = self.root / video
        if path.suffix.lower() in VIDEO_SUFFIXES or path.is_file():
            return path
        for suffix in VIDEO_SUFFIXES:
            candidate = path.with_name(path.name + suffix)
            if candidate.is_file():
                return candidate
        return path

    def classes(self, head: str = "label") -> list[str]:
        """Return the distinct label names of a head, sorted; rows to ignore do not count.

        Raises:
            DataError: there is no such head.
        """
        texts = self._head(head)[self.rows["status"] == "event"]
        return label_order(name for text in texts.unique() for name in split_labels(text))

    def labels(self, head: str = "label") -> list[list[str]]:
        """Return, per event, its label names in a head (none, one or several)."""
        return [split_labels(text) for text in self._head(head)]

    def _head(self, head: str) -> pd.Series[Any]:
        if head not in self.heads:
            hint = did_you_mean(head, self.heads) or f" There is: {', '.join(self.heads)}."
            raise DataError(f"The events have no head '{head}'.{hint}")
        return self.rows[head]

    def for_video(self, video: str) -> pd.DataFrame:
        """Return the events of one video, in table order."""
        return self.rows[self.rows["video"].eq(video)]

    def by_video(self) -> Iterator[tuple[pd.Series[Any], pd.DataFrame]]:
        """Yield each video's row with its events (perhaps none), in the order of ``videos``."""
        places = self.rows.groupby("video", sort=False).indices
        for _, video in self.videos.iterrows():
            yield video, self.rows.iloc[places.get(video["video"], [])]

    def select(
        self,
        split: str | None = None,
        videos: Sequence[str] | None = None,
        mask: Any = None,
    ) -> Events:
        """Return the part in a split, of some videos, or where ``mask`` (per row) is True.

        A video that loses all its events to ``mask`` goes too; one that had none stays.

        Raises:
            DataError: no video has that split, or a video is unknown.
        """
        rows, table = self.rows, self.videos
        if mask is not None:
            mask = np.asarray(mask, dtype=bool)
            lost = set(rows["video"]) - set(rows["video"][mask])
            rows, table = rows[mask], table[~table["video"].isin(lost)]
        if split is not None:
            have = [s for s in table["split"].unique() if s is not None]
            if split not in have:
                hint = did_you_mean(split, have) or f" There is: {', '.join(have) or 'none'}."
                raise DataError(f"No video has the split '{split}'.{hint}")
            table = table[table["split"] == split]
        if videos is not None:
            listed = set(self.videos["video"])
            unknown = [v for v in videos if v not in listed]
            if unknown:
                hint = did_you_mean(unknown[0], self.videos["video"])
                raise DataError(f"The manifest has no video '{unknown[0]}'.{hint}")
            table = table[table["video"].isin(list(videos))]
        rows = rows[rows["video"].isin(table["video"])]
        return replace(self, rows=rows.reset_index(drop=True), videos=table.reset_index(drop=True))

    def labelled_spans(self, video: str) -> list[tuple[float, float]] | None:
        """Return the annotated spans of a video in seconds; None means all of it."""
        row = self.videos[self.videos["video"] == video]
        if row.empty:
            raise DataError(
                f"The manifest has no video '{video}'.{did_you_mean(video, self.videos['video'])}"
            )
        return col.parse_spans(row["labelled"].iloc[0], f"{video}: 'labelled'")

    def to_csv(self, path: str | Path) -> Path:
        """Write a CSV file (``.csv``), or a folder of ``events.csv`` and ``videos.csv``."""
        return self._write(path, "csv")

    def to_parquet(self, path: str | Path) -> Path:
        """Write a folder of ``events.parquet`` and ``videos.parquet``."""
        return self._write(path, "parquet")

    def to_boris(self, path: str | Path) -> Path:
        """Write a BORIS project (``.boris``)."""
        return self._write(path, "boris")

    def to_elan(self, path: str | Path) -> Path:
        """Write an ELAN document (``.eaf``), or a folder with one per video."""
        return self._write(path, "elan")

    def to_via(self, path: str | Path) -> Path:
        """Write a VIA 3 project (``.json``)."""
        return self._write(path, "via")

    def to_activitynet(self, path: str | Path) -> Path:
        """Write ActivityNet JSON."""
        return self._write(path, "activitynet")

    def _write(self, path: str | Path, form: str) -> Path:
        from actionspace.events.io import write

        return write(self, path, form)

    def plot(self, path: str | Path | None = None, **options: Any) -> Figure:
        """Draw the ethogram; see :func:`actionspace.events.plot.ethogram`."""
        from actionspace.events.plot import ethogram

        return ethogram(self, path=path, **options)


def concat(many: Sequence[Events]) -> Events:
    """Join tables that share a root; ids that would clash get the table's number in front.

    Raises:
        DataError: the roots differ, or a video is described differently in two tables.
    """
    if not many:
        raise DataError("There is nothing to join.")
    first = many[0]
    if any(e.root.resolve() != first.root.resolve() for e in many):
        raise DataError("Tables with different roots cannot be joined; give each the same root=.")
    heads = tuple(dict.fromkeys(h for e in many for h in e.heads))
    ids = pd.concat([e.rows["id"] for e in many])
    tables = [e.rows for e in many]
    if ids.duplicated().any():
        tables = [t.assign(id=[f"{k}:{i}" for i in t["id"]]) for k, t in enumerate(tables)]
    rows = _stack(tables)
    videos = _stack([e.videos for e in many]).drop_duplicates()
    twice = videos["video"][videos["video"].duplicated()]
    if len(twice):
        raise DataError(f"'{twice.iloc[0]}' is described differently in two of the tables.")
    return Events.from_frames(rows, videos, first.root, heads)


def _stack(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate without the dtype of an empty or missing column deciding the result's."""
    names = list(dict.fromkeys(c for t in tables for c in t.columns))
    filled = [t.reindex(columns=names).astype(object) for t in tables]
    stacked: pd.DataFrame = pd.concat(filled, ignore_index=True)
    return stacked


def _frame(table: Any, least: Sequence[str]) -> pd.DataFrame:
    if table is None:
        table = pd.DataFrame({name: pd.Series(dtype=object) for name in least})
    elif not isinstance(table, pd.DataFrame):
        table = pd.DataFrame(list(table))
    if len(table) == 0:
        table = table.reindex(columns=list(dict.fromkeys([*table.columns, *least])))
    for name in least:
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise DataError(f"There is no column '{name}' among: {', '.join(table.columns)}.{hint}")
    frame: pd.DataFrame = table.reset_index(drop=True)
    return frame


def _namer(rows: pd.DataFrame, origin: Origin | None) -> col.Where:
    """Name rows by file and row where the origin knows them, else by position."""
    ids = rows["id"].tolist() if "id" in rows.columns else [str(i) for i in range(len(rows))]

    def where(i: int) -> str:
        row = origin.event_rows.get(str(ids[i])) if origin else None
        if origin is None or row is None:
            return f"event {i}"
        return f"{origin.events_file}, row {row}"

    return where


def _event_table(
    rows: pd.DataFrame, names: Sequence[str], heads: Sequence[str], where: col.Where
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return the events, and the videos that any row (also one without an event) names."""
    table = pd.DataFrame(index=range(len(rows)))
    for name in names:
        values = rows[name] if name in rows.columns else pd.Series([None] * len(rows), dtype=object)
        if name in ("start", "end", "score", *col.UNCERTAINTY):
            table[name] = col.number_column(values, name, where)
        else:
            table[name] = col.text_column(values)
    for head in heads:
        table[head] = pd.Series([_tidy(t) for t in table[head]], dtype=object)
    nameless = np.flatnonzero(table["video"].isna())
    if len(nameless):
        raise DataError(f"{where(int(nameless[0]))}: 'video' is empty; write the video's path.")
    table["video"] = pd.Series([col.video_name(v) for v in table["video"]], dtype=object)
    table["status"] = col.check_status(table["status"], where)
    half = np.flatnonzero(table["start"].isna() != table["end"].isna())
    if len(half):
        i = int(half[0])
        lone = "start" if np.isnan(table["end"].iloc[i]) else "end"
        raise DataError(
            f"{where(i)}: there is only a '{lone}'. Give both (equal for a point event), "
            f"or neither for the whole video."
        )
    mentioned = table["video"]
    table = table[table["start"].notna() | table[list(heads)].notna().any(axis=1)]
    numbered = pd.Series([str(i) for i in range(len(table))], index=table.index, dtype=object)
    table["id"] = table["id"].where(table["id"].notna(), numbered).astype(object)
    twice = table.index[table["id"].duplicated()]
    if len(twice):
        i = int(twice[0])
        raise DataError(f"{where(i)}: the id '{table['id'][i]}' is taken by an earlier event.")
    return table.reset_index(drop=True), mentioned


def _tidy(text: str | None) -> str | None:
    """Return the canonical spelling of a label field."""
    if text is None or ("|" not in text and "\\" not in text):
        return text
    return join_labels(split_labels(text)) or None


def _video_table(
    videos: pd.DataFrame, mentioned: pd.Series[Any], origin: Origin | None
) -> pd.DataFrame:
    names = col.text_column(videos["video"]).tolist()

    def where(i: int) -> str:
        row = origin.video_rows.get(col.video_name(names[i] or "")) if origin else None
        if origin is None or row is None:
            return f"video {i}" + (f" ('{names[i]}')" if names[i] else "")
        return f"{origin.videos_file or origin.events_file}, row {row}"

    if None in names:
        raise DataError(f"{where(names.index(None))}: 'video' is empty; write the video's path.")
    clean = pd.Series([col.video_name(n) for n in names], dtype=object)
    twice = np.flatnonzero(clean.duplicated())
    if len(twice):
        i = int(twice[0])
        raise DataError(f"{where(i)}: the video '{clean.iloc[i]}' has a row already.")
    listed = set(clean)
    extra = [v for v in mentioned.unique() if v not in listed]
    table = videos.assign(video=clean).reindex(range(len(videos) + len(extra)))
    table.loc[len(videos) :, "video"] = extra
    out = pd.DataFrame(index=table.index)
    for name in [*col.VIDEO_COLUMNS, *[c for c in videos.columns if c not in col.VIDEO_COLUMNS]]:
        values = table[name] if name in table.columns else [None] * len(table)
        if name in ("duration", "fps"):
            out[name] = col.number_column(values, name, where)
        elif name == "frames":
            out[name] = col.count_column(values, name, where)
        else:
            out[name] = col.text_column(values)
    col.each(out["labelled"], col.parse_spans, where)
    col.each(out["crop"], col.parse_crop, where)
    return out
