"""Write frames as a video file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from actionspace.errors import VideoError
from actionspace.paths import atomic_path

#: Unit of uneven frame times in seconds; a whole number of them lasts a frame of the usual rates.
_TICK = Fraction(1, 90_000)
_HAS_CRF = {"libx264", "libx265", "libvpx", "libvpx-vp9", "libaom-av1", "libsvtav1"}


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float,
    *,
    codec: str = "libx264",
    crf: int = 23,
    gop: int | None = None,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    options: Mapping[str, str] | None = None,
    times: np.ndarray | None = None,
) -> Path:
    """Encode ``frames`` (uint8 ``[H, W, 3]`` RGB, all of one size) at ``fps`` frames per second.

    The container follows from the suffix of ``path``, which is replaced only when the whole file
    is there. Where ``pix_fmt`` halves the colour planes and a side is odd, the last row or column
    is repeated once, because encoders refuse such sizes. ``gop`` is the distance between key
    frames (default: the encoder's own, 250 for x264); ``rotation`` is stored as metadata, in
    degrees counter-clockwise; ``options`` goes to the encoder (``{"preset": "fast"}``). Frames
    that are not evenly spaced have ``times`` ``[N, 2]``, the start and end of each in seconds, and
    ``fps`` is their mean rate; containers that hold even frames only (AVI) move them.

    Raises:
        VideoError: no frames, frames of different sizes, or an encoder that refuses them.
    """
    import av
    from av.codec.context import Flags
    from av.video.stream import VideoStream

    path = Path(path)
    rate = Fraction(fps).limit_denominator(100_000)
    settings = {**({"crf": str(crf)} if codec in _HAS_CRF else {}), **(options or {})}
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise VideoError(f"Cannot write {path}: there are no frames.")
    first = _checked(first, first.shape, path)
    try:
        with atomic_path(path) as tmp, av.open(os.fspath(tmp), "w") as container:
            stream = cast(VideoStream, container.add_stream(codec, rate=rate, options=settings))
            stream.pix_fmt = pix_fmt
            even = pix_fmt.startswith("yuv420")
            stream.height, stream.width = _encoded(first, even).shape[:2]
            if times is not None:
                stream.codec_context.time_base = _TICK
                stream.codec_context.flags |= Flags.frame_duration
                # Files hold the time from one decoded frame to the next: shown in another order,
                # the last one would last as long as some other.
                stream.codec_context.max_b_frames = 0
            if gop is not None:
                stream.codec_context.gop_size = gop
            if rotation:
                stream.set_display_rotation(rotation)
            for number, frame in enumerate(itertools.chain([first], iterator)):
                picture = _encoded(_checked(frame, first.shape, path), even)
                shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if times is not None:
                    start, end = (round(float(t) / _TICK) for t in times[number])
                    shown.pts, shown.duration, shown.time_base = start, end - start, _TICK
                container.mux(stream.encode(shown))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as e:
        raise VideoError(
            f"Cannot write {path} with codec {codec} and {pix_fmt}: {e}. "
            f"Choose another codec or a suffix that can hold it (.mp4, .mkv, .webm, .avi, .gif)."
        ) from e
    return path


def _checked(frame: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape:
        raise VideoError(
            f"Cannot write {path}: a frame is {frame.dtype} {list(frame.shape)}; every frame must "
            f"be uint8 [height, width, 3] of the first frame's size {list(shape[:2])}."
        )
    return frame


def _encoded(frame: np.ndarray, even: bool) -> np.ndarray:
    height, width = frame.shape[:2]
    if even and (height % 2 or width % 2):
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)
