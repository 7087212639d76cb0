"""Which frames of a video a training sample sees: CARL's time augmentation and uniform draws.

``time_augment``: a block of 1 to ``region`` times the video (``block="video"``), or times the
frames asked for (``block="window"``, FineGym), is laid somewhere over the video and that many
frames are drawn from it at random, in order. A block that reaches past the end gives frames that
do not exist: they are masked and stand at the last frame. The block of a second view starts near
the first view's first frame.

``offset_uniform``: frames drawn evenly from the whole video (TCC, TCN).

Drawing (:func:`draw`) is apart from what follows from it (:func:`place`), so a sample is a
function of its random numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from actionspace.errors import ConfigError, DataError

Ints = NDArray[np.int64]
Strategy = Literal["time_augment", "offset_uniform"]
Block = Literal["video", "window"]


@dataclass(frozen=True)
class FrameSampling:
    """What is drawn from a video.

    Attributes:
        frames: frames drawn (TCN: anchors).
        strategy, block: see the module.
        region: the longest block, relative; 1 or less means a block of exactly the length.
        consistent_offset: 1 lays the second view's block where the first view begins, 0 anywhere;
            between, at most ``(1 - consistent_offset) frames`` away. Matters where blocks are
            shorter than the video.
        contexts: frames the network sees for each drawn one: itself and those before it.
        context_stride: frames between them.
        positive_window: above 0, each drawn frame is followed by one that lies 1 to this many
            frames before it (TCN: anchor, positive, anchor ...).
    """

    frames: int
    strategy: Strategy = "time_augment"
    block: Block = "video"
    region: float = 1.5
    consistent_offset: float = 0.2
    contexts: int = 1
    context_stride: int = 1
    positive_window: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy) or self.block not in get_args(Block):
            raise ConfigError(
                f"strategy is one of {get_args(Strategy)} and block one of {get_args(Block)}; got "
                f"{self.strategy!r} and {self.block!r}."
            )
        if min(self.frames, self.contexts, self.context_stride) < 1 or self.positive_window < 0:
            raise ConfigError("frames, contexts and context_stride must be at least 1.")


@dataclass(frozen=True)
class Draw:
    """The random numbers of a view.

    Attributes:
        ratio: length of the block, relative.
        offset: where the block begins.
        picks: different numbers below the block's length, at least as many as are drawn.
        shifts: how far before its anchor each positive lies ``[frames]``, negative; or None.
    """

    ratio: float
    offset: int
    picks: Ints
    shifts: Ints | None = None


@dataclass(frozen=True)
class FrameSample:
    """The frames of a view, ``T = frames`` (with positives, twice as many).

    Attributes:
        chosen: frame numbers ``[T]`` within the video.
        mask: ``[T]`` float32, 0 where the drawn frame does not exist.
        inputs: frames the network is given ``[T * contexts]``, for each chosen one its contexts
            from the oldest to itself, within the video.
    """

    chosen: Ints
    mask: NDArray[np.float32]
    inputs: Ints


def block_length(sampling: FrameSampling, length: int, ratio: float) -> int:
    """Return the number of frames of the block that is drawn from."""
    if sampling.strategy == "offset_uniform":
        return length
    base = length if sampling.block == "video" else min(length, sampling.frames)
    return math.ceil(ratio * base)


def offset_range(
    sampling: FrameSampling, length: int, block: int, first: int | None = None
) -> tuple[int, int]:
    """Return the least offset of a block and one more than the greatest.

    Args:
        sampling: the settings.
        length: frames of the video.
        block: frames of the block.
        first: the first frame the first view is given; None for the first view itself.
    """
    free = length - block
    if first is None or sampling.consistent_offset == 0:
        return 0, max(free, 1)
    away = int((1 - sampling.consistent_offset) * min(length, sampling.frames))
    return max(0, min(free, first - away)), max(1, min(free + 1, first + away + 1))


def draw(
    sampling: FrameSampling, length: int, rng: np.random.Generator, first: int | None = None
) -> Draw:
    """Draw the random numbers of a view of a video of ``length`` frames.

    Args:
        sampling: the settings.
        length: frames of the video.
        rng: where randomness comes from; seed it with (seed, epoch, sample).
        first: for a second view, the first frame the first view is given.

    Raises:
        DataError: the video has no frame.
    """
    if length < 1:
        raise DataError("A video without frames cannot be sampled.")
    ratio, offset = 1.0, 0
    if sampling.strategy == "time_augment":
        ratio = rng.uniform(1.0, sampling.region) if sampling.region > 1 else 1.0
        block = block_length(sampling, length, ratio)
        offset = int(rng.integers(*offset_range(sampling, length, block, first)))
    count = min(length, sampling.frames)
    picks = rng.choice(block_length(sampling, length, ratio), count, replace=False)
    shifts = None
    if sampling.positive_window:
        shifts = rng.integers(-sampling.positive_window, 0, sampling.frames)
    return Draw(ratio, offset, picks, shifts)


def place(sampling: FrameSampling, length: int, drawn: Draw) -> FrameSample:
    """Return the frames that follow from the random numbers, for a video of ``length`` frames."""
    count = min(length, sampling.frames)
    if sampling.strategy == "offset_uniform" and length < sampling.frames:
        steps = np.arange(sampling.frames)
    else:
        # What the block has no frames for stands one past the end, hence masked.
        steps = np.full(sampling.frames, length)
        steps[:count] = drawn.offset + np.sort(np.asarray(drawn.picks)[:count])
    if drawn.shifts is not None:
        steps = np.stack([steps, steps + drawn.shifts], axis=1).reshape(-1)
    inside = (steps >= 0) & (steps < length)
    return FrameSample(
        np.clip(steps, 0, length - 1),
        inside.astype(np.float32),
        with_contexts(steps, length, sampling.contexts, sampling.context_stride),
    )


def sample_views(
    sampling: FrameSampling, length: int, rng: np.random.Generator, views: int = 2
) -> list[FrameSample]:
    """Return views of one video, those after the first laid near it."""
    found: list[FrameSample] = []
    for _ in range(views):
        first = int(found[0].inputs.min()) if found else None
        found.append(place(sampling, length, draw(sampling, length, rng, first)))
    return found


def with_contexts(steps: Ints, length: int, contexts: int, stride: int) -> Ints:
    """Return each step and the ``contexts - 1`` before it, oldest first, held within the video."""
    back = stride * np.arange(1 - contexts, 1)
    within: Ints = np.clip(steps[:, None] + back, 0, length - 1)
    return within.reshape(-1)
