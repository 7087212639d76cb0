"""The typed options of augmentation: the ``augment`` section of recipes. All is off by default."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from actionspace.config import Config


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 < pair[0] <= pair[1]:
        raise ValueError(f"expected two positive numbers, the smaller first, not {list(pair)}")
    return pair


def _share(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[1] > 1:
        raise ValueError(f"expected shares of the frame, at most 1, not {list(pair)}")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Shares = Annotated[Range, AfterValidator(_share)]


class CropConfig(Config):
    """A random part of the frame, resized to the whole frame; the same in all frames of a clip."""

    p: float = Field(default=0.0, ge=0, le=1)
    """Share of the clips this is done to; 0 = none. (Random views of ``clips.train.augment`` are
    cropped already when they are decoded.)"""
    area: Shares = (0.08, 1.0)
    """Smallest and largest share of the frame's area."""
    aspect: Range = (3 / 4, 4 / 3)
    """Smallest and largest width : height of the part."""


class FlipConfig(Config):
    """Mirroring left and right."""

    p: float = Field(default=0.0, ge=0, le=1)
    """Share of the clips this is done to, e.g. 0.5; 0 = none. (Random views are mirrored already
    when they are decoded, unless ``clips.train.flip=false``.)"""
    never: list[str] = Field(default_factory=list)
    """Classes that are never mirrored, as those that tell left from right."""


class JitterConfig(Config):
    """Random colours; the same change in all frames of a clip."""

    brightness: float = Field(default=0.0, ge=0)
    """Half-width b of the factor's range ``[max(0, 1 - b), 1 + b]``; 0 = none."""
    contrast: float = Field(default=0.0, ge=0)
    """The same for contrast, around each frame's mean grey."""
    saturation: float = Field(default=0.0, ge=0)
    """The same for saturation, around each pixel's grey."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """Largest turn of the hue either way, in turns of the colour circle; 0 = none."""
    p: float = Field(default=1.0, ge=0, le=1)
    """Share of the clips this is done to."""

    @property
    def active(self) -> bool:
        """Whether any colour is changed."""
        return bool(self.p and (self.brightness or self.contrast or self.saturation or self.hue))


class RandAugmentConfig(Config):
    """Operations from a fixed list, each clip's own; the same in all its frames."""

    ops: int = Field(default=0, ge=0)
    """Operations per clip, one after another, e.g. 2; 0 = none."""
    magnitude: float = Field(default=7.0, ge=0, le=10)
    """Their strength, 10 being the largest."""
    std: float = Field(default=0.0, ge=0)
    """Standard deviation of the strength from operation to operation."""
    fill: float = Field(default=128.0, ge=0, le=255)
    """Grey level of what comes into the frame from outside."""


class EraseConfig(Config):
    """A box of one random colour, in the same place of all frames of a clip."""

    p: float = Field(default=0.0, ge=0, le=1)
    """Share of the clips this is done to, e.g. 0.25; 0 = none."""
    area: Shares = (0.02, 1 / 3)
    """Smallest and largest share of the frame's area."""
    aspect: Range = (0.3, 1 / 0.3)
    """Smallest and largest width : height of the box."""


class MixConfig(Config):
    """Two clips and their labels in one. Partners are clips of the same forward pass."""

    mixup: float = Field(default=0.0, ge=0)
    """Both parameters of the Beta distribution of the shares when clips are averaged, e.g. 0.8;
    0 = clips are not averaged."""
    cutmix: float = Field(default=0.0, ge=0)
    """The same when a box of one clip is put into the other, e.g. 1.0; 0 = never."""
    p: float = Field(default=1.0, ge=0, le=1)
    """Share of the clips that are mixed."""
    switch: float = Field(default=0.5, ge=0, le=1)
    """Where both are on: share of the mixed clips that get a box."""


class AugmentConfig(Config):
    """What is changed at random in training clips, on the training device, in this order.

    Every draw is a function of (``training.seed``, epoch, sample).
    """

    crop: CropConfig = CropConfig()
    """Random resized crop."""
    flip: FlipConfig = FlipConfig()
    """Mirroring."""
    jitter: JitterConfig = JitterConfig()
    """Colour jitter."""
    randaugment: RandAugmentConfig = RandAugmentConfig()
    """RandAugment."""
    erase: EraseConfig = EraseConfig()
    """Random erasing."""
    mix: MixConfig = MixConfig()
    """Mixup and CutMix."""

    @property
    def changes_pixels(self) -> bool:
        """Whether clips are changed, each for itself."""
        places = self.crop.p or self.flip.p or self.erase.p
        return bool(places or self.jitter.active or self.randaugment.ops)

    @property
    def mixes(self) -> bool:
        """Whether clips and their targets are mixed."""
        return bool(self.mix.p and (self.mix.mixup or self.mix.cutmix))

    @property
    def active(self) -> bool:
        """Whether anything is on."""
        return self.changes_pixels or self.mixes
