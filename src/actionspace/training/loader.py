"""Batches of samples on the device, in order, prepared ahead of their use.

Tables in memory are gathered in one call per batch. Everything else is loaded by threads
(:mod:`actionspace.training.prefetch`). What happens to a sample that cannot be had is decided
here, in the same way on every process: it ends the training, or it leaves its batch and is not
tried again. A batch never vanishes, so that processes stay in step: if nothing of it is left, some
other sample takes its place with weight 0.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from actionspace.errors import ActionspaceError, DataError
from actionspace.training.plan import Pass
from actionspace.training.prefetch import Another, Prefetch
from actionspace.training.task import Batch, Items, Samples, Table
from actionspace.video.loader import usable_cores

log = logging.getLogger("actionspace")

#: Seconds after which a load that has not returned is given up: longer than it takes to read a
#: large video twice, as its first clip may need. (A dead drive is noticed sooner by libav.)
TIME_LIMIT = 600.0

#: Samples tried in place of those of a batch that cannot be loaded before all is given up.
SUBSTITUTES = 20

#: More threads than this are never faster: the parts that need Python's lock fill its time.
MOST_WORKERS = 16


def choose_workers(asked: int | None, *, processes: int = 1) -> tuple[int, str]:
    """Return how many threads prepare samples, and a sentence that says why.

    Args:
        asked: what the recipe says; None = a thread for each core this process may count on.
        processes: processes of the training on this machine, which share its cores.
    """
    if asked is not None:
        return asked, f"Samples are prepared by {_threads(asked)} (as asked)."
    cores = usable_cores()
    workers = max(1, min(cores // processes, MOST_WORKERS))
    share = f" for {processes} processes" if processes > 1 else ""
    return workers, f"Samples are prepared by {_threads(workers)} (auto: {cores} cores{share})."


class Loader:
    """Batches of one set of samples.

    Args:
        samples: what to load; with a method ``gather(indices, epoch)`` it is called once per
            batch instead of ``load`` and ``collate``, without threads.
        device: where batches are wanted.
        workers: threads, None = see :func:`choose_workers`; 0 = none, everything is done when it
            is needed.
        policy: ``raise`` an error for a sample that cannot be had (``load`` raises an
            :class:`ActionspaceError`), or ``skip`` it. Other errors are bugs and always raised.
        time_limit: seconds that a thread may spend on one sample before it is given up and left
            behind; None = 600.

    Attributes:
        wait_seconds: how long the consumer waited for batches, so far.
        skipped: samples left out by number, with the reason; they are not tried again.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        device: torch.device,
        workers: int | None = None,
        policy: Literal["raise", "skip"] = "skip",
        time_limit: float | None = None,
    ) -> None:
        if device.type == "cuda" and device.index is None:  # threads begin on the first device
            device = torch.device("cuda", torch.cuda.current_device())
        self.samples = samples
        self.device = device
        self.policy = policy
        self.workers = choose_workers(workers)[0]
        self.time_limit = TIME_LIMIT if time_limit is None else time_limit
        self.wait_seconds = 0.0
        self.skipped: dict[int, str] = {}
        self._lock = threading.Lock()

    def stream(self, passes: Sequence[Pass], epoch: int) -> Generator[Batch]:
        """Yield the batch of each pass, in order; close the generator to stop early.

        Raises:
            DataError: a sample cannot be had and the policy is ``raise``; or not one can.
        """
        if isinstance(self.samples, Table):
            return self._gathered(self.samples, passes, epoch)
        return self._prepared(self.samples, passes, epoch)

    def _gathered(self, table: Table, passes: Sequence[Pass], epoch: int) -> Generator[Batch]:
        clock, on_cpu = time.perf_counter, self.device.type == "cpu"
        for one in passes:
            began = clock()
            data = table.gather(one.indices, epoch)
            if not on_cpu:
                data = self._to_device(self._pin(data))
            self.wait_seconds += clock() - began
            yield Batch(data, one.indices, 0 if one.filler else len(one.indices))

    def _prepared(self, items: Items, passes: Sequence[Pass], epoch: int) -> Generator[Batch]:
        torch.get_num_threads()  # settles this thread's, see _begin_thread
        ahead = Prefetch(
            passes,
            load=lambda index: self._load(items, index, epoch),
            combine=lambda one, found: self._combine(items, one, found, epoch),
            give_up=self._give_up,
            begin=self._begin_thread,
            workers=self.workers,
            time_limit=self.time_limit,
        )
        batches = iter(ahead)
        try:
            while True:
                began = time.perf_counter()
                batch = next(batches, None)
                if batch is None:
                    return
                if self.device.type != "cpu":
                    batch = dataclasses.replace(batch, data=self._to_device(batch.data))
                self.wait_seconds += time.perf_counter() - began
                yield batch
        finally:
            ahead.close()

    # ---- in the threads --------------------------------------------------------------------

    def _begin_thread(self) -> None:
        """Keep a thread to one core and to this process's device.

        PyTorch holds the number of threads of its kernels per thread, else each of ours would
        start as many as there are cores.
        """
        torch.set_num_threads(1)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def _load(self, items: Items, index: int, epoch: int) -> Any:
        if index in self.skipped:
            return _Missing(self.skipped[index])
        try:
            return items.load(index, epoch)
        except ActionspaceError as e:
            return self._leave_out(index, str(e), e)
        except Exception as e:
            e.add_note(f"This happened while the sample {self.samples.name(index)} was loaded.")
            raise

    def _give_up(self, index: int, seconds: float) -> Any:
        reason = (
            f"Loading it has not ended for {seconds:.0f} s. Copy its file to a local disk, or "
            "re-encode it."
        )
        return self._leave_out(index, reason, None)

    def _leave_out(self, index: int, reason: str, error: ActionspaceError | None) -> _Missing:
        name = self.samples.name(index)
        if self.policy == "raise":
            raise DataError(
                f"The sample {name} cannot be loaded: {reason} Correct or remove it, or leave such "
                "samples out with training.policy=skip."
            ) from error
        with self._lock:
            new = index not in self.skipped
            self.skipped.setdefault(index, reason)
        if new:
            log.warning("Left out: %s (%s)", name, reason)
        return _Missing(reason)

    def _combine(
        self, items: Items, one: Pass, found: Sequence[tuple[int, Any]], epoch: int
    ) -> Batch | Another:
        """Collate what was found of a pass, or ask for a substitute if that is nothing."""
        good = [(index, sample) for index, sample in found if not isinstance(sample, _Missing)]
        wanted = len(one.indices)
        if not good:
            return self._substitute(found, wanted, epoch)
        data = items.collate([sample for _, sample in good])
        counted = 0 if one.filler or len(found) > wanted else len(good)
        return Batch(
            data=self._pin(data),
            indices=np.array([index for index, _ in good], dtype=np.int64),
            weight=counted,
            missing=0 if one.filler else wanted - counted,
        )

    def _substitute(self, found: Sequence[tuple[int, Any]], wanted: int, epoch: int) -> Another:
        """Return the next sample to try: the first not known to be bad in an order of its own.

        Neighbours are no use, they often lie in the same broken file.
        """
        if len(found) - wanted < SUBSTITUTES:
            order = np.random.default_rng((found[0][0], epoch)).permutation(len(self.samples))
            index = next((i for i in order.tolist() if i not in self.skipped), None)
            if index is not None:
                return Another(index)
        reasons = "; ".join(f"{self.samples.name(i)}: {what.reason}" for i, what in found[:3])
        raise DataError(
            f"Samples cannot be loaded: {len(found)} tried one after another gave nothing "
            f"({len(self.skipped)} of {len(self.samples)} are left out so far). {reasons} Check "
            "that the videos are where the manifest says."
        )

    # ---- between memory and device ---------------------------------------------------------

    def _pin(self, data: Any) -> Any:
        return _map_tensors(data, Tensor.pin_memory) if self.device.type == "cuda" else data

    def _to_device(self, data: Any) -> Any:
        return _map_tensors(data, lambda x: x.to(self.device, non_blocking=True))


@dataclasses.dataclass(frozen=True)
class _Missing:
    """Stands for a sample that was left out."""

    reason: str


def _map_tensors(data: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the same nesting of dicts, lists, tuples and dataclasses with its tensors changed."""
    if isinstance(data, Tensor):
        return change(data)
    if isinstance(data, dict):
        return {key: _map_tensors(value, change) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        values = [_map_tensors(value, change) for value in data]
        return type(data)(*values) if hasattr(data, "_fields") else type(data)(values)
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        fields = {f.name: getattr(data, f.name) for f in dataclasses.fields(data) if f.init}
        return dataclasses.replace(data, **_map_tensors(fields, change))
    return data


def _threads(count: int) -> str:
    return "the main thread" if not count else f"{count} thread{'s' * (count > 1)}"
