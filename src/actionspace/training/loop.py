"""The loop: one for every task.

What a step learns is the mean over its samples, however they are spread over processes and forward
passes; what it draws at random is a function of (seed, step, pass, process). So nothing but the
tensors of ``state.pt`` is needed to go on from any step, bit for bit.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch

from actionspace.errors import DataError, Interrupted, RunError
from actionspace.training import failures, plan
from actionspace.training.activation import checkpoint_activations
from actionspace.training.averages import Averages
from actionspace.training.ema import EMA
from actionspace.training.environment import over_processes, process_facts
from actionspace.training.feeder import Feeder
from actionspace.training.freeze import count_parameters, trainable_state
from actionspace.training.judge import Progress, judge
from actionspace.training.keeper import Keeper
from actionspace.training.line import Line
from actionspace.training.loader import Loader, choose_workers
from actionspace.training.machine import Machine, micro_batch_size, processes_here, set_up
from actionspace.training.optimizers import build_optimizer, describe_groups
from actionspace.training.options import TrainingConfig
from actionspace.training.overflow import Forward
from actionspace.training.records import Records, learning_rates
from actionspace.training.run import Run
from actionspace.training.signals import StopRequest, stop_requested
from actionspace.training.stepper import Stepper
from actionspace.training.task import Grouped, Task
from actionspace.training.team import Team

log = logging.getLogger("actionspace")

#: Options that may differ in a resumed session: they do not decide what is learnt.
FREE = {"log_every", "tensorboard", "wandb", "workers", "timeout", "micro_batch_size", "compile"}


@dataclass(frozen=True)
class Outcome:
    """What a training came to; the task's model holds the weights it ends with.

    Attributes:
        progress: where it ended.
        facts: entries for ``environment.json``.
        notes: what the user should know.
        skipped: samples that could not be read, with the reason.
        is_main: whether this process is the one that writes the run.
    """

    progress: Progress
    facts: dict[str, Any]
    notes: list[str]
    skipped: dict[str, str]
    is_main: bool


def fit(
    task: Task,
    config: TrainingConfig,
    run: Run,
    *,
    identity: Mapping[str, Any],
    device: str = "auto",
    resume: bool = False,
) -> Outcome:
    """Train a task's model.

    Args:
        task: model, samples, losses, evaluation.
        config: the ``training`` section of the recipe.
        run: folder that state, records and kept weights go to.
        identity: whatever else decides the result (data, classes, encoder ...), plain values; a
            state with another identity is not gone on from.
        device: see :func:`actionspace.training.machine.set_up`.
        resume: go on from the run's state.

    Raises:
        Interrupted: SIGTERM or Ctrl-C; the state is saved.
        RunError: nothing to resume, memory full, a loss that is not finite, another process gone.
        DataError: no samples.
    """
    with stop_requested() as asked, _deterministic(config.deterministic):
        machine = set_up(task.model, config, device)
        team = Team.join(timeout=config.timeout)
        try:
            loop = _Loop(task, config, run, machine, team, asked, identity)
            outcome = loop.run(resume)
        except BaseException as e:
            found = _explained(e, team)
            if found is e:
                raise
            raise found from e
        team.leave()
        return outcome


def _explained(error: BaseException, team: Team) -> BaseException:
    """Tell the others why this process stops, or find out why it had to."""
    if isinstance(error, Interrupted):  # all stop together
        team.leave()
        return error
    return team.explain(error)


class _Loop:
    """The course of one training."""

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        run: Run,
        machine: Machine,
        team: Team,
        asked: StopRequest,
        identity: Mapping[str, Any],
    ) -> None:
        self.task, self.config, self.machine, self.team = task, config, machine, team
        self.asked = asked
        self.progress = Progress()
        self.groups = task.train.step_groups if isinstance(task.train, Grouped) else None
        self.steps = len(self._batches(0))
        self._refuse_nothing(len(task.train))
        if config.activation_checkpointing:
            checkpoint_activations(task.model)
        model = machine.place(task.model, config)
        optimizer = build_optimizer(task.model, config.optimizer)
        ema = EMA(task.model, config.ema.decay) if config.ema.decay else None
        averages = Averages(machine.device)
        self.micro = micro_batch_size(config, task.pass_limit(machine.device), machine)
        workers, why = choose_workers(config.workers, processes=processes_here())
        self.notes = [
            *machine.notes,
            why,
            self._describe_steps(),
            *describe_groups(task.model, optimizer, config.optimizer),
        ]
        self.feeder = Feeder(machine, team, config, workers, self.micro)
        self.stepper = Stepper(
            task=task,
            model=model,
            optimizer=optimizer,
            ema=ema,
            averages=averages,
            forward=Forward(model, machine),
            machine=machine,
            team=team,
            config=config,
            steps_per_epoch=self.steps,
            stop_asked=lambda: asked.signal is not None,
        )
        self.keeper = Keeper(
            run=run,
            config=config,
            identity={**identity, "training": _deciding(config)},
            writes=team.is_main,
            model=task.model,
            optimizer=optimizer,
            scaler=machine.scaler,
            ema=ema,
            averages=averages,
        )

    def run(self, resume: bool) -> Outcome:
        """Train to the end, or until somebody stops it."""
        stored = None
        if resume:
            self.progress, stored, skipped = self.keeper.restore()
            self.feeder.loader(self.task.train).skipped.update(skipped)
            self.notes.append(
                f"Resumed after step {self.progress.total} of {self._total}, in epoch "
                f"{self.progress.epoch + 1}."
            )
        for note in self.notes if self.team.is_main else ():
            log.info(note)
        self.progress.sessions += 1
        self.records = Records(
            self.keeper.run,
            tensorboard=self.config.tensorboard,
            wandb=self.config.wandb,
            main=self.team.is_main,
            state=stored,
        )
        self.line = Line(
            self._total,
            initial=self.progress.total,
            epochs=self.config.epochs,
            show=self.team.is_main,
        )
        with contextlib.closing(self.records), contextlib.closing(self.line):
            try:
                while not self.progress.done:
                    self._epoch()
            except Exception as e:
                raise self._with_advice(e) from e
        self.keeper.keep_average()
        self.keeper.take_final(self.progress)
        self.team.share(trainable_state(self.task.model).values())
        return self._outcome()

    def _epoch(self) -> None:
        config, at = self.config, self.progress
        steps = plan.epoch_steps(
            self._batches(at.epoch), self.micro, rank=self.machine.rank, world=self.machine.world
        )[at.step :]
        self.task.set_training(self.task.model)
        loader = self.feeder.loader(self.task.train)
        with contextlib.closing(loader.stream(plan.flatten(steps), at.epoch)) as batches:
            for step in steps:
                stop, samples = self.stepper.step(step, batches, at)
                at.step, at.total = at.step + 1, at.total + 1
                self._tell(samples, loader)
                if stop:
                    self._stop()
                if self.keeper.due:
                    self._save()
        self.stepper.check_finite()
        at.epoch, at.step = at.epoch + 1, 0
        last = at.epoch == config.epochs
        if last or at.epoch % config.evaluate_every == 0:
            self._evaluate()
        self.keeper.keep_epoch(at.epoch)
        at.done = at.done or last
        self._save()

    def _batches(self, epoch: int) -> list[np.ndarray]:
        config = self.config
        return plan.epoch_batches(
            len(self.task.train),
            config.batch_size,
            config.seed,
            epoch,
            shuffle=config.shuffle,
            drop_last=config.drop_last,
            groups=self.groups,
        )

    def _evaluate(self) -> None:
        at, config = self.progress, self.config
        with self.line.paused("evaluating"), self.keeper.averaged():
            self.task.model.eval()
            with torch.no_grad(), self.machine.autocast():
                found = self.task.evaluate(self.task.model, self.feeder)
            if found is None:
                return
            best = judge(at, found.metrics, config.checkpoint, config.early_stop)
            self.records.evaluation(at.total, at.epoch, at.metrics, found.images)
            if best:
                self.keeper.keep("best")
        if at.stopped_early:
            self.notes.append(at.stopped_early)

    def _save(self) -> None:
        self.stepper.check_finite()  # a spoilt state must not take the place of a good one
        with self.line.paused():
            skipped = self.feeder.loader(self.task.train).skipped
            self.keeper.save(self.progress, self.records, skipped)

    def _stop(self) -> NoReturn:
        self._save()
        raise Interrupted(
            f"Stopped by {self.asked.name or 'a signal to another process'} after step "
            f"{self.progress.total} of {self._total}. {self.keeper.message}",
            exit_code=self.asked.exit_code,
        )

    def _tell(self, samples: int, loader: Loader) -> None:
        """Say how it goes: to the others, on the progress line, now and then in the records."""
        at = self.progress
        self.team.beat(at.total)
        self.line.step(samples, loader.wait_seconds)
        if at.total % self.config.log_every == 0 or at.step == self.steps:
            averages = self.stepper.averages
            losses = averages.read(self.team.sum)
            self.line.show(averages.moving)
            self.records.train(
                at.total,
                at.total / self.steps,
                losses,
                learning_rates(self.stepper.optimizer.param_groups),
                smooth=averages.moving,
                **self.line.speeds(),
            )

    def _with_advice(self, error: Exception) -> Exception:
        """Return the error with what to do about it and what is left to go on from."""
        if failures.is_out_of_memory(error):
            error = failures.out_of_memory(self.machine.device, self.micro)
        if isinstance(error, RunError):
            return RunError(f"{error} {self.keeper.message}")
        return error

    def _refuse_nothing(self, samples: int) -> None:
        if not self.steps:
            raise DataError(
                f"{samples} training samples do not make one step of {self.config.batch_size}; "
                "lower training.batch_size or set training.drop_last=false."
            )

    @property
    def _total(self) -> int:
        return self.config.epochs * self.steps

    def _describe_steps(self) -> str:
        config, world = self.config, self.machine.world
        passes = -(-config.batch_size // (self.micro * world))
        chosen = "chosen for the device" if config.micro_batch_size is None else "as asked"
        return (
            f"{self.steps} steps per epoch, each of {config.batch_size} samples in {passes} "
            f"forward passes of up to {self.micro} ({chosen}) on each of {world} processes."
        )

    def _outcome(self) -> Outcome:
        trainable, total = count_parameters(self.task.model)
        at = self.progress
        facts = {
            **over_processes(self.team.gather(process_facts(str(self.machine.device)))),
            "precision": self.machine.precision,
            "steps": at.total,
            "epochs": at.epoch,
            "best_epoch": at.best_epoch,
            "training_seconds": round(self.records.seconds, 3),
            "sessions": at.sessions,
            "trainable_parameters": trainable,
            "total_parameters": total,
        }
        notes = [*self.notes, *filter(None, [self.stepper.forward.note])]
        return Outcome(at, facts, notes, self.feeder.skipped(), self.team.is_main)


def _deciding(config: TrainingConfig) -> dict[str, Any]:
    """Return the options that decide the result; the others may differ in a resumed session."""
    values = config.model_dump(mode="json", exclude=FREE)
    values["checkpoint"] = {k: values["checkpoint"][k] for k in ("keep", "metric", "mode")}
    return values


@contextlib.contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
