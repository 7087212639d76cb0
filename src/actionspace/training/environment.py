"""The record of what a run ran on: versions, device, time, memory, parameters."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

PACKAGES = ("torch", "accelerate", "numpy", "pandas", "av", "safetensors", "scikit-learn", "scipy")


@dataclass
class Stopwatch:
    """Wall and CPU time since it was made, in seconds, with the time of each named part."""

    started: float = field(default_factory=time.perf_counter)
    cpu_started: float = field(default_factory=time.process_time)
    parts: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> float:
        """Add the seconds since the previous lap to part ``name`` and return them."""
        now = time.perf_counter()
        seconds = now - self._last
        self._last = now
        self.parts[name] = self.parts.get(name, 0.0) + seconds
        return seconds

    @property
    def wall(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.perf_counter() - self.started

    @property
    def cpu(self) -> float:
        """CPU seconds of this process since the stopwatch was made."""
        return time.process_time() - self.cpu_started


def peak_memory_bytes() -> int | None:
    """Return the largest resident size this process has had; None where nobody says (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def best_device() -> str:
    """Return the kind of device that ``auto`` means: ``cuda``, ``mps`` or ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_device(name: str) -> str:
    """Return a torch device name; ``auto`` is a GPU when there is one.

    Under ``torchrun`` each process takes a GPU of its own.
    """
    if name == "auto":
        name = best_device()
    own = os.environ.get("LOCAL_RANK")
    return f"cuda:{own}" if name == "cuda" and own is not None else name


def peak_gpu_memory_bytes(device: str) -> int | None:
    """Return the most memory this process had allocated on a CUDA device; None on another."""
    import torch

    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return int(torch.cuda.max_memory_allocated(device)) if on_gpu else None


def process_facts(device: str) -> dict[str, Any]:
    """Return what :func:`over_processes` needs of this process."""
    return {
        "node": (platform.node(), os.environ.get("GROUP_RANK", "0")),  # torchrun numbers its agents
        "memory": peak_memory_bytes(),
        "gpu_memory": peak_gpu_memory_bytes(device),
    }


def over_processes(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return entries for ``environment.json`` that concern all processes of a training.

    Memory is that of all together, GPU memory that of the fullest GPU.

    Args:
        facts: :func:`process_facts` of each process, in rank order.
    """
    memory = [f["memory"] for f in facts if f["memory"] is not None]
    gpu_memory = [f["gpu_memory"] for f in facts if f["gpu_memory"] is not None]
    return {
        "processes": len(facts),
        "nodes": len({tuple(f["node"]) for f in facts}),
        "peak_memory_bytes": sum(memory) if memory else None,
        "peak_gpu_memory_bytes": max(gpu_memory, default=None),
    }


def package_versions() -> dict[str, str]:
    """Return the installed version of each package that can change a number."""
    versions = {"python": platform.python_version()}
    for name in ("actionspace", *PACKAGES):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe(
    *,
    device: str,
    stopwatch: Stopwatch,
    trainable_parameters: int,
    total_parameters: int,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of ``environment.json``.

    Args:
        device: the torch device the encoder ran on, e.g. ``cpu`` or ``cuda:0``.
        stopwatch: started when the run began.
        trainable_parameters: numbers that were fitted (the head's).
        total_parameters: those and the frozen encoder's.
        extra: further entries; one of the same name replaces what is found here.
    """
    import torch

    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "versions": package_versions(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_gpu else (platform.processor() or "cpu"),
        "torch_device": device,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "wall_seconds": round(stopwatch.wall, 3),
        "cpu_seconds": round(stopwatch.cpu, 3),
        "parts_seconds": {k: round(v, 3) for k, v in stopwatch.parts.items()},
        "peak_memory_bytes": peak_memory_bytes(),
        "peak_gpu_memory_bytes": peak_gpu_memory_bytes(device),
        "trainable_parameters": trainable_parameters,
        "total_parameters": total_parameters,
        **(extra or {}),
    }
