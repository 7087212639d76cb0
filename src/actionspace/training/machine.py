"""The machine a training runs on: device, processes, precision, and what ``auto`` came to.

accelerate finds the process group that ``torchrun`` started, picks the device of this process and
wraps the model for data parallelism. Autocast and the gradient scaler are PyTorch's own: accelerate
would patch the model's ``forward`` for good and fix one precision for the life of the process.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from actionspace.errors import UsageError
from actionspace.training.environment import best_device
from actionspace.training.freeze import trainable_state
from actionspace.training.options import TrainingConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def launched_processes() -> int:
    """Return how many processes ``torchrun`` started for this training; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """Return how many of them run on this machine and share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this process is the one that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True)
class Machine:
    """Where and how this process trains.

    Attributes:
        accelerator: accelerate's view of the processes.
        device: of this process.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        scaler: of the gradients in float16, else None.
        notes: what was chosen and why, in sentences.
    """

    accelerator: Accelerator
    device: torch.device
    precision: str
    scaler: torch.amp.GradScaler | None
    notes: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(self.accelerator.process_index)

    @property
    def world(self) -> int:
        """Number of processes."""
        return int(self.accelerator.num_processes)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context the model runs in."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=DTYPES[self.precision])

    def place(self, model: nn.Module, config: TrainingConfig) -> nn.Module:
        """Return the model on the device, compiled and wrapped as asked; ``model`` is changed."""
        model.to(self.device)
        if config.sync_batchnorm and self.world > 1 and self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        if config.compile:
            model.compile()  # in place: the names of its weights stay
        if self.world == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        with warnings.catch_warnings():  # of options that older versions of PyTorch need
            warnings.simplefilter("ignore", FutureWarning)
            wrapped = self.accelerator.prepare_model(model)
        assert isinstance(wrapped, DistributedDataParallel)
        return wrapped

    def seed(self, *key: int) -> None:
        """Seed dropout and the like from ``key``: (seed, step, pass, rank) and nothing else."""
        # Not torch.manual_seed, which visits every backend and costs 80 us a call.
        value = int(_mix(key))
        torch.default_generator.manual_seed(value)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(value)


def _mix(key: Sequence[int]) -> int:
    """Return 63 bits that differ for different keys (splitmix64 over the parts)."""
    state = 0
    for part in key:
        state = (state + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def set_up(model: nn.Module, config: TrainingConfig, device: str = "auto") -> Machine:
    """Join the other processes, choose device and precision.

    Args:
        model: what will be trained; decides whether buffers are shared at each step.
        config: precision and time limit.
        device: ``auto`` (a GPU when there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``. Under
            ``torchrun`` each process takes the GPU of its local rank.

    Raises:
        UsageError: the device or the precision is not to be had.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    world = launched_processes()
    notes: list[str] = []
    chosen = _device(device, notes)
    # Frozen parts have nothing to share; the state of trained ones (running statistics, loss
    # normalisers) follows process 0.
    parameters = {name for name, _ in model.named_parameters()}
    shared = any(name not in parameters for name in trainable_state(model))
    accelerator = Accelerator(
        cpu=chosen.type == "cpu",
        device_placement=False,
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=timedelta(seconds=config.timeout)),
            DistributedDataParallelKwargs(broadcast_buffers=shared, gradient_as_bucket_view=True),
        ],
    )
    if world > 1:
        chosen = accelerator.device
        notes.append(
            f"{world} processes ({accelerator.distributed_type.value.lower()}); a step has "
            f"{config.batch_size} samples in all."
        )
        if config.sync_batchnorm and chosen.type != "cuda":
            notes.append(
                f"training.sync_batchnorm: PyTorch shares batch statistics on GPUs only; on "
                f"{chosen.type} each process has its own."
            )
    precision = _precision(config.precision, chosen, notes)
    scaler = torch.amp.GradScaler(chosen.type) if precision == "float16" else None
    return Machine(accelerator, chosen, precision, scaler, tuple(notes))


def _device(name: str, notes: list[str]) -> torch.device:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = best_device()
        why = "there is one" if name != "cpu" else "no GPU is to be had"
        notes.append(f"device=auto: {name}, since {why}.")
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise UsageError(f"device '{name}' is none of auto, cpu, cuda, cuda:N, mps.") from e
    there = {"cuda": cuda, "mps": mps, "cpu": True}.get(device.type, False)
    if not there:
        raise UsageError(f"device '{name}' is not to be had on this machine; use device=auto.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{name}': there are {torch.cuda.device_count()} GPUs, from 0.")
    return device


def _precision(name: str, device: torch.device, notes: list[str]) -> str:
    if name == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        name = "bfloat16" if native else "float32"
        where = f"{device.type} computes it natively" if native else f"on {device.type} it is exact"
        notes.append(f"training.precision=auto: {name}, since {where}.")
    if name == "float16" and device.type == "cpu":
        raise UsageError(
            "training.precision=float16 needs a GPU: the CPU computes it slowly and badly. Use "
            "bfloat16 or float32."
        )
    return name


def micro_batch_size(config: TrainingConfig, limit: int | None, machine: Machine) -> int:
    """Return the samples of one forward pass of this process.

    Args:
        config: ``micro_batch_size`` and ``batch_size``.
        limit: what the task thinks a pass on this device can hold; None = anything.
        machine: the number of processes.
    """
    share = -(-config.batch_size // machine.world)
    if config.micro_batch_size is not None:
        return min(config.micro_batch_size, share)
    return share if limit is None else max(1, min(share, limit))
