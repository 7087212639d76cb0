"""What the report draws of embeddings: a map, Kendall's tau by pairs, how far along videos are.

It is written beside ``metrics.json`` as ``overview.json``, small enough to be read whole: the
videos themselves are not needed to draw a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.alignment.data import kinds_of, labels_of
from actionspace.alignment.infer import Embedded
from actionspace.alignment.progress_curve import progress_by_phases, progress_by_reference
from actionspace.alignment.timemap import time_map
from actionspace.errors import ActionspaceError
from actionspace.features.track import Track
from actionspace.metrics.kendall_tau import KendallTau, kendalls_tau
from actionspace.report.alignment_view import FORMAT_VERSION
from actionspace.report.embedding_map import planar_map

if TYPE_CHECKING:
    from actionspace.alignment.recipe import AlignmentRecipe
    from actionspace.events.table import Events
    from actionspace.report.time_curves_svg import Curve

MOST_POINTS = 1500
MOST_VIDEOS = 60
MOST_CURVES = 6
MOST_ROWS = 400
WORST = 5


def overview(
    held: Embedded,
    raw: Embedded | None,
    events: Events,
    recipe: AlignmentRecipe,
    phases: Sequence[str],
) -> dict[str, Any]:
    """Return ``overview.json``.

    Of several kinds of videos (``evaluation.by``) it shows the most frequent one, of many videos
    60, of many rows 1500: evenly chosen ones.

    Args:
        held: embeddings of the videos that are reported on.
        raw: the features of the same videos that went into the network.
        events: the manifest, with the phases.
        recipe: how the map is made, which column holds the phases.
        phases: names in the order of their numbers.
    """
    chosen, kind = _chosen(held, events, recipe)
    parts = {"learnt": held.take(chosen)}
    if raw is not None and raw.videos == held.videos:
        parts["raw"] = raw.take(chosen)
    shown = parts["learnt"]
    notes: list[str] = []
    phases, numbers = _numbers(shown, events, recipe.column, phases, notes)
    stride = recipe.evaluation.made().tau_stride
    taus = {name: kendalls_tau(part.embeddings, stride=stride) for name, part in parts.items()}
    return {
        "format_version": FORMAT_VERSION,
        "videos": shown.videos,
        "of": len(held.videos),
        "kind": kind,
        **_maps(parts, numbers, recipe, phases, notes),
        "tau": {name: _summary(tau, shown.videos) for name, tau in taus.items()},
        **_progress(shown, taus["learnt"], events, recipe, phases, notes),
        "notes": notes,
    }


def _chosen(held: Embedded, events: Events, recipe: AlignmentRecipe) -> tuple[list[int], str]:
    """Return the numbers of the videos that are shown, and of which kind they are."""
    kinds = kinds_of(events, recipe.evaluation.by, held.videos)
    most = Counter(sorted(kinds.values())).most_common(1)[0][0] if kinds else ""
    of_kind = [i for i, video in enumerate(held.videos) if kinds.get(video, "") == most]
    return [of_kind[i] for i in _even(len(of_kind), MOST_VIDEOS)], most


def _numbers(
    shown: Embedded, events: Events, column: str, phases: Sequence[str], notes: list[str]
) -> tuple[Sequence[str], np.ndarray]:
    """Return the phases and each row's number, -1 for none; no phases where labels do not fit."""
    if phases:
        pairs = zip(shown.videos, shown.times, strict=True)
        try:
            found = [labels_of(events, column, phases, video, times) for video, times in pairs]
            return phases, np.concatenate(found)
        except ActionspaceError as why:
            notes.append(f"Nothing is shown by phase: {why}")
    return (), np.full(sum(map(len, shown.times)), -1)


