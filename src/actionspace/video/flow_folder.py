"""Optical flow that somebody else computed: a folder with the pictures of both directions.

As EPIC-KITCHENS and temporal segment networks publish it: grey pictures ``u/frame_0000000001.jpg``
(to the right) and ``v/frame_0000000001.jpg`` (downwards), stored as :mod:`actionspace.video.flow`
says. ``fps.txt`` beside ``u`` and ``v`` tells how many flow pictures there are per second: half the
frame rate where flow was taken from every second frame. Such a folder is a video whose clips show
this flow as it is; a nominal rate chooses pictures but does not make their flow longer.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from actionspace.errors import VideoError
from actionspace.video.frame_folder import picture_count
from actionspace.video.index import FrameIndex
from actionspace.video.reader import Stopwatch
from actionspace.video.sweep import SweepStats, sweep
from actionspace.video.transform import FrameTransform


def stored_flow(
    index: FrameIndex,
    wanted: np.ndarray,
    transform: FrameTransform,
    threads: int,
    watch: Stopwatch,
    stats: SweepStats,
) -> Generator[tuple[int, np.ndarray]]:
    """Yield frame number and stored flow uint8 ``[H, W, 2]`` for each wanted frame, in order.

    A picture that cannot be decoded in one direction is left out in both.

    Raises:
        VideoError: the encoder wants pictures, or one direction has more pictures than the other.
    """
    if transform.flow is None:
        raise VideoError(f"{index.path}: holds optical flow; give it to an encoder of flow.")
    count = picture_count(index.path / "v")
    if count != len(index):
        raise VideoError(f"{index.path}: there are {len(index)} pictures in u and {count} in v.")
    each = SweepStats(), SweepStats()
    u, v = (
        sweep(
            index.path / name,
            wanted,
            transform=replace(transform, flow=None),
            index=replace(index, path=index.path / name),
            threads=threads,
            watch=watch,
            stats=part,
        )
        for name, part in zip("uv", each, strict=True)
    )
    try:
        down = next(v, None)
        for number, right in u:
            while down is not None and down[0] < number:
                down = next(v, None)
            _account(stats, each)
            if down is not None and down[0] == number:
                stats.converted += 1
                yield number, np.stack([right[..., 0], down[1][..., 0]], axis=-1)
        _account(stats, each)
    finally:
        u.close()
        v.close()


def _account(stats: SweepStats, each: tuple[SweepStats, SweepStats]) -> None:
    stats.planned = sum(part.planned for part in each)
    stats.decoded = sum(part.decoded for part in each)
    stats.missing = sum(part.missing for part in each)
    stats.damage = "; ".join(dict.fromkeys(part.damage for part in each if part.damage))
