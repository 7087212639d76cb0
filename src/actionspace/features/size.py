"""How much room tokens will take, said before they are made."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from actionspace.errors import UsageError, VideoError
from actionspace.features.grid import Grid, Source
from actionspace.features.packing import BYTES, SCALE_BYTES

LIMIT_GB = 20.0
"""Tokens beyond this many gigabytes (1e9 bytes) are made only if a higher limit is set."""


@dataclass(frozen=True)
class Size:
    """The room that the features of a manifest take."""

    clips: int
    """Rows times views of all videos."""
    tokens: int
    """Tokens per clip."""
    dim: int
    """Numbers per token."""
    dtype: str
    """What each is stored as."""
    unknown: int = 0
    """Videos that cannot be opened; they are not counted."""

    @property
    def bytes(self) -> int:
        """The sum, without what each file says of itself."""
        token = self.dim * BYTES[self.dtype] + (SCALE_BYTES if self.dtype == "int8" else 0)
        return self.clips * self.tokens * token

    def __str__(self) -> str:
        token = f"{self.dim:,} × {BYTES[self.dtype]} bytes"
        if self.dtype == "int8":
            token = f"({self.dim:,} + {SCALE_BYTES}) bytes"
        text = f"{self.clips:,} clips × {self.tokens:,} tokens × {token} = {readable(self.bytes)}"
        return text + (f" ({self.unknown} videos cannot be opened)" if self.unknown else "")

    def check(self, limit_gb: float) -> None:
        """Refuse to fill a disk by accident.

        Raises:
            UsageError: it is more than ``limit_gb`` gigabytes.
        """
        if self.bytes > limit_gb * 1e9:
            raise UsageError(
                f"The tokens would take more than {limit_gb:g} GB: {self}. Take fewer of them "
                f"(tokens=time), dtype=int8 or a longer hop=; or confirm with "
                f"limit_gb={-(-self.bytes // 10**9)}."
            )


def measure(sources: Sequence[Source], grid: Grid, tokens: int, dim: int, dtype: str) -> Size:
    """Return the size of the features of some videos, from what their containers say of them."""
    with ThreadPoolExecutor(4) as pool:
        clips = list(pool.map(lambda source: _clips(source, grid), sources))
    known = [n for n in clips if n is not None]
    return Size(sum(known), tokens, dim, dtype, len(clips) - len(known))


def readable(size: int) -> str:
    """``33_554_432`` -> ``"34 MB"``."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return (
                f"{size / unit:,.1f} {name}" if size < 10 * unit else f"{size / unit:,.0f} {name}"
            )
    return f"{size / 1000:,.0f} kB" if size >= 1000 else f"{size} bytes"


def _clips(source: Source, grid: Grid) -> int | None:
    """Return the clips of a video, None if it cannot be opened."""
    from actionspace.video.reader import Reader

    if source.intervals is not None:
        return len(source.intervals) * grid.n_views
    try:
        with Reader(source.path) as reader:
            stream = reader.stream
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            seconds = (reader.container.duration or 0) / 1e6
            if stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            frames = stream.frames or round(seconds * rate)
    except VideoError:
        return None
    fps = grid.views.fps
    return grid.count(round((frames / rate if rate else seconds) * fps) if fps else frames)