def _maps(
    parts: dict[str, Embedded],
    numbers: np.ndarray,
    recipe: AlignmentRecipe,
    phases: Sequence[str],
    notes: list[str],
) -> dict[str, Any]:
    shown = parts["learnt"]
    shares = [times.mean(axis=1) / max(times[-1, 1], 1e-9) for times in shown.times]
    whose = np.repeat(np.arange(len(shares)), [len(video) for video in shares])
    kept = _even(len(whose), MOST_POINTS)
    along = np.concatenate(shares)[kept]
    method, maps = recipe.evaluation.map, {}
    for name, part in parts.items():
        rows = np.concatenate(part.embeddings)[kept]
        try:
            found = planar_map(rows, along, method)
        except ActionspaceError as why:
            notes.append(f"{why} The map shows principal components instead.")
            method = "pca"
            found = planar_map(rows, along, method)
        maps[name] = {"points": np.round(found.points, 4), "shares": found.shares}
    return {
        "method": method,
        "maps": maps,
        "phases": list(phases),
        "rows": {
            "video": whose[kept],
            "time": np.round(along, 4),
            "phase": numbers[kept],
        },
    }


def _summary(tau: KendallTau, videos: Sequence[str]) -> dict[str, Any]:
    """Return the spread of tau over ordered pairs of videos, and the pairs where it is least."""
    defined = tau.pairs[~np.isnan(tau.pairs)]
    order = np.argsort(np.where(np.isnan(tau.pairs), np.inf, tau.pairs), axis=None)
    worst = [divmod(int(i), len(videos)) for i in order[: min(WORST, len(defined))]]
    return {
        "mean": tau.mean,
        "pairs": len(defined),
        "undefined": tau.undefined,
        "quartiles": np.quantile(defined, [0, 0.25, 0.5, 0.75, 1]) if len(defined) else None,
        "worst": [[videos[i], videos[j], float(tau.pairs[i, j])] for i, j in worst],
    }


def _progress(
    shown: Embedded,
    tau: KendallTau,
    events: Events,
    recipe: AlignmentRecipe,
    phases: Sequence[str],
    notes: list[str],
) -> dict[str, Any]:
    """Return how far along some videos are, by the one in which the others find their order."""
    if len(shown.videos) < 2:
        return {"reference": None, "progress": [], "phase_progress": []}
    counted = np.nan_to_num(tau.pairs, nan=-1.0)
    best = int(np.argmax(counted.sum(axis=0)))
    others = [i for i in range(len(shown.videos)) if i != best]
    picked = [others[i] for i in _even(len(others), MOST_CURVES)]
    tracks = {i: _track(shown, i) for i in (best, *picked)}
    try:
        maps = [time_map(tracks[i], tracks[best]) for i in picked]
        curves = [progress_by_reference(found) for found in maps]
    except ActionspaceError as why:
        notes.append(f"How far along each video is could not be told: {why}")
        curves = []
    told = _by_phases([tracks[i] for i in picked], events, recipe.column, phases)
    return {
        "reference": shown.videos[best],
        "progress": [_plain(curve) for curve in curves],
        "phase_progress": [_plain(curve) for curve in told],
    }


def _track(shown: Embedded, index: int) -> Track:
    times = shown.times[index]
    track = Track.of(
        shown.videos[index], shown.embeddings[index], times.mean(axis=1), float(times[-1, 1])
    )
    return track.every(-(-len(times) // MOST_ROWS))


def _by_phases(
    tracks: Sequence[Track], events: Events, column: str, phases: Sequence[str]
) -> list[Curve]:
    """Return how far along videos are by their labels, those that have any."""
    if not phases:
        return []
    rows = events.rows
    rows = rows[(rows["status"] == "event") & rows[column].notna() & rows["start"].notna()]
    rows = rows[rows["video"].isin([track.name for track in tracks])]
    order = [phase for phase in phases if (rows[column] == phase).any()]
    curves = [
        progress_by_phases(
            track.name, rows[rows["video"] == track.name], track.times, order, head=column
        )
        for track in tracks
    ]
    return [curve for curve in curves if np.isfinite(curve.values).any()]


def _plain(curve: Curve) -> dict[str, Any]:
    values = [round(float(v), 4) for v in curve.values]
    return {"video": curve.name, "times": np.round(curve.times, 3), "values": values}


def _even(n: int, most: int) -> list[int]:
    """Return at most so many of the numbers below ``n``, evenly spread."""
    return [i * n // min(n, most) for i in range(min(n, most))]
