"""Untrimmed videos made of real bouts: clips joined in time, so that the truth is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events

FPS = 25.0


@dataclass(frozen=True)
class Bout:
    """Clips to be shown one after the other, and what happens in them; None = nothing."""

    label: str | None
    clips: tuple[Path, ...]


def bouts(clips: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Cut clips into bouts of 2-6 clips of one class and one session, in a random order.

    Clips of one bout stay in recording order (their names sort by start frame); a single clip
    that is left over joins the bout before it, or is left out where there is none.
    """
    rng = np.random.default_rng(seed)
    result: list[pd.DataFrame] = []
    for _, same in clips.sort_values("video").groupby(["group", "label"], sort=True):
        start = 0
        while len(same) - start >= 2:
            size = min(int(rng.integers(2, 7)), len(same) - start)
            if len(same) - start - size == 1:
                size = size + 1 if size < 6 else size - 1
            result.append(same.iloc[start : start + size])
            start += size
    return [result[i] for i in rng.permutation(len(result))]


def join_bouts(clips: Events, out: Path, seed: int = 0, name: str = "untrimmed.mp4") -> Events:
    """Write ``out/name`` from the clips' bouts and return its exact events.

    Args:
        clips: each a whole video with one label.
        out: folder for the video.
        seed: same seed, same video.
        name: of the video.

    Returns:
        Events of the one untrimmed video: contiguous bouts in seconds.
    """
    table = clips.rows.merge(clips.videos[["video", "group"]], on="video")
    plan = [
        Bout(str(bout["label"].iloc[0]), tuple(clips.path(video) for video in bout["video"]))
        for bout in bouts(table, seed)
    ]
    return join(plan, out, name)


def join(plan: Sequence[Bout], out: Path, name: str, *, size: int | None = None) -> Events:
    """Write a video of bouts, at 25 frames per second, and return its exact events.

    Args:
        plan: the bouts in order; those in which nothing happens make no event.
        out: folder for the video.
        name: of the video.
        size: squeeze every frame to a square of this side; None = clips are of one size.
    """
    from actionspace.events.table import Events
    from actionspace.video.write import write_video

    spans: list[dict[str, Any]] = []

    def frames() -> Iterator[np.ndarray]:
        shown = 0
        for bout in plan:
            start = shown
            for clip in bout.clips:
                for frame in _evenly(clip, size):
                    shown += 1
                    yield frame
            if bout.label is not None:
                span = {"start": start / FPS, "end": shown / FPS, "label": bout.label}
                spans.append({"video": name, **span})
        lasting.append(shown / FPS)

    lasting: list[float] = []
    write_video(out / name, frames(), fps=FPS, options={"preset": "veryfast"})
    video = {"video": name, "duration": lasting[0], "fps": FPS}
    return Events.from_frames(spans, [video], root=out)


def _evenly(clip: Path, size: int | None) -> Iterator[np.ndarray]:
    """Yield the frames of a clip, some of them twice or not at all to make 25 per second."""
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep
    from actionspace.video.transform import FrameTransform

    index = frame_index(clip)
    middles = (np.arange(round(index.duration * FPS)) + 0.5) / FPS
    wanted = np.bincount([index.frame_at(t) for t in middles], minlength=len(index))
    transform = FrameTransform(size=size)
    for number, frame in sweep(clip, np.flatnonzero(wanted), transform=transform, index=index):
        yield from [frame] * int(wanted[number])
