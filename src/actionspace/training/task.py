"""What a task gives the trainer, and what the trainer gives a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn


class Items(Protocol):
    """What is learnt from, loaded one by one. Randomness is a function of (seed, epoch, sample)."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def name(self, index: int) -> str:
        """Return what messages call a sample: its file and where in it."""

    def load(self, index: int, epoch: int) -> Any:
        """Return one sample; called from several threads at a time.

        Raises:
            ActionspaceError: it cannot be had; the loader's policy decides what follows.
        """

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return a batch of CPU tensors (nested in dicts, lists, tuples or dataclasses)."""


@runtime_checkable
class Table(Protocol):
    """What is learnt from, in memory: a batch is taken in one call, without threads."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def name(self, index: int) -> str:
        """Return what messages call a sample."""

    def gather(self, indices: np.ndarray, epoch: int) -> Any:
        """Return the batch of some samples, int64 ``[B]``: tensors, nested as in a collated one."""


@runtime_checkable
class Grouped(Protocol):
    """Samples of which a step sees those of one group only (videos of one action)."""

    step_groups: np.ndarray | None
    """Number of each sample's group, int64 ``[N]``; None = there are no groups."""


#: What a task learns from, by number.
Samples = Items | Table


@dataclass(frozen=True)
class Batch:
    """One forward pass of one process.

    Attributes:
        data: what ``collate`` made, on the device.
        indices: int64 ``[B]``, the samples in it.
        weight: how many of them count. 0 = the batch only keeps this process in step with the
            others: its loss is multiplied by zero.
        missing: samples that should have been in it and could not be read.
    """

    data: Any
    indices: np.ndarray
    weight: int
    missing: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: metrics by name, and pictures by title.

    Pictures (uint8 ``[H, W, 3]``) are drawn where somebody looks at them, on the main process with
    TensorBoard on.
    """

    metrics: Mapping[str, float]
    images: Mapping[str, Callable[[], np.ndarray]] = field(default_factory=dict)


class Evaluator(Protocol):
    """What a task evaluates with: every sample exactly once, over all processes."""

    def batches(self, samples: Samples) -> Iterator[Batch]:
        """Yield this process's share of the samples, in ragged batches on the device."""

    def gather(
        self, indices: Sequence[np.ndarray], rows: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(indices [N], rows [N, ...])`` of all processes, ordered by index."""


class Task(Protocol):
    """A model, what it learns from, and how well it does.

    ``model`` is an ``nn.Module`` on the CPU; frozen parts have ``requires_grad=False`` (see
    ``training.freeze``). Losses must be means over the samples of the batch, so that the parts of
    a step, weighed by their numbers of samples, add up to the mean over the whole step.
    """

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @property
    def train(self) -> Samples:
        """What it learns from."""

    def pass_limit(self, device: torch.device) -> int | None:
        """Return the samples one forward pass on this device should hold at most, None = any."""

    def set_training(self, model: nn.Module) -> None:
        """Put trained parts into training mode and frozen ones into evaluation mode."""

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return scalar losses of one batch: ``loss`` is minimised, the others are recorded.

        ``model`` is the wrapped one (data parallel, compiled): call it once, as a whole.
        """

    def evaluate(self, model: nn.Module, evaluator: Evaluator) -> Evaluation | None:
        """Evaluate in eval mode without gradients; None = there is nothing to evaluate on."""
