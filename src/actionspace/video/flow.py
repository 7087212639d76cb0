"""Optical flow: how far each pixel moves from one frame of a video to the next.

The flow of frame n is the displacement, in pixels of the resized picture, from frame n to frame
n + 1; the last frame of a video has the flow of the one before it. It is kept as pictures uint8
``[H, W, 2]`` (to the right, downwards), as published flow frames are:

    stored = round(255 * (clip(pixels, -20, 20) + 20) / 40)

so a step is 40/255 = 0.157 pixels, no movement is 128 (+0.078 pixels), and ``stored / 127.5 - 1``
is the flow over 20 pixels, in [-1, 1], as two-stream networks take it (Carreira and Zisserman,
2017). Mirroring a picture left and right turns the first channel to ``255 - stored``, exactly.

It is computed by dense inverse search (Kroeger et al., 2016) of OpenCV, which is an optional extra.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from actionspace.errors import UsageError, VideoError, did_you_mean

#: Pixels at which flow is cut off, in either direction.
BOUND = 20.0

#: Pixels that dense inverse search needs on the longer side.
SMALLEST = 12

#: Names of the ways to compute flow: dense inverse search, fastest first.
FLOWS = ("dis-ultrafast", "dis-fast", "dis-medium")

#: The way that is taken where nobody chooses.
FLOW = "dis-medium"


@dataclass(frozen=True)
class Flow:
    """How flow is computed.

    Attributes:
        method: one of ``FLOWS``. The finer ones see smaller things and take longer.
        fps: frames per second whose steps the flow is to show; None = the video's own. Between
            neighbours of a 50 fps video things move half as far as at 25 fps; the flow is scaled
            (before it is cut off) to what it would be at this rate.
    """

    method: str = FLOW
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.method not in FLOWS:
            hint = did_you_mean(self.method, FLOWS)
            raise UsageError(f"flow '{self.method}' is none of {', '.join(FLOWS)}.{hint}")

    def gain(self, fps: float) -> float:
        """Return what the flow of a video of ``fps`` frames per second is multiplied with."""
        return fps / self.fps if self.fps else 1.0


def flow_pictures(
    pictures: Generator[tuple[int, np.ndarray]],
    wanted: np.ndarray,
    total: int,
    flow: Flow,
    fps: float,
) -> Generator[tuple[int, np.ndarray]]:
    """Turn a sweep over RGB pictures into one over flow.

    Args:
        pictures: frame numbers, rising, and pictures uint8 ``[H, W, 3]``: those of
            :func:`frames_for`. Where one of a pair is missing, so is its flow.
        wanted: frames whose flow is asked for, rising.
        total: frames of the video.
        flow: how.
        fps: frames per second of the video.

    Yields:
        Frame number and stored flow uint8 ``[H, W, 2]``, each once, in order.
    """
    engine, gain = _Engine(flow.method), flow.gain(fps)
    asked = set(wanted.tolist())
    last = total - 1
    before, previous = -2, np.zeros(0, np.uint8)
    try:
        for number, picture in pictures:
            grey = engine.grey(picture)
            follows = number == before + 1
            if total == 1:
                yield number, store_flow(np.zeros((*grey.shape, 2), np.float32))
            elif follows and (before in asked or (number == last and last in asked)):
                stored = store_flow(engine(previous, grey) * gain)
                if before in asked:
                    yield before, stored
                if number == last and last in asked:
                    yield last, stored
            before, previous = number, grey
    finally:
        pictures.close()


def frames_for(wanted: np.ndarray, total: int) -> np.ndarray:
    """Return the frames that the flow of ``wanted`` is computed from, rising."""
    start = np.clip(wanted, 0, max(total - 2, 0))
    return np.unique(np.concatenate([start, np.minimum(start + 1, total - 1)]))


def store_flow(pixels: np.ndarray) -> np.ndarray:
    """Return flow in pixels as stored, uint8."""
    scaled = (np.clip(pixels, -BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))
    return np.asarray(np.rint(scaled), np.uint8)


def read_flow(stored: np.ndarray) -> np.ndarray:
    """Undo :func:`store_flow`: float32 pixels, right to within half a step."""
    return (2 * np.asarray(stored, np.float32) - 255) * np.float32(BOUND / 255)


class _Engine:
    """Flow from one grey picture to the next; not to be shared between threads."""

    def __init__(self, method: str) -> None:
        self._cv2 = cv2 = _opencv()
        preset = method.removeprefix("dis-").upper()
        self._dis: Any = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset}"))

    def grey(self, picture: np.ndarray) -> np.ndarray:
        return np.asarray(self._cv2.cvtColor(picture, self._cv2.COLOR_RGB2GRAY))

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if max(first.shape) < SMALLEST:
            raise VideoError(
                f"Optical flow needs pictures of at least {SMALLEST} pixels; these have "
                f"{first.shape[1]} x {first.shape[0]}. Raise short_side or size."
            )
        return np.asarray(self._dis.calc(first, second, None))


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as e:
        raise UsageError(
            "Optical flow is computed by OpenCV, which is not here. Install it with the extra: "
            "pip install 'actionspace[flow]'."
        ) from e
    return cv2
