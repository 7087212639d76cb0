"""What detections must obey in time: scores, durations, gaps, overlaps, successions of classes.

Rules act one after the other, each on what the one before it left, so that a removed event
suppresses nothing:

1. ``score_threshold``: what scores less goes;
2. ``merge_gap``: events of a class that are this near become one;
3. ``duration_range``: what is shorter or longer goes;
4. overlaps, 5. ``min_gap``: of two that exclude each other the one of the higher score stays, best
   first;
6. ``order``, ``forbidden``, ``first``: the sequence of highest total score stays, see
   :mod:`.constraints_order`.

Only the second makes events; all after it only remove some. So the result obeys every rule, and
applying them again changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import numpy as np
from pydantic import BeforeValidator, Field, NonNegativeFloat, model_validator

from actionspace.config import Config, parse
from actionspace.errors import ConfigError, UsageError, did_you_mean
from actionspace.events.constraints_order import Successions

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events

log = logging.getLogger("actionspace")

EVERY = "*"
"""In place of a class: all that are not named."""

#: Columns of detections as the published code keeps them, and what they are called here.
RESULTS = {"video-id": "video", "t-start": "start", "t-end": "end", "label": "label"}
RESULTS |= {"score": "score"}


def _by_class(value: Any) -> Any:
    """Return a mapping by name; one value for all classes, and numbers as names, are taken."""
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    return {} if value is None else {EVERY: value}


def _by_name(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return {} if value is None else value
    return {str(name): [str(each) for each in names] for name, names in value.items()}


def _names(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_names(v) for v in value]
    if value is None:
        return []
    return str(value) if isinstance(value, int) else value


Limits = Annotated[dict[str, NonNegativeFloat], BeforeValidator(_by_class)]
Shares = Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], BeforeValidator(_by_class)]
Ranges = Annotated[
    dict[str, tuple[NonNegativeFloat, NonNegativeFloat | None]], BeforeValidator(_by_class)
]
T = TypeVar("T", bound="Events | Mapping[str, Any]")


class TemporalConstraints(Config):
    """What detections must obey in time; each rule is off until it is given.

    Times are in seconds. A rule by class takes ``{peck: 0.5, preen: 2}``, with ``*`` for all other
    classes, or one value for all.
    """

    score_threshold: float = 0.0
    """Least score that an event has."""
    merge_gap: Limits = Field(default_factory=dict)
    """By class: events with at most this much time between them become one."""
    merge_score: Literal["max", "mean"] = "max"
    """Score of such an event."""
    duration_range: Ranges = Field(default_factory=dict)
    """By class: shortest and longest duration, both included; ``null`` = however long."""
    max_overlap: float | None = Field(default=None, ge=0, le=1)
    """Overlap that two events of a video may have, whatever their classes."""
    max_overlap_within: Shares = Field(default_factory=dict)
    """By class: overlap that two events of the class may have."""
    max_overlap_across: float | None = Field(default=None, ge=0, le=1)
    """Overlap that two events of different classes may have."""
    overlap_of: Literal["union", "shorter"] = "union"
    """What overlap is a share of: of the time of both (temporal IoU), or of the shorter one. Events
    without duration overlap nothing; keep them apart with ``min_gap``."""
    min_gap: Limits = Field(default_factory=dict)
    """By class: least time between two events of the class."""
    gap_between: Literal["edges", "centres"] = "edges"
    """Whether that is from the end of one to the start of the next, or from centre to centre."""
    order: Annotated[dict[str, list[str]], BeforeValidator(_by_name)] = Field(default_factory=dict)
    """Which classes may come next after a class; a class that is not named may be followed by any,
    one with an empty list by none."""
    forbidden: Annotated[list[tuple[str, str]], BeforeValidator(_names)] = Field(
        default_factory=list
    )
    """Pairs ``[a, b]``: b may not come next after a."""
    first: Annotated[list[str], BeforeValidator(_names)] = Field(default_factory=list)
    """Classes that the first event of a video may have; empty = any."""
    order_overlap: bool = False
    """Whether events of a sequence may overlap; they are in order of their starts then. False = the
    next one begins when the one before it has ended, or later."""
    compat: Literal["none", "fork"] = "none"
    """``fork``: as version 1.5.0 of the ActionFormer fork does it, see
    :mod:`.constraints_fork`."""

    @property
    def active(self) -> bool:
        """Whether anything is asked for."""
        return self != TemporalConstraints()

    @property
    def ordered(self) -> bool:
        """Whether successions of classes are restricted."""
        return bool(self.order or self.forbidden or self.first)

    @model_validator(mode="after")
    def _no_contradiction(self) -> TemporalConstraints:
        for problem in (*self._contradictions(), *self._foreign()):
            raise ValueError(problem)
        return self

    def _contradictions(self) -> Iterator[str]:
        for name, (low, high) in self.duration_range.items():
            if high is not None and low > high:
                yield (
                    f"duration_range of '{name}': the shortest duration, {low:g} s, is more than "
                    f"the longest, {high:g} s; no event is left. Swap them."
                )
        if self.max_overlap is not None:
            several = {
                f"max_overlap_within of '{n}'": v for n, v in self.max_overlap_within.items()
            }
            several["max_overlap_across"] = self.max_overlap_across or 0.0
            for name, value in several.items():
                if value > self.max_overlap:
                    yield (
                        f"{name} allows an overlap of {value:g}, but max_overlap none above "
                        f"{self.max_overlap:g}, whatever the classes. Lower the one or leave out "
                        f"the other."
                    )
        for before, after in self.forbidden:
            if after in self.order.get(before, ()):
                yield (
                    f"order lets '{after}' follow '{before}', and forbidden does not. Take the "
                    f"pair out of one of them."
                )
        for name in self._never() if self.first else ():
            yield (
                f"'{name}' can never occur: no sequence of classes that begins with "
                f"{_listed(self.first)} leads to it. Add it to first, or to what may follow in "
                f"order."
            )

    def _never(self, classes: Iterable[str] = ()) -> list[str]:
        """Return the classes that no sequence leads to, among those named and those given."""
        names = list(dict.fromkeys([*self.first, *self._named_in_order(), *classes]))
        follows = self.successions(names).follows
        known = np.isin(names, self.first)
        while (more := known | follows[known].any(axis=0)).sum() > known.sum():
            known = more
        return [name for name, can in zip(names, known, strict=True) if not can]

    def _named_in_order(self) -> Iterator[str]:
        for name, after in self.order.items():
            yield from (name, *after)
        for pair in self.forbidden:
            yield from pair

    def _foreign(self) -> Iterator[str]:
        """Yield what the fork does not have."""
        own = {"score_threshold", "duration_range", "min_gap", "max_overlap", "compat"}
        for name in self.model_fields_set - own if self.compat == "fork" else ():
            if getattr(self, name) != TemporalConstraints.model_fields[name].get_default(
                call_default_factory=True
            ):
                yield f"compat=fork knows no {name}; the fork has {', '.join(sorted(own))}."

    def check(self, classes: Sequence[str]) -> None:
        """Refuse names that are none of the classes, and successions that leave a class out.

        Raises:
            ConfigError: naming the rule, the class, and the nearest one there is.
        """
        for rule, name in self._mentioned():
            if name not in classes and name != EVERY:
                hint = did_you_mean(name, classes) or f" There is: {_listed(classes)}."
                raise ConfigError(f"constraints.{rule} names an unknown class '{name}'.{hint}")
        if self.first and (never := self._never(classes)):
            raise ConfigError(
                f"constraints: {_listed(never)} can never occur: no sequence of classes that "
                f"begins with {_listed(self.first)} leads there. Widen first or order."
            )

    def _mentioned(self) -> Iterator[tuple[str, str]]:
        for rule in ("merge_gap", "duration_range", "max_overlap_within", "min_gap"):
            yield from ((rule, name) for name in getattr(self, rule))
        for before, after in self.order.items():
            yield from (("order", name) for name in (before, *after))
        yield from (("forbidden", name) for pair in self.forbidden for name in pair)
        yield from (("first", name) for name in self.first)

    def apply(self, detections: T, head: str | None = None) -> T:
        """Return what obeys the rules, in the order it had.

        Args:
            detections: events, of which those without times, without a label in the head or with
                the status ``ignore`` stay as they are; an event without a score counts as certain.
                Or the published code's mapping of ``video-id``, ``t-start``, ``t-end``, ``label``,
                ``score``, whose arrays come back.
            head: label column of the events; None = their first one.

        Raises:
            DataError: an event of several labels; NaN in times or scores.
            UsageError: a key of the mapping is missing.
        """
        if isinstance(detections, Mapping):
            return cast("T", self._apply_results(detections))
        return cast("T", self._apply_events(detections, head))

    def _apply_events(self, detections: Events, head: str | None) -> Events:
        import pandas as pd

        if not self.active:
            return detections
        rows, column = detections.rows, head or detections.heads[0]
        self._warn_of_unused(detections.classes(column))
        free = rows["start"].isna() | rows[column].isna() | (rows["status"] != "event")
        scores = rows["score"]
        told = self.applied(rows[~free].assign(score=scores[~free].fillna(1.0)), column)
        told["score"] = told["score"].where(scores.reindex(told.index).notna(), np.nan)
        kept = pd.concat([rows[free], told]) if free.any() else told
        return replace(detections, rows=kept.sort_index().reset_index(drop=True))

    def _apply_results(self, results: Mapping[str, Any]) -> dict[str, Any]:
        import pandas as pd

        if lacking := [name for name in RESULTS if name not in results]:
            raise UsageError(f"Detections have no '{lacking[0]}'; they need {_listed(RESULTS)}.")
        rows = pd.DataFrame({ours: list(results[name]) for name, ours in RESULTS.items()})
        told = self.applied(rows.assign(name=[str(v) for v in rows["label"]]), "name")
        arrays = {name: told[ours].to_numpy() for name, ours in RESULTS.items()}
        return arrays | {"video-id": told["video"].tolist()}

    def applied(self, rows: pd.DataFrame, column: str = "label") -> pd.DataFrame:
        """Return the rows that obey the rules; their index says which they were.

        Args:
            rows: ``video``, ``start``, ``end`` (s), ``score`` and the label column; others stay.
            column: has one class per row.

        Raises:
            DataError: a row of several labels; NaN in times or scores.
        """
        from actionspace.events.constraints_apply import constrain

        return constrain(rows, column, self) if len(rows) and self.active else rows.copy()

    def changed(self, given: Mapping[str, Any] | TemporalConstraints | None) -> TemporalConstraints:
        """Return these rules with others in the place of some, or ``given`` if it is all of them.

        What is said of some classes leaves the others as they are; None or nothing ends a rule.

        Raises:
            ConfigError: an unknown rule, or rules that contradict one another.
        """
        if given is None or isinstance(given, TemporalConstraints):
            return given or self
        asked = self.model_dump(exclude_unset=True)
        for rule, value in given.items():
            before = asked.get(rule)
            if isinstance(value, Mapping) and isinstance(before, Mapping) and len(value):
                value = {**before, **_by_class(value)}
            asked[rule] = value
        return parse(TemporalConstraints, asked, "constraints")

    def successions(self, classes: Sequence[str]) -> Successions:
        """Return which of these classes may follow which, and begin."""
        follows = np.ones((len(classes), len(classes)), dtype=bool)
        place = {name: i for i, name in enumerate(classes)}
        for before, after in self.order.items():
            if before in place:
                follows[place[before]] = np.isin(classes, after)
        for before, name in self.forbidden:
            if before in place and name in place:
                follows[place[before], place[name]] = False
        first = np.isin(classes, self.first) | (not self.first)
        return Successions(follows, first, self.order_overlap)

    def _warn_of_unused(self, classes: Sequence[str]) -> None:
        """Say which names are nearly those of classes that occur."""
        for rule, name in self._mentioned():
            hint = did_you_mean(name, classes) if name not in classes and name != EVERY else ""
            if hint:
                log.warning(f"No event is of the class '{name}' that {rule} names.{hint}")


def _listed(names: Iterable[str], most: int = 10) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more
