"""The time budget of predicted videos: how often and how long each class, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actionspace.events.table import Events

NO_SUBJECT = "(no subject)"


@dataclass(frozen=True)
class Bouts:
    """How one class is spread over the observed time of a video, or of all (then no ``latency``).

    ``seconds`` in all, ``share`` of the observed time, ``latency`` until the first bout in
    seconds, ``rate`` per minute.
    """

    count: int
    seconds: float
    share: float
    rate: float
    latency: float | None = None

    @property
    def mean(self) -> float:
        """Mean length of a bout in seconds; 0 without bouts."""
        return self.seconds / self.count if self.count else 0.0


@dataclass(frozen=True)
class BudgetRow:
    """One class in the time budget, of one subject where several are told apart (else ``""``).

    ``truth`` is None where nothing was annotated.
    """

    subject: str
    label: str
    colour: int
    predicted: Bouts
    truth: Bouts | None


@dataclass(frozen=True)
class VideoBudget:
    """The rows of one video, its length and its annotated time in seconds (None without truth)."""

    rows: tuple[BudgetRow, ...]
    duration: float
    observed: float | None

    @property
    def subjects(self) -> list[str]:
        """The subjects that are told apart, in order; ``[""]`` when they are not."""
        return list(dict.fromkeys(row.subject for row in self.rows))

    def of(self, subject: str) -> list[BudgetRow]:
        """Return the rows of one subject."""
        return [row for row in self.rows if row.subject == subject]


Key = tuple[str, str]
"""Subject and label."""


def budget(
    predicted: Events,
    truth: Events | None,
    video: str,
    duration: float,
    observed: float | None,
    head: str,
    classes: Sequence[str],
    by_subject: bool,
) -> VideoBudget:
    """Return the time budget of a video, by subject and class, in the order of ``classes``.

    Args:
        predicted: events among which the video's are; all of the video counts as observed.
        truth: annotated events among which the video's are, or None.
        video: its name.
        duration: its length in seconds.
        observed: its annotated seconds, or None.
        head: which head's labels are counted.
        classes: class names; the place of a class is its colour.
        by_subject: tell subjects apart.
    """
    everywhere = replace(predicted, videos=predicted.videos.assign(labelled=None))
    guess = _bouts(everywhere, video, duration, head, by_subject)
    true = {} if truth is None else _bouts(truth, video, duration, head, by_subject)
    none = Bouts(0, 0.0, 0.0, 0.0)
    place = {name: i for i, name in enumerate(classes)}
    keys = [key for key in {**guess, **true} if key[1] in place]
    rows = tuple(
        BudgetRow(
            *key,
            place[key[1]],
            guess.get(key, none),
            None if truth is None else true.get(key, none),
        )
        for key in sorted(keys, key=lambda key: (key[0], place[key[1]]))
    )
    return VideoBudget(rows, duration, observed)


def together(budgets: Sequence[VideoBudget]) -> tuple[BudgetRow, ...]:
    """Add up the budgets of several videos; the truth only if all of them were annotated.

    A subject's time is that of the videos it occurs in.
    """
    annotated = all(b.observed is not None for b in budgets)
    seconds: dict[str, float] = {}
    observed: dict[str, float] = {}
    found: dict[tuple[str, int], list[BudgetRow]] = {}
    for one in budgets:
        for subject in {*one.subjects, ""}:
            seconds[subject] = seconds.get(subject, 0.0) + one.duration
            observed[subject] = observed.get(subject, 0.0) + (one.observed or 0.0)
        for row in one.rows:
            found.setdefault((row.subject, row.colour), []).append(row)
    return tuple(
        BudgetRow(
            subject,
            rows[0].label,
            colour,
            _add([r.predicted for r in rows], seconds[subject]),
            _add([r.truth for r in rows if r.truth], observed[subject]) if annotated else None,
        )
        for (subject, colour), rows in sorted(found.items())
    )


def _bouts(
    events: Events, video: str, duration: float, head: str, by_subject: bool
) -> dict[Key, Bouts]:
    from actionspace.events.budget import time_budget

    events = events.select(videos=[video])
    events = replace(events, videos=events.videos.assign(duration=duration))
    table = time_budget(events, head=head, by_subject=by_subject)
    return {
        (_who(row["subject"]) if by_subject else "", str(row["label"])): Bouts(
            int(row["bouts"] + row["points"]),
            float(row["total_duration"]),
            float(row["share"]),
            float(row["rate_per_minute"]),
            float(row["latency"]),
        )
        for row in table.to_dict("records")
    }


def _who(subject: object) -> str:
    return subject if isinstance(subject, str) and subject else NO_SUBJECT


def _add(many: Sequence[Bouts], seconds: float) -> Bouts:
    count, total = sum(b.count for b in many), sum(b.seconds for b in many)
    known = seconds > 0
    return Bouts(
        count, total, total / seconds if known else 0.0, 60 * count / seconds if known else 0.0
    )
