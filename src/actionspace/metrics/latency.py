"""How long a model takes for a batch, measured so that the figure can be compared.

Unwarmed, unsynchronised timings report how fast work is queued on a GPU, not how fast it is done;
and a mean hides the stalls that users notice. Here some calls go before, every timed call waits
for the device on both sides, and median and 95th percentile are given with the batch size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from actionspace.errors import UsageError


@dataclass(frozen=True)
class Latency:
    """Seconds per call on ``batch_size`` clips, over ``calls`` timed calls after ``warmup`` ones.

    Attributes:
        device: where the work was done, as torch names it.
        batch_size: clips per call.
        warmup, calls: calls that were not and that were timed.
        median, p95: seconds per call.
    """

    device: str
    batch_size: int
    warmup: int
    calls: int
    median: float
    p95: float

    @property
    def per_clip(self) -> float:
        """Median seconds per clip."""
        return self.median / self.batch_size

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, seconds per clip included."""
        return {**asdict(self), "per_clip": self.per_clip}

    def __str__(self) -> str:
        return (
            f"{1e3 * self.median:.2f} ms median, {1e3 * self.p95:.2f} ms p95 per batch of "
            f"{self.batch_size} ({1e3 * self.per_clip:.2f} ms per clip; {self.device}, "
            f"{self.calls} calls after {self.warmup})"
        )


def measure_latency(
    call: Callable[[], object],
    *,
    batch_size: int,
    device: str = "cpu",
    warmup: int = 5,
    calls: int = 30,
) -> Latency:
    """Time ``call()``, which runs one batch of ``batch_size`` clips on ``device``.

    What the call includes is what is measured: with the batch on the device already, the model
    alone. Gradients are the caller's affair (``torch.inference_mode``).

    Raises:
        UsageError: no timed call, or a batch without clips.
    """
    if batch_size < 1 or calls < 1 or warmup < 0:
        raise UsageError(
            f"batch_size={batch_size}, warmup={warmup}, calls={calls}: time at least one call on "
            f"at least one clip."
        )
    wait = _synchroniser(device)
    for _ in range(warmup):
        call()
    seconds = np.empty(calls)
    for i in range(calls):
        wait()
        start = time.perf_counter()
        call()
        wait()
        seconds[i] = time.perf_counter() - start
    median, p95 = np.quantile(seconds, [0.5, 0.95])
    return Latency(device, batch_size, warmup, calls, float(median), float(p95))


def _synchroniser(device: str) -> Callable[[], None]:
    """Return what waits until the device has done all it was given."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return lambda: None
    import torch

    if kind == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if kind == "mps":
        return torch.mps.synchronize
    raise UsageError(f"Cannot wait for the device '{device}'; use cpu, cuda or mps.")
