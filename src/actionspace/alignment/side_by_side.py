"""Videos beside each other that run in step with the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from actionspace.alignment.match import Ints
from actionspace.alignment.timemap import TimeMap
from actionspace.errors import UsageError
from actionspace.report.tile import Tile, mosaic
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.sweep import sweep
from actionspace.video.write import write_video

COLUMNS = 4
#: Tiles are as wide as the widest video, up to this much wider than high.
WIDEST = 16 / 9


def write_side_by_side(
    reference: Path,
    others: Sequence[tuple[Path, TimeMap]],
    out: str | Path,
    *,
    height: int = 240,
) -> Path:
    """Write a video (H.264) in which each video shows the moment that matches the first one's.

    It has the frames of the first, each shown as long as there; no sound. Under each picture stand
    the video's name and its own time. Every video is decoded once from front to back, so that one
    frame of each is in memory, whatever the lengths; a frame stays until the next one is due.

    Args:
        reference: the first video.
        others: the further ones, each with the map from the first to it.
        out: the file to write.
        height: of one picture in pixels.

    Raises:
        UsageError: there is no other video, or a height too small for words.
        VideoError: a video cannot be read, or the result not written.
    """
    from actionspace.progress import progress

    if not others or height < 32:
        raise UsageError("Side by side needs two videos or more, at least 32 pixels high.")
    first = frame_index(reference)
    middles = first.times.mean(axis=1)
    indices = [first, *[frame_index(path) for path, _ in others]]
    moments = [middles, *[found.at(middles) for _, found in others]]
    names = [others[0][1].source.name, *[found.target.name for _, found in others]]
    shape = min(max(i.width / i.height for i in indices), WIDEST)
    tile = Tile(2 * round(shape * height / 2), height)
    frames = [
        _in_step(index, _frames_at(index, times), tile)
        for index, times in zip(indices, moments, strict=True)
    ]

    def pictures() -> Iterator[np.ndarray]:
        together = zip(*frames, *moments, strict=True)
        for row in progress(together, total=len(first), what="side by side", unit="frame"):
            shown, at = row[: len(names)], row[len(names) :]
            tiles = [
                tile.draw(picture, name, f"{time:.1f} s")
                for picture, name, time in zip(shown, names, at, strict=True)
            ]
            yield mosaic(tiles, min(COLUMNS, len(tiles)))

    options = {"preset": "veryfast"}
    return write_video(out, pictures(), first.fps, options=options, times=first.times)


def _frames_at(index: FrameIndex, moments: np.ndarray) -> Ints:
    """Return the frame shown at each moment (seconds), the first or last one outside."""
    at = np.searchsorted(index.times[:, 0], moments, "right") - 1
    return np.clip(at, 0, len(index) - 1)


def _in_step(index: FrameIndex, numbers: Ints, tile: Tile) -> Iterator[np.ndarray | None]:
    """Yield for each number, never falling, the last frame that is not after it."""
    transform = tile.transform(index.width, index.height)
    decoded = sweep(index.path, np.unique(numbers), transform=transform, index=index)
    shown: np.ndarray | None = None
    following = next(decoded, None)
    for number in numbers.tolist():
        while following is not None and following[0] <= number:
            shown = following[1]
            following = next(decoded, None)
        yield shown
