from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.alignment.chunks import cut_clips
from actionspace.errors import UsageError


@given(st.integers(0, 300), st.integers(1, 50), st.integers(1, 3), st.integers(1, 20))
def test_every_frame_once_in_even_clips(length: int, most: int, contexts: int, stride: int) -> None:
    clips = cut_clips(length, most, contexts=contexts, context_stride=stride)
    assert [frame for clip in clips for frame in clip.frames] == list(range(length))
    sizes = [len(clip.frames) for clip in clips]
    if length:
        assert len(clips) == -(-length // most)
        assert sizes[0] == -(-length // len(clips))
    assert all(size == sizes[0] <= most for size in sizes[:-1])
    for clip in clips:
        assert clip.inputs[contexts - 1 :: contexts].tolist() == list(clip.frames)
        assert clip.inputs.min() >= max(0, clip.frames[0] - (contexts - 1) * stride)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="frames_per_clip=0"):
        cut_clips(5, 0)
