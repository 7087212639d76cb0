"""Options of the networks of anticipation, without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from actionspace.config import Config


class NetworkConfig(Config):
    """Which network looks at the window, and how large it is."""

    name: Literal["attentive", "causal", "lstm"] = "attentive"
    """``attentive``: V-JEPA 2's attentive probe, a query per column. ``causal``: a transformer over
    the history that foresees its next row (AVT). ``lstm``: one that rolls over the history and one
    that is unrolled until the event begins (RULSTM)."""
    width: PositiveInt | None = 256
    """Width of the network, to which features are projected; empty = that of the features, without
    projection (as published for the probe on tokens)."""
    depth: PositiveInt = 2
    """Blocks of attention (``attentive``, ``causal``)."""
    heads: PositiveInt = 4
    """Attention heads; they must divide the width."""
    mlp_ratio: PositiveFloat = 4.0
    """Hidden over input width of the MLPs."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the inputs and of what is classified that is set to zero in training."""
    positions: Literal["learned", "none"] = "learned"
    """Whether a row knows how long before the window's end it lies. ``none`` is published for
    tokens of a single clip, which know their place themselves."""
    horizon: bool = True
    """Whether the network is told how many seconds remain until the event."""
    unroll: PositiveFloat = 0.25
    """``lstm``: seconds of a step of the second LSTM, which makes as many as fit into the
    horizon."""
    fusion: Literal["mean", "attention"] = "mean"
    """Several features, each with a network of its own: the mean of their scores, or weights from
    what all of them have seen (RULSTM's modality attention, MATT)."""

    @model_validator(mode="after")
    def _divides(self) -> NetworkConfig:
        if self.width is not None and self.name != "lstm" and self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide width {self.width}")
        return self
