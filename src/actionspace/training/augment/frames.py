"""Augmentation of clips whose frames are compared (CARL, TCC, TCN): drawing it, and doing it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from actionspace.errors import UsageError
from actionspace.training.augment import eight_bit, geometry
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.frame_options import FramesConfig

#: Mean and standard deviation of ImageNet's colours, of values 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY = (0.299, 0.587, 0.114)

COLOURS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "brightness": eight_bit.brightness,
    "contrast": eight_bit.contrast,
    "hue": eight_bit.hue,
    "saturation": eight_bit.saturation,
}
"""The operations on colours, in their fixed order."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Change:
    """What becomes of one clip, alike in all its frames.

    Attributes:
        box: the part of the frame to show (x, y, width, height); None = all of it.
        mirror: whether it is mirrored left and right.
        colours: operations of ``COLOURS`` with their parameter, in order.
        blur: standard deviation in pixels of the blur after each of them; 0 = none.
        grey: whether colours are taken away.
        colours_first: whether colours are changed before the box is cut out.
    """

    box: Box | None = None
    mirror: bool = False
    colours: tuple[tuple[str, float], ...] = ()
    blur: float = 0.0
    grey: bool = False
    colours_first: bool = False


class FrameAugment:
    """Makes clips of any sizes a batch for a network, with or without changes at random.

    All is done where the clips are. What becomes of a clip is a function of (seed, epoch, sample,
    view) alone.
    """

    def __init__(
        self,
        config: FramesConfig,
        size: int,
        seed: int,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        """Prepare.

        Args:
            config: what to do.
            size: height and width of the network's input, pixels.
            seed: of the training.
            mean, std: what values from 0 to 1 are normalised with, three each.
        """
        self.config, self._size, self._seed = config, size, seed
        self._mean, self._std = tuple(mean), tuple(std)

    @torch.no_grad()
    def train(
        self, clips: Sequence[Tensor], indices: np.ndarray, epoch: int, view: int = 0
    ) -> Tensor:
        """Return clips changed at random.

        Args:
            clips: uint8, or float32 from 0 to 1, each ``[T, H, W, 3]``; of one number of frames.
            indices: int64 ``[B]``, the samples' numbers.
            epoch: number of the epoch.
            view: which of several clips of one sample these are; each has its own draws.

        Returns:
            float32 ``[B, T, 3, size, size]``, normalised.
        """
        draws = Draws(self._seed, epoch, np.asarray(indices))
        shapes = [(int(clip.shape[1]), int(clip.shape[2])) for clip in clips]
        return self._made(clips, draw_changes(draws, self.config, shapes, view))

    @torch.no_grad()
    def evaluate(self, clips: Sequence[Tensor]) -> Tensor:
        """Return clips as they are evaluated, see :meth:`train`.

        Raises:
            UsageError: frames smaller than the middle that is asked for.
        """
        return self._made(clips, [self._unchanged(clip) for clip in clips])

    def _made(self, clips: Sequence[Tensor], changes: Sequence[Change]) -> Tensor:
        shape = (len(clips), len(clips[0]), 3, self._size, self._size)
        out = torch.empty(shape, dtype=torch.float32, device=clips[0].device)
        for change, clip, made in zip(changes, clips, out, strict=True):
            carry_out(change, clip, made, self._mean, self._std)
        return out

    def _unchanged(self, clip: Tensor) -> Change:
        if self.config.evaluate == "resize":
            return Change()
        return Change(box=middle(int(clip.shape[1]), int(clip.shape[2]), self._size))


def middle(height: int, width: int, size: int) -> Box:
    """Return the box of the middle ``size`` x ``size`` pixels; odd margins are greater before it.

    Raises:
        UsageError: the frame is smaller.
    """
    if min(height, width) < size:
        raise UsageError(
            f"The middle {size} x {size} pixels are asked for, but a frame has {width} x {height}. "
            f"Take evaluate=resize, which shows the whole frame, or a smaller size."
        )
    return math.ceil((width - size) / 2), math.ceil((height - size) / 2), size, size


def draw_changes(
    draws: Draws, config: FramesConfig, shapes: Sequence[tuple[int, int]], view: int = 0
) -> list[Change]:
    """Draw what becomes of clips whose frames have (height, width) ``shapes``."""
    jitter = config.jitter

    def uniform(purpose: str, count: int) -> np.ndarray:
        return draws.uniform(f"frames {view} {purpose}", count)

    def chance(purpose: str, p: float) -> np.ndarray:
        return draws.chance(f"frames {view} {purpose}", p)

    crop, mirror = chance("crop at all", config.crop.p), chance("flip", config.flip)
    boxes = uniform("crop", geometry.BOX_DRAWS)
    coloured = chance("jitter at all", jitter.p) & jitter.active
    turns = 2 * uniform("jitter", len(COLOURS)) - 1
    order = uniform("order", len(COLOURS)).argsort(axis=1)
    blurred = chance("blur at all", config.blur.p)
    low, high = config.blur.radius
    radius = low + uniform("blur", 1)[:, 0] * (high - low)
    grey = chance("grey", config.grey)
    widths = {name: getattr(jitter, name) for name in COLOURS}

    def colours(i: int) -> Iterator[tuple[str, float]]:
        places = order[i] if config.order == "random" else range(len(COLOURS))
        for name, turn in ((list(COLOURS)[k], float(turns[i, k])) for k in places):
            if widths[name]:
                change = turn * widths[name]
                yield name, change if name == "hue" else max(0.0, 1 + change)

    return [
        Change(
            box=_random_box(boxes[i : i + 1], config, *shapes[i]) if crop[i] else None,
            mirror=bool(mirror[i]),
            colours=tuple(colours(i)) if coloured[i] else (),
            blur=float(radius[i]) if blurred[i] else 0.0,
            grey=bool(grey[i]),
            colours_first=config.order == "fixed",
        )
        for i in range(len(shapes))
    ]


def carry_out(
    change: Change,
    clip: Tensor,
    out: Tensor,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> Tensor:
    """Change, resize and normalise a clip.

    Args:
        change: what becomes of it.
        clip: uint8, or float32 from 0 to 1, ``[T, H, W, 3]``; it stays as it is.
        out: float32 ``[T, 3, size, size]``, where the result goes; returned.
        mean, std: what values from 0 to 1 are normalised with.
    """
    less = torch.tensor(mean, device=clip.device).view(3, 1, 1)
    by = 1 / torch.tensor(std, device=clip.device).view(3, 1, 1)
    # On a CPU, what is done to a frame stays in the cache; elsewhere memory stays bounded.
    step = 1 if clip.device.type == "cpu" else 64
    for first in range(0, len(clip), step):
        frames = slice(first, first + step)
        torch.sub(_changed(change, clip[frames], out.shape[-1]), less, out=out[frames]).mul_(by)
    return out


def _changed(change: Change, clip: Tensor, size: int) -> Tensor:
    x, y, width, height = change.box or (0, 0, clip.shape[2], clip.shape[1])
    whole = clip if change.colours_first else clip[:, y : y + height, x : x + width]
    shown = whole.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    if clip.dtype == torch.uint8:
        shown = shown.div_(255)
    if change.colours_first:
        shown = _coloured(shown, change)[..., y : y + height, x : x + width]
    if shown.shape[-2:] != (size, size):
        shown = functional.interpolate(shown, (size, size), mode="bilinear", align_corners=False)
    if change.mirror:
        shown = shown.flip(-1)
    if not change.colours_first:
        shown = _coloured(shown, change)
    if change.grey:
        weights = torch.tensor(GREY, device=shown.device).view(3, 1, 1)
        shown = (shown * weights).sum(dim=1, keepdim=True).expand_as(shown)
    return shown


def _coloured(x: Tensor, change: Change) -> Tensor:
    """Change colours of ``[T, 3, H, W]`` from 0 to 1 in 8 bits."""
    if not change.colours:
        return x
    x = (x * 255).floor_()  # cut off, as torchvision does
    for name, value in change.colours:
        x = COLOURS[name](x, value)
        if change.blur:
            x = eight_bit.blur(x, change.blur)
    return x.div_(255)


def _random_box(u: np.ndarray, config: FramesConfig, height: int, width: int) -> Box:
    """Return a random box of one frame; in the middle, of the nearest aspect, where none fits."""
    boxes, found = geometry.random_boxes(u, height, width, config.crop.area, config.crop.aspect)
    if found[0]:
        x, y, w, h = boxes[0].tolist()
        return x, y, w, h
    low, high = config.crop.aspect
    w = min(width, round(height * high))
    h = min(height, round(width / low))
    return (width - w) // 2, (height - h) // 2, w, h
