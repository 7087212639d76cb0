"""The time budget of predicted videos: how often and how long each class, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actionspace.events.table import Events


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
    """One class in the time budget; ``truth`` is None where nothing was annotated."""

    label: str
    colour: int
    predicted: Bouts
    truth: Bouts | None


def budget(
    predicted: Events,
    truth: Events | None,
    video: str,
    duration: float,
    head: str,
    classes: Sequence[str],
) -> tuple[BudgetRow, ...]:
    """Return the classes that occur in a video, in the order of ``classes``.

    Args:
        predicted: events among which the video's are; all of the video counts as observed.
        truth: annotated events among which the video's are, or None.
        video: its name.
        duration: its length in seconds.
        head: which head's labels are counted.
        classes: class names; the place of a class is its colour.
    """
    everywhere = replace(predicted, videos=predicted.videos.assign(labelled=None))
    guess = _bouts(everywhere, video, duration, head)
    true = None if truth is None else _bouts(truth, video, duration, head)
    none = Bouts(0, 0.0, 0.0, 0.0)
    return tuple(
        BudgetRow(name, i, guess.get(name, none), None if true is None else true.get(name, none))
        for i, name in enumerate(classes)
        if name in guess or (true is not None and name in true)
    )


def together(
    budgets: Sequence[tuple[BudgetRow, ...]], seconds: float, observed: float | None
) -> tuple[BudgetRow, ...]:
    """Add up the budgets of several videos.

    Args:
        budgets: one per video.
        seconds: length of all videos.
        observed: annotated seconds of all videos; None when not all were annotated, then there is
            no truth to compare with.
    """
    rows = [row for budget in budgets for row in budget]
    names = dict(sorted({row.colour: row.label for row in rows}.items()))
    return tuple(
        BudgetRow(
            name,
            colour,
            _add([r.predicted for r in rows if r.colour == colour], seconds),
            None
            if observed is None
            else _add([r.truth for r in rows if r.colour == colour and r.truth], observed),
        )
        for colour, name in names.items()
    )


def _bouts(events: Events, video: str, duration: float, head: str) -> dict[str, Bouts]:
    """Return the time budget of a video by class, its subjects together."""
    from actionspace.events.budget import time_budget

    events = events.select(videos=[video])
    events = replace(events, videos=events.videos.assign(duration=duration))
    return {
        str(row["label"]): Bouts(
            int(row["bouts"] + row["points"]),
            float(row["total_duration"]),
            float(row["share"]),
            float(row["rate_per_minute"]),
            float(row["latency"]),
        )
        for row in time_budget(events, head=head, by_subject=False).to_dict("records")
    }


def _add(many: Sequence[Bouts], seconds: float) -> Bouts:
    count, total = sum(b.count for b in many), sum(b.seconds for b in many)
    known = seconds > 0
    return Bouts(
        count, total, total / seconds if known else 0.0, 60 * count / seconds if known else 0.0
    )
