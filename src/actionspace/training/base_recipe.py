"""What the recipe of every task begins with."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from actionspace.config import Config


class BaseRecipe(Config):
    """What a recipe is called and for, where its videos lie, and what they are encoded with."""

    task: str
    """The task this recipe belongs to."""
    name: str
    """Name of the recipe."""
    description: str = ""
    """One sentence for ``list recipes``."""
    dataset: str = ""
    """Published data set it is for; empty = your own data."""
    data: str | None = None
    """Manifest or annotation file: a path."""
    root: str | None = None
    """Folder the video paths are relative to; empty = the manifest's."""
    weights: str | None = None
    """Weight file for the encoder; empty = the encoder's registered weights."""
    encoder_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the backbone."""
    device: str = "auto"
    """``auto`` (a GPU when there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
