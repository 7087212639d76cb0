"""A contact sheet: moments of videos as one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actionspace.errors import UsageError
from actionspace.paths import atomic_path
from actionspace.report.tile import Tile, mosaic

COLUMNS = 4
TILE = Tile(320, 240)
QUALITY = 85


@dataclass(frozen=True)
class Shot:
    """A moment to show: the file, seconds in it, and words under it (left, right)."""

    path: Path
    seconds: float
    left: str
    right: str = ""


def write_contact_sheet(shots: Sequence[Shot], out: str | os.PathLike[str]) -> Path:
    """Write moments row by row as one picture (``.jpg`` or ``.png``).

    Each file is opened once. A frame that cannot be decoded leaves its place empty.

    Raises:
        UsageError: no moments, or another suffix.
        VideoError: a video cannot be opened.
    """
    from PIL import Image

    path = Path(out)
    if not shots or path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise UsageError(f"A contact sheet needs moments and a .jpg or .png file, not '{out}'.")
    tiles: dict[int, np.ndarray] = {}
    for file in dict.fromkeys(shot.path for shot in shots):
        of_file = {k: shot for k, shot in enumerate(shots) if shot.path == file}
        for k, picture in _pictures(file, {k: s.seconds for k, s in of_file.items()}).items():
            tiles[k] = TILE.draw(picture, of_file[k].left, of_file[k].right)
    sheet = mosaic([tiles[k] for k in range(len(shots))], min(COLUMNS, len(shots)))
    with atomic_path(path) as tmp:
        Image.fromarray(sheet).save(tmp, quality=QUALITY)
    return path


def _pictures(file: Path, seconds: dict[int, float]) -> dict[int, np.ndarray | None]:
    """Return the frame shown at each moment of a video, sized for a tile."""
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep

    index = frame_index(file)
    numbers = {k: index.frame_at(time) for k, time in seconds.items()}
    transform = TILE.transform(index.width, index.height)
    frames = dict(sweep(file, set(numbers.values()), transform=transform, index=index))
    return {k: frames.get(number) for k, number in numbers.items()}
