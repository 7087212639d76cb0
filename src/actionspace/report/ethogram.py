"""Predicted videos over time: lanes, agreement with the truth, and the time budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from actionspace.report.budget import NO_SUBJECT, BudgetRow, VideoBudget, budget, together
from actionspace.report.scores import Curves, RowScores
from actionspace.report.timeline_svg import Lane, Span

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

MOST_VIDEOS = 48
MOST_OPEN = 4
MOST_LANES = 24


@dataclass(frozen=True)
class Names:
    """Which labels are drawn: a head's classes in colour order, labels only the truth has after
    them as they are met; never those of ``nothing`` happening.
    """

    head: str
    classes: list[str]
    nothing: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class VideoEthogram:
    """One video: its lanes and what they add up to.

    ``differs`` are the spans (seconds) where prediction and truth name different things,
    ``agreement`` the share of the annotated time where they name the same; both None without
    truth. ``by_subject`` says whether a lane is a subject
    (else a class).
    """

    video: str
    duration: float
    lanes: tuple[Lane, ...]
    budget: VideoBudget
    by_subject: bool
    lanes_left_out: int
    differs: tuple[tuple[float, float], ...] | None
    agreement: float | None

    @property
    def bouts(self) -> int:
        """Number of predicted bouts."""
        return sum(row.predicted.count for row in self.budget.rows)

    @property
    def has_curves(self) -> bool:
        """Whether any lane shows its score over time."""
        return any(lane.curve is not None for lane in self.lanes)

    @property
    def has_truth(self) -> bool:
        """Whether the video was annotated."""
        return self.differs is not None


@dataclass(frozen=True)
class Ethogram:
    """The videos of one or several predictions folders, and their time budget together."""

    videos: tuple[VideoEthogram, ...]
    left_out: int
    total: tuple[BudgetRow, ...]
    seconds: float
    rule: str


def ethogram(many: Sequence[Predictions], truth: Events | None, head: str) -> Ethogram | None:
    """Lay out the videos in which events with times were predicted.

    Args:
        many: predictions, each with its own videos.
        truth: annotated events of the same videos; else what the predictions bring along.
        head: which head's classes are drawn.

    Returns:
        None when no video has a timeline: nothing predicted, or whole clips only.
    """
    backgrounds = [_background(p) for p in many]
    names = Names(
        head,
        list(dict.fromkeys(c for p in many for c in p.classes(head))),
        {str(b.get("label")) for b in backgrounds if b.get("kind") == "trained"},
    )
    names.classes[:] = [c for c in names.classes if c not in names.nothing]
    videos = [laid for predictions in many for laid in _videos(predictions, truth, names)]
    if not videos:
        return None
    return Ethogram(
        tuple(videos[:MOST_VIDEOS]),
        max(len(videos) - MOST_VIDEOS, 0),
        together([v.budget for v in videos]),
        sum(v.duration for v in videos),
        " ".join(dict.fromkeys(str(b["note"]) for b in backgrounds if b.get("note"))),
    )


def _background(predictions: Predictions) -> dict[str, Any]:
    """Return how these predictions decide that nothing happens (kind, label, note)."""
    about = predictions.labels.get("background")
    return about if isinstance(about, dict) else {}


def disagreements(
    predicted: Iterable[tuple[float, float, object]],
    truth: Iterable[tuple[float, float, object]],
    compare: Iterable[tuple[float, float]],
    ignore: Iterable[tuple[float, float]] = (),
) -> tuple[list[tuple[float, float]], float | None]:
    """Return where two labellings differ and the share of the compared time where they agree.

    Args:
        predicted: ``(start, end, label)`` in seconds; any number may overlap.
        truth: the same, annotated.
        compare: spans that were annotated.
        ignore: spans inside them that do not count.
    """
    kinds = (
        ("p", predicted),
        ("t", truth),
        ("on", ((a, b, None) for a, b in compare)),
        ("off", ((a, b, None) for a, b in ignore)),
    )
    edges: list[tuple[float, int, str, object]] = []
    for kind, spans in kinds:
        for start, end, label in spans:
            if end > start:
                edges += [(start, 1, kind, label), (end, -1, kind, label)]
    edges.sort(key=lambda e: e[0])
    active: dict[str, Counter[object]] = {kind: Counter() for kind, _ in kinds}
    wrong: list[tuple[float, float]] = []
    compared = differing = 0.0
    last = edges[0][0] if edges else 0.0
    for time, step, kind, label in edges:
        if time > last and active["on"] and not active["off"]:
            compared += time - last
            if active["p"].keys() != active["t"].keys():
                differing += time - last
                if wrong and wrong[-1][1] == last:
                    wrong[-1] = (wrong[-1][0], time)
                else:
                    wrong.append((last, time))
        last = time
        active[kind][label] += step
        if not active[kind][label]:
            del active[kind][label]
    return wrong, (1 - differing / compared if compared else None)


def _videos(
    predictions: Predictions, truth: Events | None, names: Names
) -> Iterator[VideoEthogram]:
    scores = RowScores.of(predictions, names.head)
    for video in predictions.events.videos["video"]:
        curves = scores.over_time(str(video))
        laid = _video(predictions, str(video), curves, truth, names)
        if laid is not None:
            yield laid


def _video(
    predictions: Predictions,
    video: str,
    curves: Curves | None,
    truth: Events | None,
    names: Names,
) -> VideoEthogram | None:
    rows = predictions.events.for_video(video)
    if not _over_time(predictions, video, rows, names.head) or (curves is None and not len(rows)):
        return None
    known = _truth_of(predictions, truth, video)
    true_rows = None if known is None else known.for_video(video)
    table = predictions.events.videos
    told = table.loc[table["video"] == video, "duration"].iloc[0]
    duration = _duration(told, rows, true_rows, curves)
    guess = _spans(rows, names)
    true: list[Owned] | None = None
    differs = agreement = None
    observed = [(0.0, duration)]
    if known is not None and true_rows is not None:
        off = true_rows["status"] == "ignore"
        true = _spans(true_rows[~off], names)
        observed = known.labelled_spans(video) or observed
        ignored = [(float(a), float(b)) for a, b in true_rows.loc[off, ["start", "end"]].to_numpy()]
        wrong, agreement = disagreements(*_alike(guess, true), observed, ignored)
        differs = tuple(wrong)
        if _moments_only(guess, true):
            agreement = None
    lanes, by_subject, left_out = _lanes(guess, true, curves, names.classes)
    return VideoEthogram(
        video,
        duration,
        tuple(lanes),
        budget(
            predictions.events,
            known,
            video,
            duration,
            None if true is None else sum(b - a for a, b in observed),
            names.head,
            names.classes,
            by_subject,
        ),
        by_subject,
        left_out,
        differs,
        agreement,
    )


def _over_time(predictions: Predictions, video: str, rows: pd.DataFrame, head: str) -> bool:
    """Whether a video was searched from beginning to end (else its clips got a label each)."""
    listed = predictions.labels.get("untrimmed")
    if listed is not None:
        return video in listed
    labelled = f"{head}_true" in rows and rows[f"{head}_true"].notna().any()
    return not labelled and (not len(rows) or bool(rows["start"].notna().any()))


Owned = tuple[str | None, Span]
"""A span and whose it is."""


def _moments_only(guess: Sequence[Owned], true: Sequence[Owned]) -> bool:
    """Whether nothing lasts, so that no share of time can agree."""
    both = [span for _, span in (*guess, *true)]
    return bool(both) and all(span.start == span.end for span in both)


def _spans(rows: pd.DataFrame, names: Names) -> list[Owned]:
    """Return ``(subject, span)`` per label of each timed row; new labels extend the classes."""
    import pandas as pd

    from actionspace.events.blur import edges_of
    from actionspace.events.table import split_labels

    found: list[Owned] = []
    own = f"{names.head}_score"
    score_column = own if own in rows.columns else "score"
    for row in rows.to_dict("records"):
        if pd.isna(row["start"]) or not isinstance(row.get(names.head), str):
            continue
        score = row.get(score_column)
        for label in split_labels(row[names.head]):
            if label in names.nothing:
                continue
            if label not in names.classes:
                names.classes.append(label)
            span = Span(
                float(row["start"]),
                float(row["end"]),
                label,
                names.classes.index(label),
                None if score is None or pd.isna(score) else float(score),
                edges=edges_of(row),
            )
            subject = row.get("subject")
            found.append((subject if isinstance(subject, str) and subject else None, span))
    return found


def _subjects(owned: list[Owned] | None) -> set[str | None]:
    return {who for who, _ in owned or ()} - {None}


Labelled = list[tuple[float, float, object]]
"""Start and end in seconds, and anything that can be compared."""


def _alike(guess: list[Owned], truth: list[Owned]) -> tuple[Labelled, Labelled]:
    """Return both as ``(start, end, what)``; who it was counts only if both sides say it."""
    by_subject = bool(_subjects(guess)) and bool(_subjects(truth))

    def plain(owned: list[Owned]) -> Labelled:
        return [(s.start, s.end, (who if by_subject else None, s.label)) for who, s in owned]

    return plain(guess), plain(truth)


def _truth_of(predictions: Predictions, truth: Events | None, video: str) -> Events | None:
    """Return the annotated events among which a video's are; None if nobody annotated it."""
    if truth is not None and video in set(truth.videos["video"]):
        return truth
    if predictions.truth is None:
        return None
    known = replace(predictions.events, rows=predictions.truth)
    return known if len(known.for_video(video)) or known.labelled_spans(video) else None


