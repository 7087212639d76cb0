"""The make of the network: every field with its default, unit and meaning; no torch in here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from actionspace.config import Config


class ConvLayer(Config):
    """A three-dimensional convolution of the ``conv`` embedder, without padding in space."""

    channels: PositiveInt = 512
    """Channels."""
    kernel: PositiveInt = 3
    """Its extent in time, height and width."""
    time_padding: NonNegativeInt = 1
    """Contexts of zeros before and after those of a frame."""


class NetworkConfig(Config):
    """CARL (Chen, Wei, Li and Cai, CVPR 2022): the network. The defaults are those of Pouring, but
    for the number of its encoder layers, which is 2 there."""

    input: Literal["frames", "features"] = "frames"
    """What it takes: pictures, through a ResNet-50 of which the last stages are trained; or
    features, one row for each time step, of any frozen encoder."""
    layer: Literal[2, 3, 4] = 3
    """The stage of the ResNet with which the ``backbone`` ends; stages behind it are always trained
    (``frames``). Of 2 only with ``transformer``."""
    train_base: Literal["frozen", "bn", "all"] = "frozen"
    """What of the backbone is trained: nothing, its BatchNorms, or all. Unless frozen, its running
    statistics change."""
    frames_per_batch: PositiveInt = 40
    """Frames of each video that go through the ResNet at a time; BatchNorms that are trained see
    that many of every video of the batch (``transformer``)."""
    embedder: Literal["transformer", "conv", "vanilla"] = "transformer"
    """What joins the frames: attention over the whole clip; convolutions over the contexts of a
    frame, as in TCC (``conv``); or nothing but the largest value over them (``vanilla``)."""
    contexts: PositiveInt = 1
    """Frames that are embedded as one, adjacent in the input, the frame itself last (``conv``,
    ``vanilla``)."""
    conv: tuple[ConvLayer, ...] = (ConvLayer(), ConvLayer())
    """Convolutions over the contexts (``conv``)."""
    fc: tuple[PositiveInt, ...] = (512, 512)
    """Channels of the fully connected layers behind pooling."""
    fc_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout before each of these and before the classifier."""
    hidden_dim: PositiveInt = 256
    """Channels of the temporal encoder (``transformer``)."""
    layers: NonNegativeInt = 3
    """Its layers."""
    heads: PositiveInt = 8
    """Its attention heads."""
    feed_forward_dim: PositiveInt = 1024
    """Channels between the two layers behind attention."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout behind the positions and of the residual branches (``transformer``)."""
    positions: Literal["stretched", "index", "none"] = "stretched"
    """What the temporal encoder knows of time: the place between the first and the last frame of
    the clip, as if it had ``train_frames`` (CARL); the frame's number in the clip; or nothing."""
    train_frames: PositiveInt = 240
    """Frames of a training clip, to which positions are stretched."""
    embedding_dim: PositiveInt = 128
    """Values of an embedding."""
    projection: bool = True
    """Whether there is a projection head, on which the contrastive loss is computed and which is
    left out afterwards."""
    projection_dim: PositiveInt = 128
    """Channels within it; its output has ``embedding_dim``."""
    l2_normalize: bool = True
    """Embeddings have length 1; projected ones always have."""
    compat: Literal["none", "carl"] = "none"
    """``carl``: as the original, all layers of the temporal encoder start from the same weights,
    and with ``transformer`` the backbone stands still whatever ``train_base`` says."""

    @model_validator(mode="after")
    def _fits_together(self) -> NetworkConfig:
        for problem in filter(None, (self._width(), self._embedder(), self._input())):
            raise ValueError(problem)
        return self

    def _width(self) -> str:
        if self.embedder == "transformer" and self.hidden_dim % self.heads:
            return f"hidden_dim {self.hidden_dim} does not divide into {self.heads} heads"
        return ""

    def _embedder(self) -> str:
        if self.embedder == "transformer" and self.contexts > 1:
            return (
                f"contexts {self.contexts}: embedder 'transformer' sees the whole clip, and takes "
                "no contexts; leave them at 1, or take embedder 'conv' or 'vanilla'"
            )
        if self.embedder != "transformer" and self.layer == 2:
            return f"layer 2 is only for embedder 'transformer'; for '{self.embedder}' it is 3 or 4"
        return ""

    def _input(self) -> str:
        if self.input == "frames":
            return ""
        if self.embedder == "conv":
            return (
                "embedder 'conv' convolves in space, and features have none; take 'transformer' "
                "or 'vanilla' with input 'features'"
            )
        if self.train_base != "frozen":
            return (
                f"train_base '{self.train_base}' has nothing to train with input 'features'; "
                "leave it 'frozen'"
            )
        return ""
