"""Frames that carry their own number, so that a test can tell which frame it was given."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 12
BLOCK = 16


def frame(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A 4 x 3 grid of black and white blocks: the bits of ``number``, lowest first."""
    bits = [(number >> k) & 1 for k in range(BITS)]
    grid = np.array(bits, np.uint8).reshape(3, 4) * 200 + 28
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[: 3 * BLOCK, : 4 * BLOCK] = np.kron(grid, np.ones((BLOCK, BLOCK), np.uint8))[..., None]
    return picture


def read(picture: np.ndarray, width: int = 64, height: int = 48) -> int:
    """The number of a frame, at whatever size it comes."""
    sy, sx = picture.shape[0] / height, picture.shape[1] / width
    rows = [int((r + 0.5) * BLOCK * sy) for r in range(3)]
    columns = [int((c + 0.5) * BLOCK * sx) for c in range(4)]
    bits = (picture[np.ix_(rows, columns)].mean(axis=2) > 128).ravel()
    return int(sum(1 << k for k, bit in enumerate(bits) if bit))


def frames(count: int, width: int = 64, height: int = 48) -> Iterator[np.ndarray]:
    """The first ``count`` numbered frames."""
    return (frame(n, width, height) for n in range(count))


def encode(
    path: Path,
    count: int,
    codec: str,
    *,
    options: dict[str, str] | None = None,
    gop: int | None = None,
    b_frames: int | None = None,
    times: list[int] | None = None,
    unit: Fraction = Fraction(1, 25),
    pix_fmt: str = "yuv420p",
) -> Path:
    """Write numbered frames with free stamps: ``times`` in units of ``unit`` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1 / unit, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.time_base = unit
        if gop is not None:
            stream.codec_context.gop_size = gop
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        for n, picture in enumerate(frames(count)):
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shown.pts = times[n] if times else n
            shown.time_base = unit
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path