def _duration(
    known: Any,
    rows: pd.DataFrame,
    truth: pd.DataFrame | None,
    curves: Curves | None,
) -> float:
    import numpy as np

    ends = [np.nanmax(t["end"]) for t in (rows, truth) if t is not None and t["end"].notna().any()]
    if curves is not None and len(curves[0]):
        ends.append(curves[0].max())
    longest = float(max(ends, default=0.0))
    return float(known) if known is not None and known == known and known > 0 else longest


def _lanes(
    guess: list[Owned],
    truth: list[Owned] | None,
    curves: Curves | None,
    classes: list[str],
) -> tuple[list[Lane], bool, int]:
    """Return the lanes, whether each is a subject, and how many did not fit."""
    subjects = {who or NO_SUBJECT for who, _ in [*guess, *(truth or [])]}
    told = bool(_subjects(guess)) and (not truth or bool(_subjects(truth)))
    by_subject = told and len(subjects) > 1
    names = sorted(subjects) if by_subject else classes

    def of(owned: list[Owned], name: str) -> tuple[Span, ...]:
        if by_subject:
            return tuple(s for who, s in owned if (who or NO_SUBJECT) == name)
        return tuple(s for _, s in owned if s.label == name)

    lanes = []
    for i, name in enumerate(names):
        curve = None
        if curves is not None and not by_subject and name in curves[1]:
            curve = (curves[0], curves[1][name])
        true = None if truth is None else of(truth, name)
        lanes.append(Lane(name, of(guess, name), true, None if by_subject else i, curve))
    if len(lanes) > 12:
        lanes = [lane for lane in lanes if lane.predicted or lane.truth]
    return lanes[:MOST_LANES], by_subject, max(len(lanes) - MOST_LANES, 0)
