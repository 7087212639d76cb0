"""Activation checkpointing (Chen et al., 2016): recompute rather than remember."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_activations(model: nn.Module) -> int:
    """Make the blocks of a model forget their activations and compute them again when needed.

    Blocks are the composite elements of its ModuleLists; of nested lists the innermost ones. The
    model is changed in place. Its weights, their names and its results stay the same, to the bit
    and with dropout as well. Where no gradient flows, nothing is computed twice.

    Returns:
        The number of blocks. Blocks that do so already, by this or a ``use_checkpoint`` of their
        own, are left alone and not counted.
    """
    blocks = [block for block in _blocks(model) if not _recomputes(block)]
    for block in blocks:
        kind = type(block)
        # A subclass rather than a wrapper: names in the state dict stay, and copies are right.
        block.__class__ = type(kind.__name__, (_Recomputed, kind), {})
    return len(blocks)


def _blocks(module: nn.Module) -> list[nn.Module]:
    found = []
    for child in module.children():
        inner = _blocks(child)
        composite = any(True for _ in child.children())
        if not inner and composite and isinstance(module, nn.ModuleList):
            inner = [child]
        found += inner
    return found


def _recomputes(block: nn.Module) -> bool:
    return isinstance(block, _Recomputed) or bool(getattr(block, "use_checkpoint", False))


class _Recomputed(nn.Module):
    """Mixed into the class of a block in front of it."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        options: dict[str, Any] = {"use_reentrant": False}
        counts = any(isinstance(module, _BatchNorm) for module in self.modules())
        if counts and not torch.compiler.is_compiling():  # compiled, only pure parts are repeated
            options["context_fn"] = lambda: (contextlib.nullcontext(), _statistics_kept(self))
        return checkpoint(super().forward, *args, **options, **kwargs)


@contextlib.contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Keep the second pass from counting a batch twice: it writes to copies of the statistics."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    own = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({k: v.clone() for k, v in norm._buffers.items() if v is not None})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, own, strict=True):
            norm._buffers.update(buffers)
