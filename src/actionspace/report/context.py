"""Everything the page shows, gathered from a run folder; what is missing becomes a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, RunError
from actionspace.report import provenance, results
from actionspace.report.curves import Chart, curves
from actionspace.report.ethogram import Ethogram, ethogram
from actionspace.report.figures_svg import clock, shorten
from actionspace.report.measures import Measure, headline, is_over_time, measures

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.report.thumbnails import Film
    from actionspace.training.predictions import Predictions
    from actionspace.training.run import Run

MOST_CLIPS = 40
FEW_GROUPS = 4


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
class Context:
    """The content of one report. ``missing`` says, per section, why it is empty."""

    title: str
    lead: str
    tags: tuple[tuple[str, str], ...]
    confidence: str
    headline: tuple[Measure, ...]
    measures: tuple[Measure, ...]
    classes: tuple[results.ClassRow, ...]
    multi: bool
    confusion: results.Confusion | None
    pictures: tuple[Picture, ...]
    n_wrong: int
    curves: tuple[Chart, ...]
    best_epoch: int | None
    ethogram: Ethogram | None
    over_time: tuple[Measure, ...]
    clips: tuple[ClipGuess, ...]
    n_clips: int
    distribution: provenance.Distribution | None
    notes: tuple[str, ...]
    facts: tuple[provenance.Facts, ...]
    skipped: Mapping[str, str]
    command: str
    config: str
    warnings: tuple[str, ...]
    missing: Mapping[str, str]


def gather(
    run_dir: Path,
    predictions: Sequence[Path],
    events: Events | None,
    truth: Events | None,
    title: str | None,
) -> Context:
    """Read a run folder and further predictions into a :class:`Context`.

    Raises:
        RunError: ``run_dir`` holds nothing of a run.
    """
    from actionspace.training.run import Run

    run = Run(run_dir)
    config, environment, metrics, warnings = _files(run)
    own, unreadable = _read_all(_folders(run.predictions_dir))
    more, bad = _read_all([(p.name, p) for p in predictions])
    charts, torn = _curves(run)
    warnings += torn + unreadable + bad + _few_groups(metrics)
    head = _head(config, [*own.values(), *more.values()])
    data = _evaluated(own, metrics, head)
    every = measures(metrics, results.chance_levels(data) if data else {})
    beside = measures(_metrics_beside(predictions), {"cohen_kappa": 0.0})
    over_time = [m for m in beside or every if is_over_time(m)]
    of_clips = [m for m in every if not is_over_time(m)]
    wrong, n_wrong = results.mistakes(data) if data else ([], 0)
    shown = [*more.values(), *own.values()]
    laid = ethogram(shown, truth, head)
    clips = _clip_guesses([p for p in shown if not data or p.events is not data.events], head)
    classes = list(data.classes) if data else _classes(run, head)
    folds = bool(config.get("folds"))
    counts = None if events is None else provenance.distribution(events, head, classes, folds)
    return Context(
        title=title or _title(run_dir),
        lead=_lead(every, data, folds or (counts is not None and counts.apart)),
        tags=_tags(config, environment, metrics),
        confidence=_confidence(metrics),
        headline=tuple(headline(of_clips or every)),
        measures=tuple(every),
        classes=tuple(results.class_rows(data)) if data else (),
        multi=bool(data and data.multi),
        confusion=results.confusion(data) if data else None,
        pictures=tuple(_picture(m) for m in wrong),
        n_wrong=n_wrong,
        curves=charts,
        best_epoch=environment.get("best_epoch"),
        ethogram=laid,
        over_time=tuple(headline(over_time)),
        clips=tuple(clips[:MOST_CLIPS]),
        n_clips=len(clips),
        distribution=counts,
        notes=tuple(str(note) for note in environment.get("notes") or ()),
        facts=tuple(provenance.facts(config, environment, metrics)),
        skipped=provenance.skipped(environment, *(p.labels for p in shown)),
        command=provenance.command(config, environment, run_dir),
        config=_text(run_dir / "config.yaml"),
        warnings=tuple(warnings),
        missing=_missing(metrics, data, wrong, laid, clips, events),
    )


def _files(run: Run) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]:
    """Return config, environment and metrics; a damaged one is empty and named in a sentence."""
    names = ("config.yaml", "environment.json", "metrics.json")
    if not any((run.path / name).is_file() for name in names):
        raise RunError(f"{run.path} holds none of {', '.join(names)}, so it is no run to report.")
    found: list[dict[str, Any]] = []
    warnings = []
    for name, read in zip(names, ("config", "environment", "metrics"), strict=True):
        value: dict[str, Any] = {}
        if (run.path / name).is_file():
            try:
                value = getattr(run, read)
            except ActionspaceError as e:
                warnings.append(f"{name} cannot be read: {e}")
        found.append(value)
    return found[0], found[1], found[2], warnings


def _curves(run: Run) -> tuple[tuple[Chart, ...], list[str]]:
    try:
        return curves(run.path / "metrics.csv"), []
    except ActionspaceError as e:
        return (), [f"There are no learning curves: {e}"]


def _folders(path: Path) -> list[tuple[str, Path]]:
    """Return the predictions folders in or at ``path``, by name."""
    from actionspace.training.predictions import is_predictions

    if is_predictions(path):
        return [(path.name, path)]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    return [(p.name, p) for p in inside if not p.name.startswith(".") and is_predictions(p)]


def _read_all(folders: Sequence[tuple[str, Path]]) -> tuple[dict[str, Predictions], list[str]]:
    from actionspace.training.predictions import read_predictions

    read, warnings = {}, []
    for name, path in folders:
        try:
            read[name] = read_predictions(path)
        except ActionspaceError as e:
            warnings.append(f"The predictions '{name}' are left out: {e}")
    return read, warnings


def _head(config: Mapping[str, Any], many: Sequence[Predictions]) -> str:
    about = config.get("head")
    wanted = about.get("column", "label") if isinstance(about, Mapping) else "label"
    heads = [h for p in many for h in p.labels.get("heads", {})]
    return wanted if wanted in heads or not heads else heads[0]


def _evaluated(
    own: Mapping[str, Predictions], metrics: Mapping[str, Any], head: str
) -> results.Scored | None:
    """Return what was predicted where the truth is known, of the split last evaluated first."""
    for name in dict.fromkeys((_split(metrics) or "test", "test", *own)):
        data = results.scored(own[name], head) if name in own else None
        if data is not None:
            return data
    return None


def _classes(run: Run, head: str) -> list[str]:
    try:
        return [str(c) for c in run.labels["heads"][head]["classes"]]
    except (ActionspaceError, KeyError, TypeError):
        return []


def _title(run_dir: Path) -> str:
    return run_dir.resolve().name.replace("_", " ")


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


def _tags(
    config: Mapping[str, Any], environment: Mapping[str, Any], metrics: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    about = environment.get("encoder")
    encoder = about.get("name") if isinstance(about, Mapping) else about or config.get("encoder")
    tags = {
        "recipe": config.get("name"),
        "encoder": encoder,
        "data": Path(str(config["data"])).name if config.get("data") else None,
        "evaluated on": _split(metrics),
        "device": environment.get("device"),
    }
    return tuple((k, shorten(str(v), 48)) for k, v in tags.items() if v)


def _few_groups(metrics: Mapping[str, Any]) -> list[str]:
    """Return a sentence of caution where intervals were drawn from a handful of groups."""
    groups = (metrics.get("protocol") or {}).get("groups")
    if not isinstance(groups, int) or groups >= FEW_GROUPS:
        return []
    return [
        f"The test clips come from {groups} group{'s' if groups > 1 else ''} only. Intervals drawn "
        "from so few say little about a new subject or session; test on more, or use folds."
    ]


def _split(metrics: Mapping[str, Any]) -> str | None:
    """Return the name of the split that was evaluated, or ``folds``."""
    protocol = metrics.get("protocol") or {}
    return (protocol.get("rules") or {}).get("split") or protocol.get("split")


def _confidence(metrics: Mapping[str, Any]) -> str:
    """Return the coverage of the intervals in per cent, as text."""
    share = (metrics.get("protocol") or {}).get("confidence") or 0.95
    return f"{100 * float(share):g}"


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


def _metrics_beside(folders: Sequence[Path]) -> dict[str, Any]:
    """Return the measures of the first predictions folder that was evaluated."""
    from actionspace.paths import read_json

    for folder in folders:
        if (folder / "metrics.json").is_file():
            value = read_json(folder / "metrics.json")
            return value if isinstance(value, dict) else {}
    return {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


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
