"""Samples for one process: the loaders of a training, and its share of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from actionspace.training import plan
from actionspace.training.loader import Loader
from actionspace.training.machine import Machine
from actionspace.training.options import TrainingConfig
from actionspace.training.task import Batch, Samples
from actionspace.training.team import Team


class Feeder:
    """Hands out batches; also what a task evaluates with (see :class:`task.Evaluator`)."""

    def __init__(
        self, machine: Machine, team: Team, config: TrainingConfig, workers: int, micro: int
    ) -> None:
        self._machine, self._team, self._config = machine, team, config
        self._workers, self._micro = workers, micro
        self._loaders: dict[int, Loader] = {}

    def loader(self, samples: Samples) -> Loader:
        """Return the loader of some samples; it remembers which of them are bad."""
        if id(samples) not in self._loaders:
            self._loaders[id(samples)] = Loader(
                samples,
                device=self._machine.device,
                workers=self._workers,
                policy=self._config.policy,
                time_limit=0.75 * self._config.timeout,  # before the others stop waiting
            )
        return self._loaders[id(samples)]

    def batches(self, samples: Samples) -> Iterator[Batch]:
        """Yield this process's share of the samples: each once, over all processes."""
        rank, world = self._machine.rank, self._machine.world
        passes = plan.evaluation_passes(len(samples), self._micro, rank=rank, world=world)
        for batch in self.loader(samples).stream(passes, 0):
            if batch.weight:
                yield batch

    def gather(
        self, indices: Sequence[np.ndarray], rows: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(indices [N], rows [N, ...])`` of all processes, ordered by index."""
        mine = (np.concatenate(indices), np.concatenate(rows)) if len(indices) else None
        found = [part for part in self._team.gather(mine) if part is not None]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        numbers = np.concatenate([part[0] for part in found])
        order = np.argsort(numbers, kind="stable")
        return numbers[order], np.concatenate([part[1] for part in found])[order]

    def skipped(self) -> dict[str, str]:
        """Return the samples that no process could read, with the reason."""
        mine = {
            loader.samples.name(index): why
            for loader in self._loaders.values()
            for index, why in loader.skipped.items()
        }
        return {name: why for part in self._team.gather(mine) for name, why in part.items()}
