"""An untrimmed video made of real bouts: unseen clips joined, so that the truth is exact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events

FPS = 25.0


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


def join_bouts(clips: Events, out: Path, seed: int = 0) -> Events:
    """Write ``out/untrimmed.mp4`` from the clips' bouts and return its exact events.

    Args:
        clips: clips of the test split, each a whole video with one label.
        out: folder for the video.
        seed: same seed, same video.

    Returns:
        Events of the one untrimmed video: contiguous bouts in seconds.
    """
    import pandas as pd

    from actionspace.events.table import Events
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep
    from actionspace.video.transform import FrameTransform
    from actionspace.video.write import write_video

    table = clips.rows.merge(clips.videos[["video", "group"]], on="video")
    plan = bouts(table, seed)
    spans: list[dict[str, object]] = []

    def frames() -> Iterator[np.ndarray]:
        shown = 0
        for bout in plan:
            start = shown
            for video in bout["video"]:
                path = clips.path(video)
                index = frame_index(path)
                whole = range(len(index))
                for _, frame in sweep(path, whole, transform=FrameTransform(), index=index):
                    shown += 1
                    yield frame
            label = bout["label"].iloc[0]
            spans.append({"start": start / FPS, "end": shown / FPS, "label": label})

    write_video(out / "untrimmed.mp4", frames(), fps=FPS)
    rows = pd.DataFrame(spans).assign(video="untrimmed.mp4")
    return Events.from_frames(rows, root=out)
