"""The typed options of alignment around its network and losses; no torch in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from actionspace.config import Config

if TYPE_CHECKING:
    from actionspace.alignment.protocols import AlignmentProtocol
    from actionspace.alignment.sampling import FrameSampling


class PicturesConfig(Config):
    """The pictures a network with ``network.input: frames`` is given."""

    size: PositiveInt = 224
    """Height and width, pixels."""
    short_side: PositiveInt | None = None
    """Shorter side to which frames are decoded before augmentation, in pixels; empty = as they
    are (as the original, whose files are small)."""


class SamplingConfig(Config):
    """Which frames (or rows of features) of a video a training sample sees."""

    views: Literal[1, 2] | None = None
    """Samples of one video in a batch; empty = 2 for ``loss.name=scl``, else 1."""
    frames: PositiveInt = Field(default=240, ge=2)
    """Frames drawn (TCN: anchors). The network's positions are stretched to as many."""
    strategy: Literal["time_augment", "offset_uniform"] = "time_augment"
    """At random from a block, or evenly from the whole video."""
    block: Literal["video", "window"] = "video"
    """A block is as long as the video, or as the frames drawn, times 1 to ``region``."""
    region: float = Field(default=1.5, ge=0)
    """The longest block, relative; 1 or less means a block of exactly the length."""
    consistent_offset: float = Field(default=0.2, ge=0, le=1)
    """1 lays the second view's block where the first begins, 0 anywhere; matters where blocks are
    shorter than the video."""
    context_stride: PositiveInt = 1
    """Frames between the contexts of a frame (``network.contexts``)."""
    positive_window: int = Field(default=0, ge=0)
    """Above 0, each drawn frame is followed by one 1 to this many frames before it (TCN)."""

    batch_by: str | None = None
    """Column of labels of whole videos (``action``): the videos of a step share its value, as
    losses that compare videos need where these show several actions. Empty = any videos."""

    def drawn(self, contexts: int) -> FrameSampling:
        """Return what is drawn from a video, for a network with so many contexts."""
        from actionspace.alignment.sampling import FrameSampling

        return FrameSampling(contexts=contexts, **self.model_dump(exclude={"views", "batch_by"}))


class EvaluationConfig(Config):
    """How frame embeddings are measured, on the test split or, without one, on ``val``."""

    protocol: Literal["carl", "tcc", "lav", "ae2"] = "carl"
    """Whose evaluation; figures of two protocols do not compare."""
    tau_stride: PositiveInt | None = None
    """Every which frame Kendall's tau uses; empty = the protocol's."""
    retrieval_stride: PositiveInt | None = None
    """Every which frame retrieval uses; empty = the protocol's."""
    fractions: tuple[float, ...] = ()
    """Shares of the training videos that classifier and regression learn from; empty = the
    protocol's."""
    missing: Literal["refuse", "start", "skip"] | None = None
    """What progression makes of a video without some phase; empty = the protocol's."""
    few_shot: tuple[PositiveInt, ...] | None = None
    """Numbers of labelled videos of few-shot classification; empty = the protocol's."""
    by: str | None = None
    """Column of labels of whole videos (``action``): each value is measured alone, and the mean
    over them is given. Empty = all videos are of one kind."""
    frame_probe: bool = False
    """Measure FineGym's linear probe on labelled frames in place of the protocol: its classes are
    elements, not the phases of one course of action."""
    probe_lr: PositiveFloat = 50.0
    """Learning rate of that probe; published: 50, and 0.1 for the supervised baseline."""
    after_training: bool = True
    """Measure when training ends; false for videos without labels that are too many to compare."""
    frames_per_clip: PositiveInt = 1000
    """Longer videos are cut into as few clips of equal length as this allows; positions are
    stretched over each."""
    map: Literal["pca", "umap"] = "pca"
    """How the report lays embeddings out in a plane: principal components, or UMAP (needs
    umap-learn)."""
    raw_features: bool = True
    """Also measure the features that go into the network (``network.input: features``)."""

    def made(self) -> AlignmentProtocol:
        """Return the protocol with what is said otherwise."""
        from actionspace.alignment.protocols import protocol

        names = ("tau_stride", "retrieval_stride", "missing", "few_shot")
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return protocol(
            self.protocol, **changes, **({"fractions": self.fractions} if self.fractions else {})
        )
