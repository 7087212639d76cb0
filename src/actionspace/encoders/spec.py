"""What an encoder is fed: the clip it was trained on, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from actionspace.video.transform import ResizeMode

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
FLOW_SCALE = (127.5, 127.5)
"""Mean and std of the two channels of optical flow: 0..255 becomes -1..1, +-20 pixels."""


@dataclass(frozen=True)
class ClipSpec:
    """The clip an encoder expects.

    Attributes:
        frames: frames per clip.
        stride: step between the frames of a clip, in frames of the video (or of ``fps``).
        size: height and width of the encoder's input, pixels.
        short_side: the frame's shorter side before cropping, pixels.
        mean, std: normalisation of each channel in 0-255 units.
        geometry: ``center`` crops a square, ``full`` squeezes the whole frame into one.
        resize: ``exact`` (as the original pipelines), ``fast`` (inside the decoder), or as a
            published processor does it, see :mod:`actionspace.video.resize`.
        fps: nominal sampling rate the stride refers to; ``None`` = the video's own frames.
        input: what the clip shows: ``rgb`` pictures (3 channels), optical ``flow`` (2 channels, see
            :mod:`actionspace.video.flow`; use ``FLOW_SCALE``), or ``audio`` (the sound of the
            clip, see :mod:`actionspace.video.audio`).
    """

    frames: int = 32
    stride: int = 2
    size: int = 224
    short_side: int = 256
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    geometry: Literal["center", "full"] = "center"
    resize: ResizeMode = "exact"
    fps: float | None = None
    input: Literal["rgb", "flow", "audio"] = "rgb"

    @property
    def channels(self) -> int:
        """Channels of a picture of the clip."""
        return len(self.mean)

    @property
    def flow(self) -> str | None:
        """How the optical flow it is fed is computed; ``None`` if it is fed something else."""
        from actionspace.video.flow import FLOW

        return FLOW if self.input == "flow" else None

    @property
    def span(self) -> int:
        """Frames of the video from a clip's first frame to just after its last one's stride."""
        return self.frames * self.stride

    def resizing(self, how: ResizeMode) -> ResizeMode:
        """Return how frames are resized where a recipe says ``how``: ``exact`` is its own way."""
        return self.resize if how == "exact" and self.resize != "fast" else how

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClipSpec:
        """Rebuild a spec written by :meth:`as_dict`."""
        return cls(**values | {"mean": tuple(values["mean"]), "std": tuple(values["std"])})


SOUND = ClipSpec(
    frames=32,
    stride=1,
    size=1,
    short_side=1,
    mean=(),
    std=(),
    geometry="full",
    resize="fast",
    input="audio",
)
"""About a second, heard from its first to its last frame; there are no pictures."""
