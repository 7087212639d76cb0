"""The columns of the two tables, and turning what people write into their types."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError
from actionspace.paths import portable

EVENT_TEXT = ("id", "video", "label", "subject", "modifiers", "status", "annotator")
EVENT_COLUMNS = (
    "id", "video", "start", "end", "label", "subject", "modifiers", "status", "annotator", "score",
)  # fmt: skip
UNCERTAINTY = ("start_std", "start_low", "start_high", "end_std", "end_low", "end_high")
"""Columns that events have only if somebody knows how uncertain their boundaries are: standard
deviations, and the ends of the intervals that hold them with a probability of 80 %, in seconds."""
VIDEO_TEXT = ("video", "split", "group", "labelled", "crop", "features")
VIDEO_COLUMNS = (
    "video", "split", "group", "duration", "fps", "frames", "labelled", "crop", "features",
)  # fmt: skip
OWN_MEANING = frozenset((*EVENT_COLUMNS, *UNCERTAINTY, *VIDEO_COLUMNS))
"""What cannot be the name of a head."""
STATUSES = ("event", "ignore")

Where = Callable[[int], str]
"""Names the row at a position the way its reader knows it, e.g. ``"clips.csv, row 7"``."""

_SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_CLOCK = re.compile(r"^(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)$")
_SPAN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*$")
_CROP = re.compile(r"^\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*$")


def split_name(word: str) -> str | None:
    """Return train, val or test for the ways people write them (``Validation``), else None."""
    return _SPLIT_WORDS.get(word.strip().lower())


def video_name(text: str) -> str:
    """Return a video path with ``/`` between parts and without ``./`` or ``a/../``."""
    parts: list[str] = []
    path = portable(text.strip())
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] not in ("..", ""):
            parts.pop()
        elif part not in (".", "") or (part == "" and not parts and path.startswith("/")):
            parts.append(part)
    return "/".join(parts) or path


def is_absolute(path: str) -> bool:
    """Say whether a path is absolute on this or on another system (``/x``, ``C:/x``)."""
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive != ""


def place_under(name: str, folder: Path, root: Path) -> str | None:
    """Return a path written in a file in ``folder`` relative to ``root``, None if not under it.

    Links are not followed: what they point at is the user's own affair.
    """
    if is_absolute(name) and not Path(name).is_absolute():
        return None  # another system's
    base = os.path.abspath(root)  # noqa: PTH100
    full = Path(os.path.normpath(os.path.join(os.path.abspath(folder), name)))  # noqa: PTH100, PTH118
    return full.relative_to(base).as_posix() if full.is_relative_to(base) else None


def feature_files(text: str | None) -> list[str]:
    """Return the paths in a ``features`` field such as ``"rgb/a.npy;flow/a.npy"``, if any."""
    if text is None or text != text:
        return []
    return [part.strip() for part in text.split(";") if part.strip()]


def text_column(values: Any) -> pd.Series[Any]:
    """Return an object column of str without space at the ends; missing or blank is None."""
    series = pd.Series(values)
    missing = series.isna().to_numpy()
    out = np.empty(len(series), dtype=object)
    for i, value in enumerate(series.to_numpy(dtype=object)):
        text = "" if missing[i] else str(value).strip()
        out[i] = text or None
    return pd.Series(out, index=series.index, dtype=object)


def number_column(values: Any, name: str, where: Where) -> pd.Series[Any]:
    """Return a float64 column; numbers, ``12,5``, ``1:02:03.5`` and blanks are understood.

    Raises:
        DataError: a value is none of these; the message names its row.
    """
    series = pd.Series(values)
    if pd.api.types.is_numeric_dtype(series.dtype) and series.dtype != bool:
        out = series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        missing = series.isna().to_numpy()
        raw = series.to_numpy(dtype=object)
        out = np.array(
            [math.nan if missing[i] else _number(v, name, where, i) for i, v in enumerate(raw)],
            dtype=np.float64,
        )
    endless = np.flatnonzero(np.isinf(out))
    if len(endless):
        raise DataError(f"{where(int(endless[0]))}: '{name}' is infinite; write a finite number.")
    return pd.Series(out, index=series.index, dtype=np.float64)


def _number(value: Any, name: str, where: Where, i: int) -> float:
    text = str(value).strip()
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        pass
    clock = _CLOCK.match(text)
    if clock:
        hours, minutes, seconds = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    if re.fullmatch(r"-?\d+,\d+", text):
        return float(text.replace(",", "."))
    raise DataError(
        f"{where(i)}: '{name}' is {text!r}; expected a number"
        + (" of seconds, e.g. 12.5 or 0:12.5." if name in ("start", "end") else ".")
    )


def count_column(values: Any, name: str, where: Where) -> pd.Series[Any]:
    """Return an Int64 column of whole numbers >= 0; blanks are missing."""
    numbers = number_column(values, name, where)
    array = numbers.to_numpy()
    wrong = np.flatnonzero(~np.isnan(array) & ((array < 0) | (array != np.floor(array))))
    if len(wrong):
        i = int(wrong[0])
        raise DataError(f"{where(i)}: '{name}' is {array[i]:g}; expected a whole number.")
    return numbers.astype("Int64")


def check_status(column: pd.Series[Any], where: Where) -> pd.Series[Any]:
    """Return the status column with ``event`` where blank; refuse other words."""
    column = column.where(column.notna(), "event").astype(object)
    wrong = np.flatnonzero(~column.isin(STATUSES).to_numpy())
    if len(wrong):
        i = int(wrong[0])
        raise DataError(f"{where(i)}: 'status' is {column.iloc[i]!r}; use 'event' or 'ignore'.")
    return column


def parse_spans(text: str | None, where: str = "labelled") -> list[tuple[float, float]] | None:
    """Return ``"0-10;20-30.5"`` as ``[(0, 10), (20, 30.5)]`` in seconds; None stays None.

    Raises:
        DataError: the text has another form, or a span ends before it starts.
    """
    if text is None or text != text:
        return None
    spans = []
    for part in text.split(";"):
        match = _SPAN.match(part)
        if not match or float(match[2]) < float(match[1]):
            raise DataError(f"{where}: {text!r} is not a list of spans like '0-10;20-30.5'.")
        spans.append((float(match[1]), float(match[2])))
    return spans


def format_spans(spans: Sequence[tuple[float, float]]) -> str:
    """Return spans in seconds as ``"0-10;20-30.5"``, exactly (no exponents)."""

    def plain(x: float) -> str:
        return np.format_float_positional(float(x), trim="-")

    return ";".join(f"{plain(a)}-{plain(b)}" for a, b in spans)


def parse_crop(text: str | None, where: str = "crop") -> tuple[int, int, int, int] | None:
    """Return ``"x,y,w,h"`` in px as four ints; None stays None.

    Raises:
        DataError: the text has another form or an empty box.
    """
    if text is None or text != text:
        return None
    match = _CROP.match(text)
    if not match or int(match[3]) == 0 or int(match[4]) == 0:
        raise DataError(f"{where}: {text!r} is not a box 'x,y,width,height' in pixels.")
    x, y, w, h = (int(v) for v in match.groups())
    return x, y, w, h


def each(series: pd.Series[Any], parse: Callable[[str | None, str], Any], where: Where) -> None:
    """Run ``parse`` over a text column for its errors, naming rows."""
    for i, value in enumerate(series):
        if value is not None:
            parse(value, f"{where(i)}: '{series.name}'")
