"""Small networks and batches that several tests use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from actionspace.localization.network.config import ModelConfig

if TYPE_CHECKING:
    from actionspace.localization.network.model import ActionFormer

DIM, CLASSES = 6, 4


def tiny(**changes: Any) -> ModelConfig:
    """Options of a network of four levels, 16 channels and windows of 5."""
    values: dict[str, Any] = {
        "embed_dim": 16,
        "neck_dim": 16,
        "head_dim": 16,
        "branch_blocks": 3,
        "heads": 2,
        "windows": 5,
        "max_length": 96,
        "buffer_factor": 4.0,
        "regression_ranges": ((0, 4), (4, 8), (8, 16), (16, 10_000)),
    }
    return ModelConfig.model_validate(values | changes)


def network(seed: int = 0, **changes: Any) -> ActionFormer:
    """A network whose norms, scales and biases differ from where they start."""
    import torch

    from actionspace.localization.network.model import ActionFormer

    torch.manual_seed(seed)
    config = tiny(**changes)
    model = ActionFormer(config, sum(config.input_split) or DIM, CLASSES)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2 or parameter.numel() == max(parameter.shape):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def pad(videos: Sequence[Any], rows: int) -> tuple[Any, Any]:
    """Features ``[C, T]`` of several videos as ``[B, C, rows]``, and their mask."""
    import torch
    from torch.nn import functional

    features = torch.stack([functional.pad(v, (0, rows - v.shape[1])) for v in videos])
    lengths = torch.tensor([v.shape[1] for v in videos])
    return features, (torch.arange(rows) < lengths[:, None])[:, None]
