"""Everything the page shows, gathered from a run folder; what is missing becomes a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, RunError
from actionspace.report import ethogram as time
from actionspace.report import provenance, results
from actionspace.report.figures_svg import clock, shorten

if TYPE_CHECKING:
    import pandas as pd

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
class Context:
    """The content of one report. ``missing`` says, per section, why it is empty."""

    title: str
    lead: str
    tags: tuple[tuple[str, str], ...]
    headline: tuple[results.Measure, ...]
    measures: tuple[results.Measure, ...]
    classes: tuple[results.ClassRow, ...]
    multi: bool
    confusion: results.Confusion | None
    pictures: tuple[Picture, ...]
    n_wrong: int
    ethogram: time.Ethogram | None
    ethogram_measures: tuple[results.Measure, ...]
    clips: tuple[ClipGuess, ...]
    n_clips: int
    distribution: provenance.Distribution | None
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
    warnings += unreadable + bad
    head = _head(config, [*own.values(), *more.values()])
    evaluated, rest = _evaluated(own, metrics, head)
    data = None if evaluated is None else results.scored(evaluated, head)
    every = results.measures(metrics, results.chance_levels(data) if data else {})
    wrong, n_wrong = results.mistakes(data, evaluated.events.videos) if data else ([], 0)
    shown = [*more.values(), *rest]
    laid = time.ethogram(shown, truth, head)
    clips = _clip_guesses(shown, head)
    classes = list(data.classes) if data else _classes(run, head)
    counts = None if events is None else provenance.distribution(events, head, classes)
    return Context(
        title=title or _title(run_dir),
        lead=_lead(every, data, evaluated, events),
        tags=_tags(config, environment, metrics),
        headline=tuple(results.headline(every)),
        measures=tuple(every),
        classes=tuple(results.class_rows(data)) if data else (),
        multi=bool(data and data.multi),
        confusion=results.confusion(data) if data else None,
        pictures=tuple(_picture(m, evaluated.events) for m in wrong) if evaluated else (),
        n_wrong=n_wrong,
        ethogram=laid,
        ethogram_measures=tuple(
            results.measures(_metrics_beside([*predictions]), {"cohen_kappa": 0.0})
        ),
        clips=tuple(clips[:MOST_CLIPS]),
        n_clips=len(clips),
        distribution=counts,
        facts=tuple(provenance.facts(config, environment, metrics)),
        skipped=provenance.skipped(environment, *(p.labels for p in [*own.values(), *shown])),
        command=provenance.command(config, environment, str(run_dir)),
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
) -> tuple[Predictions | None, list[Predictions]]:
    """Return the run's evaluated predictions (of the split last evaluated) and its other ones."""
    column = f"{head}_true"
    known = {n: p for n, p in own.items() if column in p.events.rows.columns}
    rest = [p for n, p in own.items() if n not in known]
    protocol = metrics.get("protocol") or {}
    split = str(protocol.get("split") or "test")
    for name in (split, *known):
        if name in known:
            return known[name], rest
    return None, rest


def _classes(run: Run, head: str) -> list[str]:
    try:
        return [str(c) for c in run.labels["heads"][head]["classes"]]
    except (ActionspaceError, KeyError, TypeError):
        return []


def _title(run_dir: Path) -> str:
    return run_dir.resolve().name.replace("_", " ")


def _lead(
    every: Sequence[results.Measure],
    data: results.Scored | None,
    evaluated: Predictions | None,
    events: Events | None,
) -> str:
    """Return the result in one sentence, or nothing when there is no accuracy to tell."""
    top = next((m for m in every if m.key == "top1_accuracy"), None)
    if top is None or data is None or evaluated is None or data.multi:
        return ""
    groups = _groups(evaluated.events if events is None else events, data.rows["video"])
    where = f" from {groups} groups it had not seen" if groups > 1 else ""
    unit = "\u00a0%"
    interval = f"95{unit} interval {top.show(top.low)}\u2013{top.show(top.high)}{unit}"
    known = [interval] if top.low is not None else []
    known += [f"guessing gives {top.show(top.chance)}{unit}"] if top.chance is not None else []
    return (
        f"Of {len(data.rows)} clips{where}, this model names {top.show(top.value)}{unit} right, "
        f"with {len(data.classes)} behaviours to choose from"
        + (f" ({'; '.join(known)})." if known else ".")
    )


def _groups(events: Events, videos: pd.Series[Any]) -> int:
    table = events.videos
    return int(table.loc[table["video"].isin(set(videos)), "group"].nunique())


def _tags(
    config: Mapping[str, Any], environment: Mapping[str, Any], metrics: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    about = environment.get("encoder")
    encoder = about.get("name") if isinstance(about, Mapping) else about or config.get("encoder")
    protocol = metrics.get("protocol") or {}
    tags = {
        "recipe": config.get("name"),
        "encoder": encoder,
        "data": Path(str(config["data"])).name if config.get("data") else None,
        "evaluated on": protocol.get("split"),
        "device": environment.get("device"),
    }
    return tuple((k, shorten(str(v), 48)) for k, v in tags.items() if v)


def _picture(mistake: results.Mistake, events: Events) -> Picture:
    from actionspace.events.columns import parse_crop
    from actionspace.report import thumbnails

    alt = (
        f"Frames of {mistake.video}{_when(mistake)}: {mistake.truth}, "
        f"taken for {mistake.predicted}"
    )
    path = events.path(mistake.video)
    if not path.is_file():
        return Picture(mistake, None, alt, "The video is not where it was.")
    try:
        crop = parse_crop(mistake.crop)
        film = thumbnails.film(path, mistake.start, mistake.end, crop=crop)
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
    laid: time.Ethogram | None,
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
