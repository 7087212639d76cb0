"""``metrics.csv`` of a training: a wide table that grows by rows and now and then by columns.

A row is appended in one write, so a killed process leaves whole rows, or at worst a torn last one.
Only a new column has the file written anew, atomically.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from actionspace.errors import ActionspaceError
from actionspace.paths import write_text

log = logging.getLogger("actionspace")

# Columns stand in this order; those of one group as they came, other names behind.
GROUPS = ("step", "epoch", "lr", "train", "train_smooth", "val")


class MetricsCSV:
    """The table of one run.

    Attributes:
        columns: names, in the order of the file.
        rows: rows written so far.
    """

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        """Begin a new table, or go on with an old one after its first ``keep`` rows."""
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        if keep:
            self._take_over(keep)

    def append(self, values: Mapping[str, float]) -> None:
        """Add a row; NaN and what is not named stay empty.

        Raises:
            ActionspaceError: the file cannot be written.
        """
        new = [name for name in values if name not in self.columns]
        if new:
            self._grow(new)
        line = _text([[_cell(values.get(name)) for name in self.columns]])
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(line)
        except OSError as e:
            raise ActionspaceError(
                f"Cannot write {self.path}: {e.strerror or e}. Free space and go on with --resume."
            ) from e
        self.rows += 1

    def _take_over(self, keep: int) -> None:
        """Cut what was written after the state that the training goes on from."""
        self.columns, rows = _read(self.path)
        if len(rows) < keep:
            log.warning(f"{self.path} has lost {keep - len(rows)} of its {keep} rows.")
        self.rows = min(keep, len(rows))
        self._write(rows[: self.rows])

    def _grow(self, new: Sequence[str]) -> None:
        before = list(self.columns)
        rows = _read(self.path)[1] if self.rows else []
        self.columns = sorted([*before, *new], key=_group)  # stable within a group
        kept = [dict(zip(before, row, strict=True)) for row in rows]
        self._write([[row.get(name, "") for name in self.columns] for row in kept])

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        write_text(self.path, _text([self.columns, *rows]))


def _group(name: str) -> int:
    first = name.partition("/")[0]
    return GROUPS.index(first) if first in GROUPS else len(GROUPS)


def _cell(value: float | None) -> str:
    """Return a number so that it is read back as the same one."""
    if value is None or value != value:
        return ""
    return str(value) if isinstance(value, int) else repr(float(value))


def _text(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return columns and whole rows, up to the first that is torn."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], []
    whole = text[: text.rfind("\n") + 1].replace("\0", "")
    columns, *rows = list(csv.reader(io.StringIO(whole))) or [[]]
    torn = next((i for i, row in enumerate(rows) if len(row) != len(columns)), len(rows))
    return columns, rows[:torn]
