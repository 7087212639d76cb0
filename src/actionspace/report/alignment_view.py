"""What the page shows of embeddings of frames: measures beside those of the features that went in,
maps, Kendall's tau by pairs of videos, and how far along each video is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.errors import DataError
from actionspace.paths import read_json, write_json
from actionspace.report.embedding_map_svg import Dots, dots_by_time
from actionspace.report.figures_svg import N_COLOURS, colour
from actionspace.report.measures import Measure, name_of
from actionspace.report.time_curves_svg import Curve

NAME = "overview.json"
FORMAT_VERSION = 1
MAPS = {"learnt": "Learnt embeddings", "raw": "Features that went in"}
KINDS = {"learnt": "learnt", "raw": "features"}
METHODS = {"pca": "principal components", "umap": "UMAP"}


@dataclass(frozen=True)
class Compared:
    """A measure of the embeddings and the same of the features; None where it is undefined."""

    learnt: Measure
    raw: Measure | None

    @property
    def gain(self) -> str:
        """By how much the embeddings are better, as text."""
        if self.raw is None:
            return ""
        scale = 100.0 if self.learnt.unit else 1.0
        return f"{scale * (self.learnt.value - self.raw.value):+.{1 if self.learnt.unit else 2}f}"


@dataclass(frozen=True, eq=False)
class MapView:
    """One map.

    Attributes:
        title: of what.
        about: what its axes are.
        by_time, by_phase: its points by colour; the latter empty without phases.
        others: whether some points have no phase, or one of those that have no colour.
    """

    title: str
    about: str
    by_time: tuple[Dots, ...]
    by_phase: tuple[Dots, ...]
    others: bool


@dataclass(frozen=True)
class TauView:
    """Kendall's tau over ordered pairs of videos, of the embeddings or the features."""

    title: str
    pairs: int
    undefined: int
    quartiles: tuple[float, ...]
    worst: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, eq=False)
class AlignmentView:
    """The section; see the module. ``which`` says what of the videos is shown."""

    measures: tuple[Compared, ...]
    maps: tuple[MapView, ...]
    tau: tuple[TauView, ...]
    reference: str
    progress: tuple[Curve, ...]
    phase_progress: tuple[Curve, ...]
    which: str
    notes: tuple[str, ...]


def write_overview(run: Path, values: Mapping[str, Any]) -> None:
    """Write ``overview.json`` into a run folder."""
    write_json(run / NAME, dict(values))


def alignment_view(run: Path, metrics: Mapping[str, Any]) -> AlignmentView | None:
    """Return what a run folder says of embeddings; None if it is of something else.

    Raises:
        DataError: ``overview.json`` is damaged, or of a newer version.
    """
    path = run / NAME
    if not path.is_file():
        return None
    found = read_json(path)
    try:
        if found["format_version"] != FORMAT_VERSION:
            raise DataError(f"{path} is of version {found['format_version']}; this is older.")
        return _view(found, metrics)
    except (KeyError, TypeError, ValueError, IndexError) as e:
        raise DataError(f"{path} is damaged ({e!r}); `actionspace evaluate` makes it anew.") from e


def lead(metrics: Mapping[str, Any]) -> str:
    """Return the result in one sentence; nothing where tau was not measured."""
    tau = metrics.get("kendall_tau")
    if not isinstance(tau, int | float):
        return ""
    raw = (metrics.get("raw_features") or {}).get("kendall_tau")
    beside = f" ({raw:.2f} for the features that went in)" if raw is not None else ""
    split = (metrics.get("protocol") or {}).get("split")
    count = (metrics.get("videos") or {}).get(split)
    return (
        f"In {count} videos of the split {split}, the nearest frames of another video keep the "
        f"order of time to a Kendall\u2019s tau of {tau:.2f}{beside}."
    )


def _view(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> AlignmentView:
    shown, of, kind = len(found["videos"]), found["of"], found["kind"]
    which = f"all {of} videos" if shown == of else f"{shown} of {of} videos"
    return AlignmentView(
        measures=_measures(metrics),
        maps=tuple(
            _map(found, name, title) for name, title in MAPS.items() if name in found["maps"]
        ),
        tau=tuple(_tau(found["tau"][n], title) for n, title in KINDS.items() if n in found["tau"]),
        reference=found["reference"] or "",
        progress=_curves(found["progress"]),
        phase_progress=_curves(found["phase_progress"]),
        which=f"{which}, those of '{kind}'" if kind else which,
        notes=tuple(str(note) for note in (*found["notes"], *(metrics.get("notes") or ()))),
    )


def _measures(metrics: Mapping[str, Any]) -> tuple[Compared, ...]:
    """Return the measures in their order; those under a second name are told once."""
    raw = metrics.get("raw_features") or {}
    found: dict[tuple[float, float | None], Compared] = {}
    for key, value in metrics.items():
        if _known(value):
            beside = _measure(key, raw[key]) if _known(raw.get(key)) else None
            pair = (value, beside.value if beside else None)
            found.setdefault(pair, Compared(_measure(key, value), beside))
    return tuple(found.values())


def _measure(key: str, value: float) -> Measure:
    return Measure(key, name_of(key), float(value))


def _known(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _map(found: Mapping[str, Any], name: str, title: str) -> MapView:
    one, rows = found["maps"][name], found["rows"]
    points = np.asarray(one["points"], np.float64).reshape(-1, 2)
    numbers = np.asarray(rows["phase"], np.int64)
    about = METHODS[found["method"]]
    if one["shares"]:
        about += f", which show {sum(one['shares']):.0%} of the variance"
    by_phase, others = _by_phase(points, numbers, found["phases"])
    times = np.asarray(rows["time"], np.float64)
    return MapView(title, about, tuple(dots_by_time(points, times)), by_phase, others)


def _by_phase(
    points: np.ndarray, numbers: np.ndarray, phases: Sequence[str]
) -> tuple[tuple[Dots, ...], bool]:
    """Return points by phase; beyond as many as there are colours, the most frequent ones."""
    counts = Counter(numbers[numbers >= 0].tolist())
    kept = sorted(phase for phase, _ in counts.most_common(N_COLOURS))
    if not kept:
        return (), False
    rest = ~np.isin(numbers, kept)
    groups = [Dots("rest", "another phase, or none", points[rest])]
    groups += [
        Dots(colour(i), str(phases[phase]), points[numbers == phase], named=True)
        for i, phase in enumerate(kept)
    ]
    return tuple(groups), bool(rest.any())


def _tau(found: Mapping[str, Any], title: str) -> TauView:
    return TauView(
        title,
        int(found["pairs"]),
        int(found["undefined"]),
        tuple(float(v) for v in found["quartiles"] or ()),
        tuple((str(a), str(b), float(value)) for a, b, value in found["worst"]),
    )


def _curves(found: Sequence[Mapping[str, Any]]) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            str(one["video"]),
            np.asarray(one["times"], np.float64),
            np.asarray([math.nan if v is None else v for v in one["values"]], np.float64),
        )
        for one in found
    )
