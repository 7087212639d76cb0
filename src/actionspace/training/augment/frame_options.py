"""What is changed at random in the frames of a clip that is compared frame by frame."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from actionspace.config import Config
from actionspace.training.augment.options import CropConfig, JitterConfig, Range


class BlurConfig(Config):
    """Gaussian blur."""

    p: float = Field(default=0.0, ge=0, le=1)
    """Share of the clips with changed colours that this is done to; 0 = none."""
    radius: Range = (0.1, 2.0)
    """Smallest and largest standard deviation in pixels."""


class FramesConfig(Config):
    """What is changed at random in clips, alike in all frames; the defaults change nothing.

    Colours are of 8 bits after each operation, as Pillow gives them. Every draw is a function of
    (``training.seed``, epoch, sample, view). Clips are then resized to the size of the network's
    input without keeping their shape, bilinearly without antialias.
    """

    crop: CropConfig = CropConfig(area=(0.8, 1.0))
    """Random resized crop; where no attempt fits, the middle of the frame in the nearest aspect."""
    flip: float = Field(default=0.0, ge=0, le=1)
    """Share of the clips that are mirrored left and right."""
    jitter: JitterConfig = JitterConfig()
    """Colour jitter."""
    blur: BlurConfig = BlurConfig()
    """Blur, done after each of the operations of ``jitter`` (so up to four times)."""
    grey: float = Field(default=0.0, ge=0, le=1)
    """Share of the clips that lose their colours, after all else."""
    order: Literal["random", "fixed"] = "random"
    """``random``: crop, mirroring, then the operations on colours, in an order drawn for each clip
    (SimCLR, CARL). ``fixed``: brightness, contrast, hue, saturation, each given back in 8 bits,
    then crop and mirroring (TCC, TCN)."""
    evaluate: Literal["resize", "center"] = "resize"
    """What becomes of frames where nothing is random. ``resize``: the whole frame. ``center``: its
    middle, not resized (FineGym in the original of CARL)."""
