"""One rule of :mod:`.constraints` after the other, on a table of detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from actionspace.errors import DataError
from actionspace.events.columns import UNCERTAINTY
from actionspace.events.constraints_fork import fork_mask
from actionspace.events.constraints_order import best_sequence
from actionspace.events.constraints_rules import OverlapRule, Table, far, merged, within_duration
from actionspace.events.labels import split_labels

if TYPE_CHECKING:
    from actionspace.events.constraints import TemporalConstraints


def constrain(rows: pd.DataFrame, column: str, rules: TemporalConstraints) -> pd.DataFrame:
    """Return the rows that obey the rules, see :meth:`.constraints.TemporalConstraints.applied`."""
    table, classes = _table(rows, column)
    lows, highs = _durations(rules, classes)
    if rules.compat == "fork":
        gaps = _values(rules.min_gap, classes, 0.0)
        kept = table.at(fork_mask(table, lows, highs, gaps, rules))
        return rows.iloc[kept.rows].copy()
    table = table.at(table.scores >= rules.score_threshold)
    if rules.merge_gap:
        table = merged(table, _values(rules.merge_gap, classes, -np.inf), rules.merge_score)
    if rules.duration_range:
        table = table.at(within_duration(table, lows, highs))
    if (overlaps := _overlaps(rules, classes)) is not None:
        table = table.at(far(table, overlaps))
    if rules.min_gap:
        gaps = _values(rules.min_gap, classes, 0.0)
        table = table.at(far(table, gaps, centres=rules.gap_between == "centres"))
    if rules.ordered:
        table = table.at(best_sequence(table, rules.successions(classes)))
    found = rows.iloc[table.rows]
    spread = [name for name in UNCERTAINTY if name in found.columns]
    if spread:  # of an end that another event gave to a merged one nothing is known
        moved = {"start": table.starts != found["start"], "end": table.ends != found["end"]}
        found = found.assign(
            **{name: found[name].mask(moved[name.split("_")[0]]) for name in spread}
        )
    return found.assign(start=table.starts, end=table.ends, score=table.scores).sort_index()


def _table(rows: pd.DataFrame, column: str) -> tuple[Table, list[str]]:
    """Return the rows as arrays, and the names of their classes in order."""
    codes, texts = pd.factorize(rows[column].astype(object), sort=True)
    classes = []
    for code, text in enumerate(texts):
        names = split_labels(text)
        if len(names) != 1:
            raise DataError(
                f"Row {int(np.flatnonzero(codes == code)[0])} has the labels '{text}'; constraints "
                f"need events of one class. Make it one event of each class."
            )
        classes.append(names[0])
    numbers = [rows[name].to_numpy(np.float64) for name in ("start", "end", "score")]
    wrong = np.flatnonzero(np.isnan(numbers).any(axis=0) | (codes < 0))
    if len(wrong):
        raise DataError(
            f"Row {int(wrong[0])} lacks a start, an end, a score or a label; constraints need all."
        )
    videos = pd.factorize(rows["video"])[0]
    return Table(np.arange(len(rows)), videos, codes, *numbers), classes


def _values(given: Mapping[str, float], classes: Sequence[str], none: float) -> np.ndarray:
    """Return the value of each class ``[C]``."""
    from actionspace.events.constraints import EVERY

    others = given.get(EVERY, none)
    return np.array([given.get(name, others) for name in classes], dtype=np.float64)


def _durations(rules: TemporalConstraints, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    ranges = rules.duration_range
    lows = {name: low for name, (low, _) in ranges.items()}
    highs = {name: np.inf if high is None else high for name, (_, high) in ranges.items()}
    return _values(lows, classes, 0.0), _values(highs, classes, np.inf)


def _overlaps(rules: TemporalConstraints, classes: Sequence[str]) -> OverlapRule | None:
    most, across = rules.max_overlap, rules.max_overlap_across
    if most is None and across is None and not rules.max_overlap_within:
        return None
    most = 1.0 if most is None else most
    within = np.minimum(_values(rules.max_overlap_within, classes, 1.0), most)
    return OverlapRule(within, most if across is None else across, rules.overlap_of == "shorter")
