"""Videos with phases that one or several annotators marked, in the layout of TCC's tools.

``labels.json`` says ``{video: {annotator: {"0": [[start, end]], "1": ...}}}``, videos by file name
without suffix; the annotators' means are taken, and phases follow each other without gaps over the
whole video (:func:`~actionspace.events.phases.merge_annotators`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actionspace.datasets.sources import find_videos, need_file
from actionspace.errors import DataError, did_you_mean
from actionspace.events.phases import merge_annotators, phase_events, phases_at
from actionspace.events.table import Events
from actionspace.paths import read_json
from actionspace.progress import bar


def manifest(source: Path, *, labels: str = "labels.json", unit: float = 1e-6) -> Events:
    """Return the manifest, phases by number in the column ``phase``; videos have no split yet.

    Args:
        source: the folder with the videos and the labels.
        labels: name of the file.
        unit: seconds that 1 in the file stands for; 1e-6 = microseconds.

    Raises:
        DataError: another layout, a listed video is not there, or an annotator left out a phase.
    """
    from actionspace.video.index import frame_index

    file = need_file(source, labels)
    videos = {Path(name).stem: path for name, path in find_videos(source).items()}
    rows: list[Any] = []
    table: list[dict[str, Any]] = []
    for name, annotators in bar(_entries(file), what="index", unit="video"):
        if name not in videos:
            hint = did_you_mean(name, videos)
            raise DataError(f"{file}: there is no video '{name}' under {source}.{hint}")
        try:
            segments = merge_annotators(annotators)
        except (DataError, AttributeError, TypeError, ValueError) as e:
            raise DataError(
                f"{file}: {name} is not {{annotator: {{phase: [[start, end]]}}}} ({e})."
            ) from e
        index = frame_index(source / videos[name])
        seconds = {phase: (start * unit, end * unit) for phase, (start, end) in segments.items()}
        phases = phases_at(seconds, index.times[:, 0])
        found = phase_events(phases, index.times, videos[name])
        rows += found.to_dict("records")
        table.append(
            {
                "video": videos[name],
                "duration": index.duration,
                "fps": index.fps,
                "frames": len(index),
            }
        )
    return Events.from_frames(rows, table, source, ("phase",))


def _entries(file: Path) -> list[tuple[str, Any]]:
    content = read_json(file)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{file}: expected an object {{video: {{annotator: ...}}}}.")
    return list(content.items())
