"""Cutting ChimpBehave mini-clips: 20 frames around one animal, 224 x 224, never stretched.

The published tool drops frames near image borders (its writer expects 224 x 224 and gets less) and
squeezes crops that are not square. Here the square is moved into the frame instead, every frame of
a window is written, and windows, names and the size of the square stay as published.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actionspace.datasets.sources import find_videos, list_file, need_file
from actionspace.errors import DataError
from actionspace.events.formats.manifest import read_lines
from actionspace.paths import read_json
from actionspace.progress import bar

Box = tuple[int, int, int, int]
_CRF = 18  # clips are encoded a second time


@dataclass(frozen=True)
class Window:
    """Frames ``first`` to ``last`` (inclusive) of a video and the union box of the animal."""

    first: int
    last: int
    union: tuple[float, float, float, float]


def cut_miniclips(source: Path, out: Path, *, frames: int = 20, size: int = 224) -> list[Path]:
    """Cut every video of ``labels.csv`` and return the paths of the clips, new or kept.

    ``labels.csv`` (with a header) holds video name and class; ``<video>_bboxes.json`` beside or
    elsewhere under ``source`` holds per frame ``track_bboxes[0]`` = rows ``[id, x1, y1, x2, y2,
    ...]`` of which id 0 is followed. Windows of ``frames`` frames follow one another; an
    incomplete last one is left out, and so is one without a box.

    Raises:
        DataError: labels, boxes or a video are missing or of another form; the row is named.
    """
    table = need_file(source, "labels.csv")
    videos = find_videos(source)
    made: list[Path] = []
    for row, name, label in bar(list(_labels(table)), what="cut", unit="video"):
        where = f"{table}, row {row}"
        video = videos.get(name) or next((p for n, p in videos.items() if Path(n).stem == name), "")
        if not video:
            raise DataError(f"{where}: there is no video '{name}' under {source}.")
        boxes = list_file(source, f"{Path(video).stem}_bboxes.json")
        boxes = boxes or list_file(source, f"{Path(video).name}_bboxes.json")
        if boxes is None:
            raise DataError(f"{where}: there is no {Path(video).stem}_bboxes.json under {source}.")
        stem = Path(video).stem
        stem = stem if stem.endswith(f"_{label}") else f"{stem}_{label}"
        windows = {
            out / f"{stem}_clip_{w.first}_{w.last}.mp4": w
            for w in windows_of(read_boxes(boxes), frames)
        }
        made += windows
        todo = {path: w for path, w in windows.items() if not path.exists()}
        if todo:
            _cut(source / video, todo, size)
    return made


def _labels(table: Path) -> Iterator[tuple[int, str, str]]:
    records = list(csv.reader(read_lines(table)))
    for row, cells in enumerate(records[1:], start=2):
        if any(cell.strip() for cell in cells):
            if len(cells) < 2 or not cells[0].strip() or not cells[1].strip():
                raise DataError(f"{table}, row {row}: expected a video name and a class.")
            yield row, cells[0].strip(), cells[1].strip()


def read_boxes(path: Path) -> list[tuple[float, float, float, float] | None]:
    """Return the box ``(x1, y1, x2, y2)`` of track 0 per frame, None where it is not seen.

    Raises:
        DataError: the file has another form; the frame is named.
    """
    found: list[tuple[float, float, float, float] | None] = []
    for number, frame in enumerate(read_json(path)):
        try:
            tracks = frame["track_bboxes"][0]
            row = next((r for r in tracks if int(r[0]) == 0), None)
            found.append(None if row is None else tuple(float(v) for v in row[1:5]))  # type: ignore[arg-type]
        except (KeyError, IndexError, TypeError, ValueError) as e:
            raise DataError(
                f"{path}: frame {number} has no 'track_bboxes' of the usual form."
            ) from e
    return found


def windows_of(
    boxes: list[tuple[float, float, float, float] | None], frames: int
) -> Iterator[Window]:
    """Yield the whole windows of ``frames`` frames in which the animal is seen."""
    for first in range(0, len(boxes) - frames + 1, frames):
        seen = np.array([b for b in boxes[first : first + frames] if b is not None])
        if len(seen):
            low, high = seen[:, :2].min(axis=0), seen[:, 2:].max(axis=0)
            union = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            yield Window(first, first + frames - 1, union)


def square(union: tuple[float, float, float, float], width: int, height: int, size: int) -> Box:
    """Return ``(x, y, side, side)``: the square around the union's centre, moved into the frame.

    Its side is the longer side of the union, at least ``size`` and at most what the frame has.
    """
    x1, y1, x2, y2 = union
    side = min(int(max(x2 - x1, y2 - y1, size)), width, height)
    x = round((x1 + x2 - side) / 2)
    y = round((y1 + y2 - side) / 2)
    return min(max(x, 0), width - side), min(max(y, 0), height - side), side, side


def _cut(video: Path, windows: dict[Path, Window], size: int) -> None:
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep
    from actionspace.video.transform import FrameTransform, resize_bilinear
    from actionspace.video.write import write_video

    index = frame_index(video)
    last = max(w.last for w in windows.values())
    if last >= len(index):
        raise DataError(
            f"{video} has {len(index)} frames, its boxes speak of frame {last}: do they belong "
            f"together?"
        )
    todo = sorted(windows.items(), key=lambda item: item[1].first)
    wanted = np.concatenate([np.arange(w.first, w.last + 1) for _, w in todo])
    pictures = sweep(video, wanted, transform=FrameTransform(), index=index)
    for path, window in todo:
        clip = []
        for _ in range(window.first, window.last + 1):
            _, picture = next(pictures)
            x, y, side, _ = square(window.union, picture.shape[1], picture.shape[0], size)
            part = picture[y : y + side, x : x + side]
            clip.append(part if side == size else resize_bilinear(part, size, size))
        write_video(path, clip, index.fps, crf=_CRF)
