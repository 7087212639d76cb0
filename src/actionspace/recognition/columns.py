"""Several head columns that one network answers, side by side (verbs and nouns)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from actionspace.recognition.data import Column, Targets

if TYPE_CHECKING:
    from actionspace.events.table import Events


@dataclass(frozen=True)
class JointTargets:
    """What each event is in K columns at once.

    The outputs of the network lie side by side, S in all: the classes of the first column, then
    those of the next. What an event is, is a row of a table ``[E, S + K]`` of zeros and ones: a one
    for each of its classes, also in columns with one label per event, then for each column whether
    the event has a label in it. Rows can so be mixed like pixels, and a column in which an event
    has no label is zero throughout.

    Attributes:
        each: per column, in order, its classes.
    """

    each: Mapping[str, Targets]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in the order of outputs."""
        return tuple(self.each)

    @property
    def classes(self) -> list[str]:
        """The classes of all outputs; two columns may have one of the same name."""
        return [name for told in self.each.values() for name in told.classes]

    def part(self, column: str) -> slice:
        """Return which outputs are a column's."""
        ends = accumulate(len(told.classes) for told in self.each.values())
        end = dict(zip(self.each, ends, strict=True))[column]
        return slice(end - len(self.each[column].classes), end)

    def flag(self, column: str) -> int:
        """Return which number of a row says whether there is a label in a column."""
        return len(self.classes) + self.columns.index(column)

    def of(self, events: Events, column: Column | None = None) -> np.ndarray:
        """Return what events are, bool ``[E, S + K]``."""
        parts, flags = [], []
        for name, told in self.each.items():
            values = told.of(events, name)
            if told.multi_label:
                known = events.rows[name].notna().to_numpy()
                parts.append(values)
            else:
                known = values >= 0
                parts.append(values[:, None] == np.arange(len(told.classes)))
            flags.append(known & (events.rows["status"] == "event").to_numpy())
        return np.column_stack([*parts, *flags])

    def split(self, table: np.ndarray, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Take one column out of a table ``[N, S + K]``.

        Returns:
            What rows are: int64 class numbers ``[N]`` (-1 = no label), or with several labels bool
            ``[N, C]``; and which have a label, bool ``[N]``.
        """
        values, known = table[:, self.part(column)], table[:, self.flag(column)]
        if self.each[column].multi_label:
            return values, known
        return np.where(known, values.argmax(axis=1), -1), known


def together(each: Mapping[str, Targets]) -> Targets | JointTargets:
    """Return what is learnt: the targets of the one column, or of several side by side."""
    return next(iter(each.values())) if len(each) == 1 else JointTargets(each)
