"""What one process does for all: the others wait, however long it takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import cast

from actionspace.errors import RunError
from actionspace.training.machine import is_main_process, launched_processes

PATIENCE = timedelta(days=30)


@contextlib.contextmanager
def main_first(device: str, timeout: float) -> Iterator[None]:
    """Let the main process do the block first, then the others, who find what it left on disk.

    Args:
        device: where the training will run, e.g. ``cuda:0``.
        timeout: ``training.timeout``; the group of processes is made here, before the loop.

    Raises:
        RunError: the main process ended before the others had their turn.
    """
    if launched_processes() == 1:
        yield
        return
    import torch.distributed as dist
    from accelerate import PartialState

    PartialState(cpu=device == "cpu", timeout=timedelta(seconds=timeout))
    # Encoding may take hours: a group of its own, whose members notice at once if one is gone.
    group = cast("dist.ProcessGroup", dist.new_group(backend="gloo", timeout=PATIENCE))

    def wait() -> None:
        try:
            dist.barrier(group=group)
        except RuntimeError as e:
            raise RunError(
                "Another process of this training has stopped while features were encoded; its "
                "own message says why."
            ) from e

    if not is_main_process():
        wait()
    yield
    if is_main_process():
        wait()
