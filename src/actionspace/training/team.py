"""The processes of one training: what they agree on, and that none waits for one that is gone."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from actionspace.errors import RunError
from actionspace.training.peers import Said
from actionspace.training.watchdog import GRACE, Watch

#: What the messages of a broken connection contain; gloo raises no type of its own.
BROKEN = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "timed out")
LONGEST = 2000  # characters of an error that the others are told


@dataclass(frozen=True)
class Word:
    """What all processes agree on in a step.

    Attributes:
        stop: whether any of them was asked to stop.
        missing: samples that could not be read, over all of them.
    """

    stop: bool
    missing: int


@dataclass(frozen=True)
class Pending:
    """A :class:`Word` that is on its way."""

    word: Word
    work: Any = None
    values: Tensor | None = None

    def wait(self) -> Word:
        """Return the word.

        Raises:
            RuntimeError: a process is gone; see :meth:`Team.explain`.
        """
        if self.values is None:
            return self.word
        self.work.wait()
        stop, missing = self.values.tolist()
        return Word(stop > 0, missing)


class Team:
    """The processes of one training. Alone, everything is a no-op and costs nothing.

    Each collective (``tell``, ``gather``, ``sum``, ``share``, ``wait``) must be called by all
    processes in the same order, and raises a bare :class:`RuntimeError` if one of them is gone;
    :meth:`explain` then says which. Every training ends with ``leave``, ``fail`` or ``explain``.
    """

    def __init__(
        self, rank: int = 0, world: int = 1, control: Any = None, watch: Watch | None = None
    ) -> None:
        self.rank, self.world = rank, world
        self._control, self._watch = control, watch

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    @classmethod
    def join(cls, *, timeout: float) -> Team:
        """Find the other processes of ``torch.distributed``, as ``torchrun`` started them.

        Args:
            timeout: seconds after which a process that the others wait for is stuck.
        """
        if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return cls()
        # NCCL's own watchdog aborts the process after the group's timeout and names nobody.
        patience = max(timeout / 2, timeout - GRACE) if "nccl" in dist.get_backend() else timeout
        limit = timedelta(seconds=patience)
        rank, world = dist.get_rank(), dist.get_world_size()
        control: Any = dist.new_group(backend="gloo", timeout=limit)
        name = [f"actionspace/{uuid.uuid4().hex}"]
        dist.broadcast_object_list(name, src=0, group=control)
        # A client of our own to the store that torch.distributed met at: the launcher's, which
        # outlives the processes, or else that of rank 0.
        store = dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=limit,
        )
        me = Said(rank, socket.gethostname(), os.getpid())
        watch = Watch(store, name[0], me, world, patience=patience)
        dist.barrier(group=control)
        watch.start()
        return cls(rank, world, control, watch)

    def tell(self, *, stop: bool, missing: int) -> Pending:
        """Send the others word of this step; it is on its way while gradients are computed.

        Args:
            stop: whether this process was asked to stop.
            missing: samples of this process that could not be read.
        """
        if self._watch is None:
            return Pending(Word(stop, missing))
        self._watch.move()
        values = torch.tensor([int(stop), missing])
        work = dist.all_reduce(values, group=self._control, async_op=True)
        return Pending(Word(stop, missing), work, values)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes (whatever can be pickled), in the order of ranks."""
        if self._watch is None:
            return [value]
        self._watch.move()
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value, group=self._control)
        return found

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes of a tensor on the training's device."""
        if self._watch is None:
            return values
        self._watch.move()
        total = values.clone()
        dist.all_reduce(total)
        return total

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors on the training's device with those of the main process."""
        if self._watch is not None:
            self._watch.move()
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Return when all processes have come to this point."""
        if self._watch is not None:
            self._watch.move()
            dist.barrier(group=self._control)

    def beat(self, step: int) -> None:
        """Note how many optimiser steps this process has done."""
        if self._watch is not None:
            self._watch.note(step=step)

    def fail(self, error: BaseException) -> None:
        """Stop with an error of this process's own; the others will stop with its message."""
        if self._watch is not None:
            said = str(error) or type(error).__name__
            self._watch.charge(f"{self._watch.who} stopped: {said[:LONGEST]}")
            self._watch.end()

    def explain(self, error: BaseException) -> BaseException:
        """Return the error to raise in place of one that may come from a broken collective.

        Takes seconds. An error of this process's own is returned as it is, and the others are
        told; else the :class:`RunError` says which process failed, vanished or is stuck.
        """
        if self._watch is None:
            return error
        if not _is_broken_connection(error):
            self.fail(error)
            return error
        verdict = self._watch.inquire(error)
        self._watch.end()
        return RunError(f"Another process stopped, so this one does. {verdict}")

    def leave(self) -> None:
        """End the team when all processes have come to this point.

        Raises:
            RunError: one of them did not; the message names it.
        """
        if self._watch is None:
            return
        verdict = self._watch.leave()
        self._watch.end()
        if verdict:
            raise RunError(f"Another process stopped, so this one does. {verdict}")
        dist.destroy_process_group(self._control)


def _is_broken_connection(error: BaseException) -> bool:
    """Return whether an error comes from the connection to another process."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        isinstance(error, dist.DistError) or any(word in text for word in BROKEN)
    )
