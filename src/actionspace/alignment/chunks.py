"""Cutting a long video into clips of equal length, so that every frame can be embedded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionspace.alignment.sampling import with_contexts
from actionspace.errors import UsageError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Clip:
    """A clip whose frames are embedded together.

    Attributes:
        frames: the frames it gives embeddings of, first to last.
        inputs: the frames the network is given ``[frames * contexts]``. Contexts reach back into
            the clip before; before the video begins, its first frame stands for them.
    """

    frames: range
    inputs: Ints


def cut_clips(
    length: int, frames_per_clip: int, *, contexts: int = 1, context_stride: int = 1
) -> list[Clip]:
    """Cut ``length`` frames into as few clips as ``frames_per_clip`` allows, evenly.

    All clips are of one length, except that the last can be shorter. Positions are stretched over
    each clip, so a network that has them sees every clip as a whole course of action.

    Raises:
        UsageError: a number below 1 (a video without frames gives no clips).
    """
    if min(frames_per_clip, contexts, context_stride) < 1 or length < 0:
        raise UsageError(
            f"frames_per_clip={frames_per_clip}, contexts={contexts} and context_stride="
            f"{context_stride} must be at least 1 and length={length} not negative."
        )
    if not length:
        return []
    clips = -(-length // frames_per_clip)
    each = -(-length // clips)
    parts = [range(start, min(start + each, length)) for start in range(0, length, each)]
    return [
        Clip(part, with_contexts(np.array(part), length, contexts, context_stride))
        for part in parts
    ]
