"""What the page shows of one head: its measures, classes, mistakes and videos over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError
from actionspace.report import provenance, results
from actionspace.report.detection_view import DetectionView, detection_view
from actionspace.report.detection_view import lead as detection_lead
from actionspace.report.ethogram import Ethogram, ethogram
from actionspace.report.figures_svg import clock
from actionspace.report.measures import Measure, headline, is_over_time, measures
from actionspace.report.point_view import PointView, point_view
from actionspace.report.point_view import lead as point_lead

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.report.thumbnails import Film
    from actionspace.training.predictions import Predictions
    from actionspace.training.run import Run

MOST_CLIPS = 40


@dataclass(frozen=True)
class Picture:
    """A mistake with what it looks like, or why that cannot be shown."""

    mistake: results.Mistake
    film: Film | None
    alt: str
    reason: str


@dataclass(frozen=True)
class ClipGuess:
    """What a whole clip was taken for."""

    video: str
    label: str
    score: float | None


@dataclass(frozen=True)
class Found:
    """What was read from the disk.

    Attributes:
        run: the run folder.
        config, metrics: of the run.
        beside: measures of the first further predictions folder that was evaluated.
        own: predictions in the run, by name.
        shown: all predictions, the further ones first.
        events: the run's manifest, if at hand.
        truth: annotated events of predicted videos, if given.
    """

    run: Run
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    beside: Mapping[str, Any]
    own: Mapping[str, Predictions]
    shown: Sequence[Predictions]
    events: Events | None
    truth: Events | None


@dataclass(frozen=True)
class HeadView:
    """One head on the page; ``name`` is empty where there is but one.

    ``missing`` says, per section, why it is empty.
    """

    name: str
    lead: str
    headline: tuple[Measure, ...]
    measures: tuple[Measure, ...]
    classes: tuple[results.ClassRow, ...]
    multi: bool
    confusion: results.Confusion | None
    pictures: tuple[Picture, ...]
    n_wrong: int
    ethogram: Ethogram | None
    over_time: tuple[Measure, ...]
    clips: tuple[ClipGuess, ...]
    n_clips: int
    distribution: provenance.Distribution | None
    detection: DetectionView | None
    points: PointView | None
    missing: Mapping[str, str]


def head_view(found: Found, head: str, *, several: bool) -> HeadView:
    """Gather what is shown of a head, one of several or the only one."""
    metrics = _own(found.metrics, head) if several else found.metrics
    beside = _own(found.beside, head) if several else found.beside
    shown = [p for p in found.shown if head in p.labels.get("heads", {})]
    own = {name: p for name, p in found.own.items() if head in p.labels.get("heads", {})}
    data = _evaluated(own, found.metrics, head)
    every = measures(metrics, results.chance_levels(data) if data else {})
    elsewhere = measures(beside, {"cohen_kappa": 0.0})
    over_time = [m for m in elsewhere or every if is_over_time(m)]
    of_clips = [m for m in every if not is_over_time(m)]
    wrong, n_wrong = results.mistakes(data) if data else ([], 0)
    laid = ethogram(shown, found.truth, head)
    clips = _clip_guesses([p for p in shown if not data or p.events is not data.events], head)
    classes = list(data.classes) if data else _classes(found.run, head)
    folds = bool(found.config.get("folds"))
    counts = None
    if found.events is not None and head in found.events.heads:
        counts = provenance.distribution(found.events, head, classes, folds)
    detected, points = detection_view(metrics), point_view(metrics)
    lead = _lead(every, data, folds or (counts is not None and counts.apart))
    lead = lead or (detection_lead(metrics) if detected else "")
    lead = lead or (point_lead(metrics) if points else "")
    return HeadView(
        name=head if several else "",
        lead=f"{head}: {lead}" if several and lead else lead,
        headline=tuple(headline(of_clips or every)),
        measures=tuple(every),
        classes=tuple(results.class_rows(data)) if data else (),
        multi=bool(data and data.multi),
        confusion=results.confusion(data) if data else None,
        pictures=tuple(_picture(m) for m in wrong),
        n_wrong=n_wrong,
        ethogram=laid,
        over_time=tuple(headline(over_time)),
        clips=tuple(clips[:MOST_CLIPS]),
        n_clips=len(clips),
        distribution=counts,
        detection=detected,
        points=points,
        missing=_missing(metrics, data, wrong, laid, clips, found.events),
    )


def _own(metrics: Mapping[str, Any], head: str) -> dict[str, Any]:
    """Return the measures of one of several heads, without its name in front."""
    found = {k: v for k, v in metrics.items() if k.startswith(f"{head}_")}
    return {k.removeprefix(f"{head}_"): v for k, v in found.items()}


def _evaluated(
    own: Mapping[str, Predictions], metrics: Mapping[str, Any], head: str
) -> results.Scored | None:
    """Return what was predicted where the truth is known, of the split last evaluated first."""
    for name in dict.fromkeys((split_name(metrics) or "test", "test", *own)):
        data = results.scored(own[name], head) if name in own else None
        if data is not None:
            return data
    return None


def _classes(run: Run, head: str) -> list[str]:
    try:
        return [str(c) for c in run.labels["heads"][head]["classes"]]
    except (ActionspaceError, KeyError, TypeError):
        return []


def _lead(every: Sequence[Measure], data: results.Scored | None, apart: bool) -> str:
    """Return the result in one sentence, or nothing when there is no accuracy to tell.

    ``apart`` says that no group was both trained on and tested.
    """
    top = next((m for m in every if m.key == "top1_accuracy"), None)
    if top is None or data is None or data.multi:
        return ""
    table = data.events.videos
    groups = table.loc[table["video"].isin(set(data.rows["video"])), "group"].nunique()
    where = f" from {groups} groups{' it had not seen' if apart else ''}" if groups > 1 else ""
    what = "clips" if data.rows["start"].isna().all() else "events"
    unit = "\u00a0%"
    known = [f"interval {top.show(top.low)}\u2013{top.show(top.high)}{unit}"] if top.low else []
    known += [f"guessing gives {top.show(top.chance)}{unit}"] if top.chance else []
    return (
        f"Of {len(data.rows)} {what}{where}, this model names {top.show(top.value)}{unit} right, "
        f"with {len(data.classes)} behaviours to choose from"
        + (f" ({'; '.join(known)})." if known else ".")
    )


def split_name(metrics: Mapping[str, Any]) -> str | None:
    """Return the name of the split that was evaluated, or ``folds``."""
    protocol = metrics.get("protocol") or {}
    return (protocol.get("rules") or {}).get("split") or protocol.get("split")


def _picture(mistake: results.Mistake) -> Picture:
    from actionspace.events.columns import parse_crop
    from actionspace.report import thumbnails

    alt = (
        f"Frames of {mistake.video}{_when(mistake)}: {mistake.truth}, taken for {mistake.predicted}"
    )
    if not mistake.path.is_file():
        return Picture(mistake, None, alt, "The video is not where it was.")
    try:
        crop = parse_crop(mistake.crop)
        film = thumbnails.film(mistake.path, mistake.start, mistake.end, crop=crop)
        return Picture(mistake, film, alt, "")
    except ActionspaceError as e:
        return Picture(mistake, None, alt, f"No picture: {e}")


def _when(mistake: results.Mistake) -> str:
    if mistake.start is None or mistake.end is None:
        return ""
    return f", {clock(mistake.start, tenths=True)}–{clock(mistake.end, tenths=True)}"


def _clip_guesses(many: Sequence[Predictions], head: str) -> list[ClipGuess]:
    """Return the predictions that concern a whole video, most certain first."""
    found = []
    for predictions in many:
        rows = predictions.events.rows
        for row in rows[rows["start"].isna()].to_dict("records"):
            score = row.get(f"{head}_score", row.get("score"))
            known = isinstance(score, float) and score == score
            found.append(ClipGuess(row["video"], str(row.get(head)), score if known else None))
    return sorted(found, key=lambda g: -(g.score or 0.0))


def _missing(
    metrics: Mapping[str, Any],
    data: results.Scored | None,
    wrong: Sequence[results.Mistake],
    laid: Ethogram | None,
    clips: Sequence[ClipGuess],
    events: Events | None,
) -> dict[str, str]:
    """Return a sentence for each section that stays empty."""
    why: dict[str, str] = {}
    if not metrics:
        why["results"] = "This run was not evaluated yet: `actionspace evaluate RUN` adds figures."
    if data is None:
        why["classes"] = "No predictions with known truth lie in this run, so nothing is counted."
    elif data.multi:
        why["confusion"] = "A clip may have several labels here, so there is no confusion matrix."
    if data is not None and not wrong:
        why["mistakes"] = f"None: all {len(data.rows)} clips are named right."
    if laid is None and not clips:
        why["ethogram"] = (
            "No videos were predicted yet: `actionspace predict RUN VIDEO` adds their ethogram."
        )
    if events is None:
        why["data"] = "The manifest was not at hand, so events per split are not counted."
    return why
