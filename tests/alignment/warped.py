"""Made-up videos of one course of events at different speeds: what an alignment must find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.features.track import Track
from actionspace.video.write import write_video

FPS = 20.0
SPEEDS = {"a.mp4": 1.0, "b.mp4": 1.7, "c.mp4": 0.6}
"""The share of the course that is over after a share s of the video is s ** speed."""
FRAMES = {"a.mp4": 80, "b.mp4": 120, "c.mp4": 60}
SIZES = {"a.mp4": (64, 48), "b.mp4": (48, 64), "c.mp4": (80, 40)}


def course(video: str) -> np.ndarray:
    """How far the course is at each frame, 0 .. 1."""
    share: np.ndarray = np.linspace(0, 1, FRAMES[video]) ** SPEEDS[video]
    return share


def embedded(share: np.ndarray) -> np.ndarray:
    """A curve that never comes near itself again, ``[N, 16]`` float32."""
    angles = np.outer(share, 0.4 + 0.35 * np.arange(8)) * np.pi
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def times_of(video: str) -> np.ndarray:
    edges = np.arange(FRAMES[video] + 1) / FPS
    return np.stack([edges[:-1], edges[1:]], axis=1)


def track(video: str) -> Track:
    times = times_of(video)
    return Track.of(video, embedded(course(video)), times.mean(axis=1), float(times[-1, 1]))


def true_time(source: str, target: str) -> np.ndarray:
    """When each frame of one video happens in another, seconds."""
    share = course(source) ** (1 / SPEEDS[target])
    return (share * (FRAMES[target] - 1) + 0.5) / FPS


def make_store(path: Path) -> FeatureStore:
    store = FeatureStore.create(path, {"encoder": "made-up", "dim": 16, "views": 1})
    for k, video in enumerate(FRAMES):
        times = times_of(video)
        rows = embedded(course(video))
        meta = {"duration": float(times[-1, 1])}
        store.put(video, f"{k:032x}", VideoFeatures(rows, times, meta))
    store.save_index()
    return store


def make_videos(folder: Path) -> Path:
    """Videos in which a bright bar moves from left to right as the course goes on."""
    for video in FRAMES:
        width, height = SIZES[video]

        def pictures(
            video: str = video, width: int = width, height: int = height
        ) -> Iterator[np.ndarray]:
            for share in course(video):
                picture = np.full((height, width, 3), 30, np.uint8)
                left = round(share * (width - 8))
                picture[:, left : left + 8] = 230
                yield picture

        write_video(folder / video, pictures(), FPS, crf=10, options={"preset": "ultrafast"})
    return folder
