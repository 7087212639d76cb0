"""Small videos with sound."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write(
    path: Path,
    pictures: np.ndarray,
    sound: np.ndarray,
    *,
    fps: int = 25,
    rate: int = 44_100,
    codec: str = "aac",
    late: float = 0.0,
) -> Path:
    """Write pictures ``[N, H, W, 3]`` and mono ``sound`` in [-1, 1], ``late`` seconds later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video_codec = "libvpx" if path.suffix == ".webm" else "libx264"
    with av.open(os.fspath(path), "w") as container:
        video = container.add_stream(video_codec, rate=fps)
        video.pix_fmt = "yuv420p"  # type: ignore[attr-defined]
        video.height, video.width = pictures.shape[1:3]  # type: ignore[attr-defined]
        audio = container.add_stream(codec, rate=rate, layout="mono")  # type: ignore[call-overload]
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(video.encode(frame))  # type: ignore[attr-defined]
        container.mux(video.encode(None))  # type: ignore[attr-defined]
        for first in range(0, len(sound), rate):  # one frame a second, as a long one is refused
            part = np.clip(sound[None, first : first + rate] * 32_767, -32_768, 32_767)
            heard = av.AudioFrame.from_ndarray(part.astype(np.int16), format="s16p", layout="mono")
            heard.sample_rate, heard.time_base = rate, Fraction(1, rate)
            heard.pts = first + round(late * rate)
            container.mux(audio.encode(heard))
        container.mux(audio.encode(None))
    return path


def tone(seconds: float, pitch: float = 1000.0, rate: int = 44_100) -> np.ndarray:
    """A sine of half the full loudness."""
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)
