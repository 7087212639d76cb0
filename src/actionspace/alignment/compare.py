"""Aligning videos with a first one: a folder of tables, curves and a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.alignment.anomaly import anomaly_score
from actionspace.alignment.match import Method
from actionspace.alignment.progress_curve import progress_by_phases, progress_by_reference
from actionspace.alignment.side_by_side import write_side_by_side
from actionspace.alignment.timemap import TimeMap, time_map, time_table, write_table
from actionspace.alignment.transfer import transfer_phases
from actionspace.errors import UsageError
from actionspace.features.track import Track
from actionspace.paths import write_text
from actionspace.report.time_curves_svg import Curve, standalone, time_curves

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events


@dataclass(frozen=True, eq=False)
class Comparison:
    """Videos aligned with a reference.

    Attributes:
        forth: from the reference to each other video.
        back: from each other video to the reference.
    """

    forth: tuple[TimeMap, ...]
    back: tuple[TimeMap, ...]

    @property
    def progress(self) -> tuple[Curve, ...]:
        """How far along each video is, in shares of the reference's time."""
        return tuple(progress_by_reference(found) for found in self.back)

    @property
    def anomaly(self) -> tuple[Curve, ...]:
        """How far each video is from the aligned reference."""
        return tuple(anomaly_score([found]) for found in self.back)


def compare(
    reference: Track,
    others: Sequence[Track],
    *,
    method: Method = "dtw",
    distance: str = "cosine",
    gamma: float = 0.1,
) -> Comparison:
    """Align videos with a reference, each way; see :func:`~.timemap.time_map`.

    Raises:
        UsageError: no other video, or a name given twice; see also there.
    """
    require_others([reference.name, *[track.name for track in others]])

    def mapped(source: Track, target: Track) -> TimeMap:
        return time_map(source, target, method, distance=distance, gamma=gamma)

    return Comparison(
        tuple(mapped(reference, track) for track in others),
        tuple(mapped(track, reference) for track in others),
    )


def require_others(videos: Sequence[str]) -> None:
    """Refuse a reference without other videos.

    Raises:
        UsageError: fewer than two videos, or one twice.
    """
    if len(videos) < 2 or len(set(videos)) < len(videos):
        raise UsageError(
            f"Aligning needs a reference and one other video or more; got {', '.join(videos)}."
        )


def write_comparison(
    found: Comparison,
    out: str | Path,
    *,
    files: Sequence[Path] | None = None,
    labels: Events | None = None,
    head: str = "phase",
) -> list[Path]:
    """Write what was found into a folder and return the files.

    ``time_map.csv`` (reference to the others), ``curves.csv`` with ``progress.svg`` and
    ``anomaly.svg`` (each other video against the reference); with ``labels`` the phases of the
    others as ``phases.csv``, and ``phase_progress.svg``; with ``files`` the videos in step,
    ``side_by_side.mp4``.

    Args:
        found: the alignment.
        out: the folder.
        files: of the reference and the others, in that order; None writes no video.
        labels: events that hold the phases of the reference.
        head: their column.

    Raises:
        DataError: the reference has no phases in ``labels``.
        VideoError: a file cannot be read.
    """
    folder = Path(out)
    drawings = {
        "progress": (found.progress, "share of the reference's time"),
        "anomaly": (found.anomaly, "distance to the aligned reference"),
    }
    written = [write_table(time_table(found.forth), folder / "time_map.csv")]
    if labels is not None:
        phases = transfer_phases(labels, found.back, head=head)
        written.append(phases.to_csv(folder / "phases.csv"))
        through = phase_progress(found, labels, phases, head)
        drawings["phase_progress"] = (through, "share of the phases")
    curves = curve_table({name: of for name, (of, _) in drawings.items()})
    written.append(write_table(curves, folder / "curves.csv"))
    for name, (of, title) in drawings.items():
        written.append(folder / f"{name}.svg")
        write_text(written[-1], standalone(time_curves(of, title)))
    if files is not None:
        pairs = list(zip(files[1:], found.forth, strict=True))
        written.append(write_side_by_side(files[0], pairs, folder / "side_by_side.mp4"))
    return written


def phase_progress(
    found: Comparison, labels: Events, phases: Events, head: str
) -> tuple[Curve, ...]:
    """Return how far each video is through the reference's phases, by those handed on to it."""
    reference = labels.for_video(found.back[0].target.name).sort_values("start", kind="stable")
    reference = reference[reference["status"] == "event"]
    order = [str(name) for name in reference[head].dropna().unique()]
    return tuple(
        progress_by_phases(
            back.source.name,
            phases.for_video(back.source.name),
            back.source.times,
            order,
            head=head,
        )
        for back in found.back
    )


def curve_table(columns: Mapping[str, Sequence[Curve]]) -> pd.DataFrame:
    """Return curves of the same videos as a table: ``video``, ``time`` (seconds), the values."""
    import pandas as pd

    return pd.concat(
        [
            pd.DataFrame(
                {"video": several[0].name, "time": several[0].times}
                | {name: curve.values for name, curve in zip(columns, several, strict=True)}
            )
            for several in zip(*columns.values(), strict=True)
        ],
        ignore_index=True,
    )


def summary(found: Comparison) -> list[dict[str, str]]:
    """Return a line per video: how long it is and how far it is from the reference."""
    return [
        {
            "video": back.source.name,
            "seconds": f"{back.source.duration:.2f}",
            "mean distance": f"{np.mean(back.distances):.4f}",
            "largest": f"{np.max(back.distances):.4f}",
            "at": f"{back.source.times[int(np.argmax(back.distances))]:.2f} s",
        }
        for back in found.back
    ]
