"""Predicted videos over time: lanes, agreement with the truth, and the time budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actionspace.report.timeline_svg import Lane, Span

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

MOST_VIDEOS = 48
MOST_OPEN = 4
MOST_LANES = 24
NO_SUBJECT = "(no subject)"


@dataclass(frozen=True)
class Bouts:
    """How one class is spread over one video or all: bouts, seconds in all, first start."""

    count: int
    seconds: float
    latency: float | None

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


@dataclass(frozen=True)
class VideoEthogram:
    """One video: its lanes and what they add up to.

    ``differs`` are the spans (seconds) where prediction and truth name different things,
    ``agreement`` the share of the annotated time where they name the same; both None without
    truth. ``by_subject`` says whether a lane is a subject (else a class).
    """

    video: str
    duration: float
    lanes: tuple[Lane, ...]
    budget: tuple[BudgetRow, ...]
    by_subject: bool
    lanes_left_out: int
    differs: tuple[tuple[float, float], ...] | None
    agreement: float | None

    @property
    def bouts(self) -> int:
        """Number of predicted bouts."""
        return sum(row.predicted.count for row in self.budget)

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
    videos: list[VideoEthogram] = []
    rules: list[str] = []
    classes = list(dict.fromkeys(c for p in many for c in p.classes(head)))
    for predictions in many:
        rules += [r for r in [background_rule(predictions)] if r and r not in rules]
        for name in predictions.events.videos["video"]:
            laid = _video(predictions, str(name), truth, head, classes)
            if laid is not None:
                videos.append(laid)
    if not videos:
        return None
    return Ethogram(
        tuple(videos[:MOST_VIDEOS]),
        max(len(videos) - MOST_VIDEOS, 0),
        _sum([v.budget for v in videos]),
        sum(v.duration for v in videos),
        " ".join(rules),
    )


def background_rule(predictions: Predictions) -> str:
    """Return in words how these predictions decide that nothing happens."""
    about = predictions.labels.get("background")
    if isinstance(about, str):
        return about
    if not isinstance(about, dict):
        return ""
    return str(about.get("note") or about.get("description") or about.get("rule") or "")


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


def _video(
    predictions: Predictions, video: str, truth: Events | None, head: str, classes: list[str]
) -> VideoEthogram | None:
    rows = predictions.events.for_video(video)
    if len(rows) and rows["start"].isna().all():
        return None
    curves = _curves(predictions, video, head)
    if not len(rows) and curves is None:
        return None
    about = predictions.events.videos
    about = about[about["video"] == video].iloc[0]
    true_rows, spans = _truth_of(predictions, truth, video)
    duration = _duration(about.get("duration"), rows, true_rows, curves)
    guess = _spans(rows, head, classes)
    ignored: list[tuple[float, float]] = []
    true = None
    if true_rows is not None:
        off = true_rows["status"] == "ignore"
        ignored = [(float(a), float(b)) for a, b in true_rows.loc[off, ["start", "end"]].values]
        true = _spans(true_rows[~off], head, classes)
    differs = agreement = None
    if true is not None:
        wrong, agreement = disagreements(
            [(s.start, s.end, (who, s.label)) for who, s in guess],
            [(s.start, s.end, (who, s.label)) for who, s in true],
            [(0.0, duration)] if spans is None else spans,
            ignored,
        )
        differs = tuple(wrong)
    lanes, by_subject, left_out = _lanes(guess, true, curves, classes)
    return VideoEthogram(
        video,
        duration,
        tuple(lanes),
        _budget(guess, true, classes),
        by_subject,
        left_out,
        differs,
        agreement,
    )


Owned = tuple[str | None, Span]


def _spans(rows: pd.DataFrame, head: str, classes: list[str]) -> list[Owned]:
    """Return ``(subject, span)`` per label of each timed row; new labels extend ``classes``."""
    import pandas as pd

    from actionspace.events.table import split_labels

    found: list[Owned] = []
    score_column = f"{head}_score" if f"{head}_score" in rows.columns else "score"
    for row in rows.to_dict("records"):
        if pd.isna(row["start"]) or not isinstance(row.get(head), str):
            continue
        score = row.get(score_column)
        for label in split_labels(row[head]):
            if label not in classes:
                classes.append(label)
            span = Span(
                float(row["start"]),
                float(row["end"]),
                label,
                classes.index(label),
                None if score is None or pd.isna(score) else float(score),
            )
            subject = row.get("subject")
            found.append((subject if isinstance(subject, str) and subject else None, span))
    return found


def _truth_of(
    predictions: Predictions, truth: Events | None, video: str
) -> tuple[pd.DataFrame | None, list[tuple[float, float]] | None]:
    """Return the annotated events of a video and the spans that were annotated (None = all)."""
    if truth is not None and video in set(truth.videos["video"]):
        return truth.for_video(video), truth.labelled_spans(video)
    if predictions.truth is None:
        return None, None
    rows = predictions.truth[predictions.truth["video"] == video]
    spans = predictions.events.labelled_spans(video)
    return (rows, spans) if len(rows) or spans else (None, None)


def _duration(
    known: Any,
    rows: pd.DataFrame,
    truth: pd.DataFrame | None,
    curves: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    import numpy as np

    ends = [np.nanmax(t["end"]) for t in (rows, truth) if t is not None and t["end"].notna().any()]
    if curves is not None and len(curves[0]):
        ends.append(curves[0].max())
    longest = float(max(ends, default=0.0))
    return float(known) if known is not None and known == known and known > 0 else longest


def _curves(
    predictions: Predictions, video: str, head: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return times ``[N]`` (s) and probabilities ``[N, C]`` of a video's rows, views averaged."""
    import numpy as np

    raw, spans = predictions.raw.get(head), predictions.rows
    if raw is None or not len(spans):
        return None
    here = (spans["video"] == video).to_numpy()
    if here.sum() < 2:
        return None
    centres = spans.loc[here, ["start", "end"]].to_numpy(float).mean(axis=1)
    logits = raw[here].astype(float)
    if predictions.labels["heads"][head].get("multi_label"):
        values = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    else:
        values = np.exp(logits - logits.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    times, place = np.unique(centres, return_inverse=True)
    summed = np.zeros((len(times), values.shape[1]))
    np.add.at(summed, place, values)
    return times, summed / np.bincount(place)[:, None]


def _lanes(
    guess: list[Owned],
    truth: list[Owned] | None,
    curves: tuple[np.ndarray, np.ndarray] | None,
    classes: list[str],
) -> tuple[list[Lane], bool, int]:
    """Return the lanes, whether each is a subject, and how many did not fit."""
    subjects = list(dict.fromkeys(who or NO_SUBJECT for who, _ in [*guess, *(truth or [])]))
    by_subject = len(subjects) > 1
    names = sorted(subjects) if by_subject else classes

    def of(owned: list[Owned], name: str) -> tuple[Span, ...]:
        if by_subject:
            return tuple(s for who, s in owned if (who or NO_SUBJECT) == name)
        return tuple(s for _, s in owned if s.label == name)

    lanes = []
    for i, name in enumerate(names):
        curve = None
        if curves is not None and not by_subject and i < curves[1].shape[1]:
            curve = (curves[0], curves[1][:, i])
        true = None if truth is None else of(truth, name)
        lanes.append(Lane(name, of(guess, name), true, None if by_subject else i, curve))
    if len(lanes) > 12:
        lanes = [lane for lane in lanes if lane.predicted or lane.truth]
    return lanes[:MOST_LANES], by_subject, max(len(lanes) - MOST_LANES, 0)


def _budget(
    guess: list[Owned], truth: list[Owned] | None, classes: list[str]
) -> tuple[BudgetRow, ...]:
    rows = []
    for i, name in enumerate(classes):
        predicted = _bouts([s for _, s in guess if s.label == name])
        true = None if truth is None else _bouts([s for _, s in truth if s.label == name])
        if predicted.count or (true and true.count):
            rows.append(BudgetRow(name, i, predicted, true))
    return tuple(rows)


def _bouts(spans: Sequence[Span]) -> Bouts:
    return Bouts(
        len(spans),
        sum(s.end - s.start for s in spans),
        min((s.start for s in spans), default=None),
    )


def _sum(budgets: Sequence[tuple[BudgetRow, ...]]) -> tuple[BudgetRow, ...]:
    """Add up the budgets of videos; truth only where every video with the class has it."""
    found: dict[str, list[BudgetRow]] = {}
    for row in (row for budget in budgets for row in budget):
        found.setdefault(row.label, []).append(row)

    def add(bouts: list[Bouts]) -> Bouts:
        return Bouts(sum(b.count for b in bouts), sum(b.seconds for b in bouts), None)

    rows = []
    for label, many in found.items():
        true = [r.truth for r in many if r.truth is not None]
        whole = len(true) == len(many)
        predicted = add([r.predicted for r in many])
        rows.append(BudgetRow(label, many[0].colour, predicted, add(true) if whole else None))
    return tuple(sorted(rows, key=lambda r: r.colour))
