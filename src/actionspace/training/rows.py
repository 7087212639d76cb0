"""On which rows of one's own videos a frozen encoder is run; no torch in here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from actionspace.config import Config

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.video.views import Views


class GridConfig(Config):
    """Where clips of one's own videos are, and how a frozen encoder is run on them.

    Without meaning where features are given, or the network takes pictures. A field left empty is
    the encoder's own.
    """

    frames: PositiveInt | None = None
    """Frames that a row is computed from."""
    stride: PositiveInt | None = None
    """Step between these, in frames."""
    hop: PositiveInt | None = None
    """Frames between two rows; empty = half of what a row spans. A moment cannot be told better
    than its rows are dense."""
    fps: float | None = Field(default=None, gt=0)
    """Frames per second at which all of these count; empty = the encoder's, which may be the
    video's own."""
    geometry: Literal["center", "full", "pad"] | None = None
    """The centre of the frame, all of it squeezed square, or its middle as it is."""
    short_side: PositiveInt | None = None
    """Shorter side of the frame before cropping, in pixels."""
    size: PositiveInt | None = None
    """Side of the square the encoder sees, in pixels."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the encoder; ``auto`` = bfloat16 on CUDA, float32 elsewhere."""
    compile: bool = False
    """Compile the encoder with torch.compile (worth it on a GPU with many clips)."""
    batch_size: PositiveInt | None = None
    """Clips per forward pass of the encoder; empty = chosen from it and the device."""
    threads: PositiveInt | None = None
    """Decode threads; empty = chosen from the machine."""
    policy: Literal["raise", "skip", "partial"] = "skip"
    """A bad video ends the work, is left out and listed, or gives what can be decoded."""
    time_limit: float | None = Field(default=None, gt=0)
    """Seconds a video may take to decode before it counts as bad; empty = by its duration."""

    def views(self, encoder: Encoder) -> Views:
        """Return the clips of an encoder with what is asked for here."""
        from actionspace.features.extract import views_of

        names = ("frames", "stride", "fps", "geometry", "short_side", "size")
        asked = {name: getattr(self, name) for name in names}
        return replace(views_of(encoder), **{k: v for k, v in asked.items() if v is not None})


class RowsConfig(GridConfig):
    """The rows that are made of clips: one vector each."""

    tokens: Literal["time"] | None = None
    """``time``: each time step of the encoder is a row of its own, finer than clips; these then
    follow one another, with a ``hop`` of what one spans. Empty = a row is a clip."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type the features are stored in."""
