"""One optimiser step, over all its forward passes and processes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.training import failures
from actionspace.training.averages import Averages
from actionspace.training.ema import EMA
from actionspace.training.judge import Progress
from actionspace.training.machine import Machine
from actionspace.training.options import TrainingConfig
from actionspace.training.overflow import Forward
from actionspace.training.plan import Step
from actionspace.training.schedules import lr_at
from actionspace.training.task import Batch, Task
from actionspace.training.team import Team


@dataclass
class Stepper:
    """Does the steps of a training.

    Attributes:
        task: gives the losses.
        model: the task's model as wrapped for this machine.
        optimizer: over the task's trained parameters.
        ema: average of the weights, or None.
        averages: of the losses, for the records.
        forward: runs the model.
        machine, team: this process and the others.
        config: clipping, seed, schedule.
        steps_per_epoch: for the schedule.
        stop_asked: whether somebody asked this process to stop.
    """

    task: Task
    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: EMA | None
    averages: Averages
    forward: Forward
    machine: Machine
    team: Team
    config: TrainingConfig
    steps_per_epoch: int
    stop_asked: Callable[[], bool]
    _unchecked: tuple[int, Tensor, list[np.ndarray]] | None = None

    def step(self, step: Step, batches: Iterator[Batch], at: Progress) -> tuple[bool, int]:
        """Do one step; return whether any process was asked to stop, and the samples it had."""
        self._set_lr(at)
        seen: list[Batch] = []
        total: Tensor | None = None
        word = None
        for number in range(len(step.passes)):
            batch = next(batches)
            seen.append(batch)
            last = number == len(step.passes) - 1
            with self._sharing(last):
                losses = self.forward(
                    partial(self.task.step, self.model, batch.data),
                    partial(self._seed, at.total, number),
                )
                # DDP takes the mean over processes; wanted is the mean over samples.
                share = batch.weight * self.machine.world / step.samples
                loss = losses["loss"] if share == 1 else losses["loss"] * share
                if last:  # under way while gradients are computed
                    missing = sum(one.missing for one in seen)
                    word = self.team.tell(stop=self.stop_asked(), missing=missing)
                self._backward(loss)
            self.averages.add(losses, batch.weight)
            total = loss.detach() if total is None else total + loss.detach()
        assert word is not None and total is not None
        said = word.wait()
        self.check_finite()  # of the step before, so that a GPU need not wait for the host
        self._unchecked = at.total + 1, total, [one.indices for one in seen]
        self._update(step.samples, said.missing)
        return said.stop, step.samples - said.missing

    def check_finite(self) -> None:
        """Look at the loss of the last step.

        Raises:
            RunError: it is NaN or infinite; the message names the step's samples.
        """
        if self._unchecked is None:
            return
        number, loss, indices = self._unchecked
        self._unchecked = None
        if not math.isfinite(loss.item()):
            names = [self.task.train.name(int(i)) for part in indices for i in part]
            raise failures.not_finite(number, names)

    def _seed(self, step: int, number: int) -> None:
        self.machine.seed(self.config.seed, step, number, self.machine.rank)

    def _set_lr(self, at: Progress) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr_at(
                self.config.schedule,
                group["base_lr"],
                epoch=at.epoch,
                step=at.step,
                steps_per_epoch=self.steps_per_epoch,
                epochs=self.config.epochs,
            )

    def _sharing(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are shared between processes in the last pass of a step only."""
        if last or self.machine.world == 1:
            return contextlib.nullcontext()
        apart: contextlib.AbstractContextManager[Any] = self.machine.accelerator.no_sync(self.model)
        return apart

    def _backward(self, loss: Tensor) -> None:
        scaler = self.machine.scaler
        torch.autograd.backward(loss if scaler is None else scaler.scale(loss))

    def _update(self, samples: int, missing: int) -> None:
        """Change the weights, unless not one sample of the step could be read."""
        if missing < samples:
            scaler = self.machine.scaler
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            if missing:
                self._scale_gradients(samples / (samples - missing))
            if self.config.clip_norm is not None:
                nn.utils.clip_grad_norm_(self._parameters(), self.config.clip_norm)
            if scaler is None:
                self.optimizer.step()
            else:
                scaler.step(self.optimizer)
                scaler.update()
            if self.ema is not None:
                self.ema.update()
        self.optimizer.zero_grad(set_to_none=True)

    def _scale_gradients(self, factor: float) -> None:
        """Make the mean over the samples that were to be had, where some were missing."""
        grads = [p.grad for p in self._parameters() if p.grad is not None]
        torch._foreach_mul_(grads, factor)

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]
