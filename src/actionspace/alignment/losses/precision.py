"""Losses that are computed in float32 whatever the network's precision is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Make a loss see half-precision tensors as float32, and compute without autocast.

    Similarities of float16 over a temperature of 0.1 have steps of 1/128 and their exponentials
    overflow above 11: what the original of CARL under mixed precision turns into NaN. Tensors of
    float32 and float64 are taken as they are.
    """

    @wraps(loss)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(device, enabled=False):
            wide: Any = loss
            return wide(*map(_widened, args), **{k: _widened(v) for k, v in kwargs.items()})  # type: ignore[no-any-return]

    return computed


def _widened(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value
