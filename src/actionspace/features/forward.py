"""Run an encoder over batches of uint8 clips: device, precision, reproducible noise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from actionspace.encoders.encoder import Encoder
from actionspace.errors import StoreError, UsageError
from actionspace.features.tokens import pool_tokens

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CLIP = 32 * 224 * 224  # voxels of the clip that batch sizes are measured in


def compute_dtype(precision: str, device: torch.device) -> str:
    """Return ``precision``, or for ``"auto"`` bfloat16 on CUDA and float32 elsewhere.

    Raises:
        UsageError: no such precision.
    """
    if precision == "auto":
        return "bfloat16" if device.type == "cuda" else "float32"
    if precision not in _DTYPES:
        raise UsageError(f"precision '{precision}' is none of auto, {', '.join(_DTYPES)}.")
    return precision


def arithmetic(precision: str, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return the context in which an encoder computes in ``precision``, whatever is outside."""
    dtype = _DTYPES[compute_dtype(precision, device)]
    if dtype == torch.float32:
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype=dtype)


def default_batch_size(encoder: Encoder) -> int:
    """Return clips per batch, by the size of a clip: 32 of 32x224x224 on CUDA, 2 on the CPU."""
    clip = encoder.clip
    budget = (32 if device_of(encoder).type == "cuda" else 2) * _CLIP
    return int(np.clip(budget // (clip.frames * clip.size * clip.size), 1, 256))


def device_of(encoder: torch.nn.Module) -> torch.device:
    """Return where the encoder's parameters (or else buffers) are."""
    tensors = [*encoder.parameters(), *encoder.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


class Forward:
    """Clips in, pooled features or tokens out; the same batch gives the same bytes."""

    def __init__(
        self,
        encoder: Encoder,
        precision: str = "auto",
        compile: bool = False,
        stochastic_depth: bool = False,
        batch_size: int = 1,
        tokens: str | None = None,
    ) -> None:
        self._encoder = encoder
        self._device = device_of(encoder)
        self._precision = precision
        self._stochastic_depth = stochastic_depth
        run: Any = encoder
        if tokens is not None:

            def run(x: torch.Tensor) -> torch.Tensor:
                return pool_tokens(encoder.forward_features(x), tokens)

        self._run: Any = torch.compile(run) if compile else run
        self._least = batch_size if compile else 1  # one shape, one compilation

    def __call__(self, clips: np.ndarray, seed: int) -> np.ndarray:
        """Encode uint8 clips ``[B, T, H, W, 3]`` into float32 ``[B, D]``, or tokens ``[B, L, D]``.

        ``seed`` decides the stochastic depth of this batch, if that is on.

        Raises:
            StoreError: the batch does not fit into the device's memory.
        """
        count = len(clips)
        if count < self._least:
            clips = np.concatenate([clips, clips[-1:].repeat(self._least - count, axis=0)])
        batch = torch.from_numpy(clips)
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        try:
            with (
                torch.inference_mode(),
                self._mode(seed),
                arithmetic(self._precision, self._device),
            ):
                found = self._run(self._encoder.prepare(batch))
            return np.asarray(found.float().cpu().numpy()[:count])
        except torch.OutOfMemoryError as e:
            raise StoreError(
                f"{count} clips at once do not fit into the memory of {self._device}; use a "
                f"smaller batch size. Finished videos are kept."
            ) from e

    @contextlib.contextmanager
    def _mode(self, seed: int) -> Iterator[None]:
        """Evaluation mode, with drop path as asked, leaving modes and generators as found."""
        before = [(m, m.training) for m in self._encoder.modules() if m.training]
        self._encoder.eval()
        try:
            if not self._stochastic_depth:
                yield
                return
            devices = [self._device] if self._device.type == "cuda" else []
            with torch.random.fork_rng(devices), self._encoder.stochastic_depth():
                torch.manual_seed(seed)
                yield
        finally:
            for module, mode in before:
                module.training = mode
