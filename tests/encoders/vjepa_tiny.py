"""Tiny V-JEPA networks, with weights that are not near 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from actionspace.encoders.vjepa import VJEPA2
from actionspace.encoders.vjepa21 import VJEPA21
from actionspace.encoders.vjepa_predictor import VJEPA2Predictor, VJEPA21Predictor

WIDTH = {"embed_dim": 24, "num_heads": 2}


def _random(net: nn.Module, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        near = 1.0 if p.ndim == 1 and p.mean() == 1 else 0.0
        p.data = near + 0.2 * torch.randn(p.shape, generator=generator)
    return net.eval()


def v2(seed: int = 0, **options: Any) -> VJEPA2:
    net: VJEPA2 = _random(VJEPA2(**{"depth": 2, "mlp_ratio": 2.0, **WIDTH, **options}), seed)
    return net


def v21(seed: int = 0, **options: Any) -> VJEPA21:
    net: VJEPA21 = _random(VJEPA21(**{"depth": 12, "mlp_ratio": 1.0, **WIDTH, **options}), seed)
    return net


def p2(seed: int = 0, **options: Any) -> VJEPA2Predictor:
    small = {"embed_dim": 24, "predictor_embed_dim": 36, "num_heads": 3, "depth": 2}
    net: VJEPA2Predictor = _random(VJEPA2Predictor(**{"img_size": 64, **small, **options}), seed)
    return net


def p21(seed: int = 0, **options: Any) -> VJEPA21Predictor:
    small = {"embed_dim": 24, "predictor_embed_dim": 36, "num_heads": 3, "depth": 2}
    net: VJEPA21Predictor = _random(VJEPA21Predictor(**{"img_size": 64, **small, **options}), seed)
    return net


def clips(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
