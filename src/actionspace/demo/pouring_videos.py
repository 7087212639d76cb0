"""Videos of pouring at varying speed, seen by random cameras, with the truth of each frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.demo.pouring import PHASES, draw_scene

if TYPE_CHECKING:
    from actionspace.events.table import Events

FPS = 25.0
SIZE = (192, 144)
#: Seconds of a phase: the shortest and the longest.
LASTING = (0.6, 2.6)
#: Pieces of equal length into which a phase is cut, each with a speed of its own.
SPEEDS = 6
#: How likely nothing moves in such a piece.
PAUSE = 0.2
#: x264's macroblock tree, and the number of its threads, make other bytes of the same frames.
ENCODING = {"preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}


def pouring_videos(out: Path, counts: Mapping[str, int], *, seed: int = 0) -> Events:
    """Write videos of each split and return their events; column ``phase`` is contiguous.

    Args:
        out: folder for the videos.
        counts: videos of ``train`` and ``test``, whose cameras and colours differ.
        seed: same seed, same videos.
    """
    from actionspace.events.table import Events
    from actionspace.progress import progress
    from actionspace.video.write import write_video

    names = [(split, i) for split, count in counts.items() for i in range(count)]
    rows, videos = [], []
    for split, i in progress(names, what="videos", unit="video"):
        rng = np.random.default_rng((seed, *split.encode(), i))
        name = f"{split}_{i + 1:02d}.mp4"
        lengths = phase_lengths(rng)
        write_video(out / name, _frames(rng, split, lengths), FPS, options=ENCODING)
        ends = np.cumsum(lengths) / FPS
        starts = [0.0, *ends[:-1].tolist()]
        rows += [
            {"video": name, "start": start, "end": end, "phase": phase}
            for phase, start, end in zip(PHASES, starts, ends.tolist(), strict=True)
        ]
        about = {"video": name, "split": split, "group": Path(name).stem}
        videos.append(about | {"duration": ends[-1], "fps": FPS})
    return Events.from_frames(rows, videos, root=out, heads=("phase",))


def phase_lengths(rng: np.random.Generator) -> list[int]:
    """Draw how many frames each phase lasts; short ones are as likely as long ones."""
    shortest, longest = LASTING
    seconds = shortest * (longest / shortest) ** rng.uniform(size=len(PHASES))
    return [round(FPS * length) for length in seconds.tolist()]


def time_warp(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return what share of a phase is over at each of its frames: rising, uneven, with pauses."""
    speeds = rng.lognormal(0, 0.6, SPEEDS) * (rng.uniform(size=SPEEDS) > PAUSE)
    speeds[0] += 1e-3  # one at least moves
    done = np.concatenate([[0.0], np.cumsum(speeds)]) / speeds.sum()
    at = (np.arange(frames) + 0.5) / frames
    return np.asarray(np.interp(at, np.linspace(0, 1, SPEEDS + 1), done))


def _frames(rng: np.random.Generator, split: str, lengths: list[int]) -> Iterator[np.ndarray]:
    scene = draw_scene(rng, split, SIZE)
    for phase, frames in enumerate(lengths):
        for done in time_warp(rng, frames):
            yield scene.picture(phase, float(done), rng)
