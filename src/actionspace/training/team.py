"""The processes of one training: what they agree on, and who is gone when one is.

Alone, everything is a no-op. With others, one small all-reduce per optimiser step, under way while
gradients are computed, tells all whether any was asked to stop and how many samples were missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from actionspace.errors import RunError
from actionspace.training.watchdog import SILENT, Watchdog

#: What errors of a broken collective say; gloo's have no class of their own.
BROKEN = ("gloo", "nccl", "connection", "socket", "process group", "timed out", "broken pipe")


@dataclass(frozen=True)
class Word:
    """What all processes have said of a step.

    Attributes:
        stop: whether any of them was asked to stop.
        missing: samples that could not be read, over all.
    """

    stop: bool
    missing: int

    def wait(self) -> Word:
        """Return at once: there is nobody to wait for."""
        return self


@dataclass(frozen=True)
class Pending:
    """A word that is under way."""

    work: Any
    values: Tensor

    def wait(self) -> Word:
        """Return what was said once all have."""
        self.work.wait()
        stop, missing = self.values.tolist()
        return Word(stop > 0, missing)


class Team:
    """This process and the others."""

    def __init__(self, timeout: float) -> None:
        self.rank, self.world = 0, 1
        self._watchdog: Watchdog | None = None
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        limit = timedelta(seconds=timeout)
        self._control = cast("dist.ProcessGroup", dist.new_group(backend="gloo", timeout=limit))
        address = os.environ.get("MASTER_ADDR", "127.0.0.1")
        port = [0]
        if self.is_main:
            self._watchdog = Watchdog(0, self.world, address, 0)
            port = [self._watchdog.port]
        dist.broadcast_object_list(port, src=0, group=self._control)
        if not self.is_main:
            self._watchdog = Watchdog(self.rank, self.world, address, port[0])

    @classmethod
    def join(cls, *, timeout: float) -> Team:
        """Join the processes that ``torch.distributed`` connects, if it does.

        Args:
            timeout: seconds after which a process that does not answer ends the training.
        """
        return cls(timeout)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def tell(self, *, stop: bool, missing: int) -> Word | Pending:
        """Say how this process's step was; :meth:`Pending.wait` returns what all have said."""
        if self.world == 1:
            return Word(stop, missing)
        values = torch.tensor([int(stop), missing])
        return Pending(dist.all_reduce(values, group=self._control, async_op=True), values)

    def beat(self, step: int) -> None:
        """Note the last step done, for the others to know."""
        if self._watchdog is not None:
            self._watchdog.step = step

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes (values on the device of the training)."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """Return the (picklable) values of all processes, in the order of ranks."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value, group=self._control)
        return found

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors with those of the main process."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.world > 1:
            dist.barrier(group=self._control)

    def leave(self) -> None:
        """End well, together with the others."""
        if self._watchdog is not None:
            self.wait()
            self._watchdog.leave()
            self._watchdog = None

    def fail(self, error: BaseException) -> None:
        """Let the others know why this process stops."""
        if self._watchdog is not None:
            text = str(error) or type(error).__name__
            self._watchdog.fail(text)
            # The store is in the main process: let the others read it before that ends.
            time.sleep(2 * SILENT if self.is_main else 0)

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error: if a collective broke, who broke it and why.

        An error of this process itself is passed on to the others and returned.
        """
        if self._watchdog is None or not _is_broken(error):
            self.fail(error)
            return error
        end = time.monotonic() + SILENT + 3.0
        while time.monotonic() < end:
            verdict = self._watchdog.verdict()
            if verdict is not None:
                return RunError(f"Another process stopped, so this one does: {verdict}")
            time.sleep(0.2)
        slowest = self._watchdog.slowest()
        if slowest is not None:
            return RunError(
                f"Waited in vain for {slowest}, which is alive and behind the others: its data may "
                "be slow or its device stuck. Raise training.timeout if it needs longer."
            )
        return RunError(f"The processes lost touch with each other: {error}")


def _is_broken(error: BaseException) -> bool:
    """Say whether an error comes from a collective and not from this process's own work."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in text for word in BROKEN)
    )
