"""Everything the page shows, gathered from a run folder; what is missing becomes a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, RunError
from actionspace.report import provenance
from actionspace.report.alignment_view import AlignmentView, alignment_view
from actionspace.report.alignment_view import lead as alignment_lead
from actionspace.report.calibration_view import CalibrationView, calibration_view
from actionspace.report.curves import Chart, curves
from actionspace.report.figures_svg import shorten
from actionspace.report.head_view import Found, HeadView, head_view, split_name
from actionspace.report.horizon_view import horizon_charts
from actionspace.report.measures import Measure, measures
from actionspace.report.observed_view import observed_charts

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions
    from actionspace.training.run import Run

FEW_GROUPS = 4


@dataclass(frozen=True)
class Context:
    """The content of one report. ``together`` are the measures of several heads at once."""

    title: str
    lead: str
    tags: tuple[tuple[str, str], ...]
    confidence: str
    together: tuple[Measure, ...]
    heads: tuple[HeadView, ...]
    curves: tuple[Chart, ...]
    observed: tuple[Chart, ...]
    horizons: tuple[Chart, ...]
    calibration: CalibrationView | None
    alignment: AlignmentView | None
    best_epoch: int | None
    notes: tuple[str, ...]
    facts: tuple[provenance.Facts, ...]
    skipped: Mapping[str, str]
    command: str
    config: str
    warnings: tuple[str, ...]


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
    calibration, damaged = _calibration(run)
    aligned, broken = _alignment(run, metrics)
    warnings += torn + damaged + broken + unreadable + bad + _few_groups(metrics)
    shown = [*more.values(), *own.values()]
    names = _heads(config, [*own.values(), *more.values()])
    found = Found(run, config, metrics, _metrics_beside(predictions), own, shown, events, truth)
    heads = [head_view(found, name, several=len(names) > 1) for name in names]
    return Context(
        title=title or _title(run_dir),
        lead=" ".join(view.lead for view in heads if view.lead)
        or (alignment_lead(metrics) if aligned else ""),
        tags=_tags(config, environment, metrics),
        confidence=_confidence(metrics),
        together=tuple(_together(metrics, names)) if len(names) > 1 else (),
        heads=tuple(heads),
        curves=charts,
        observed=observed_charts(metrics),
        horizons=horizon_charts(metrics),
        calibration=calibration,
        alignment=aligned,
        best_epoch=environment.get("best_epoch"),
        notes=tuple(str(note) for note in environment.get("notes") or ()),
        facts=tuple(provenance.facts(config, environment, metrics)),
        skipped=provenance.skipped(environment, *(p.labels for p in shown)),
        command=provenance.command(config, environment, run_dir),
        config=_text(run_dir / "config.yaml"),
        warnings=tuple(warnings),
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


def _calibration(run: Run) -> tuple[CalibrationView | None, list[str]]:
    try:
        return calibration_view(run.path), []
    except ActionspaceError as e:
        return None, [f"How the run is calibrated is not shown: {e}"]


def _alignment(run: Run, metrics: Mapping[str, Any]) -> tuple[AlignmentView | None, list[str]]:
    try:
        return alignment_view(run.path, metrics), []
    except ActionspaceError as e:
        return None, [f"The map of embeddings is not shown: {e}"]


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
            read[name] = read_predictions(path).told()
        except ActionspaceError as e:
            warnings.append(f"The predictions '{name}' are left out: {e}")
    return read, warnings


def _heads(config: Mapping[str, Any], many: Sequence[Predictions]) -> list[str]:
    """Return the heads that are shown: those the run was trained on, as far as predicted."""
    about = config.get("head")
    wanted = (about if isinstance(about, Mapping) else config).get("column")
    wanted = wanted or config.get("columns") or "label"
    columns = [wanted] if isinstance(wanted, str) else list(wanted)
    heads = list(dict.fromkeys(h for p in many for h in p.labels.get("heads", {})))
    return [c for c in columns if c in heads or not heads] or heads[:1]


def _together(metrics: Mapping[str, Any], heads: Sequence[str]) -> list[Measure]:
    """Return the measures of all heads at once, those of a challenge with its name in front."""
    own = tuple(f"{head}_" for head in heads)
    found = {k: v for k, v in metrics.items() if not k.startswith(own)}
    found |= {f"epic100_{k}": v for k, v in (metrics.get("epic100") or {}).items()}
    return measures(found, {})


def _title(run_dir: Path) -> str:
    return run_dir.resolve().name.replace("_", " ")


def _tags(
    config: Mapping[str, Any], environment: Mapping[str, Any], metrics: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    about = environment.get("encoder")
    encoder = about.get("name") if isinstance(about, Mapping) else about or config.get("encoder")
    tags = {
        "recipe": config.get("name"),
        "encoder": encoder,
        "data": Path(str(config["data"])).name if config.get("data") else None,
        "evaluated on": split_name(metrics),
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


def _confidence(metrics: Mapping[str, Any]) -> str:
    """Return the coverage of the intervals in per cent, as text."""
    share = (metrics.get("protocol") or {}).get("confidence") or 0.95
    return f"{100 * float(share):g}"


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
