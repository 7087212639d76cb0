"""The course of a training that leaves a run: prepare, learn, measure, write down what was done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from actionspace.errors import UsageError
from actionspace.training.environment import Stopwatch
from actionspace.training.machine import is_main_process
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.base_recipe import BaseRecipe
    from actionspace.training.loop import Outcome


class Prepared(Protocol):
    """What a training has before it begins: the recipe, completed, and the events."""

    @property
    def recipe(self) -> BaseRecipe:
        """All options as they will be used."""

    @property
    def events(self) -> Events:
        """The manifest."""


P = TypeVar("P", bound=Prepared)
M = TypeVar("M")


@dataclass(frozen=True)
class Course(Generic[P, M]):
    """What a task does in each part of a training.

    Attributes:
        prepare: reads the manifest and the features.
        learn: trains, going on with the run's state if it is told to; returns what was learnt.
        measure: saves what was learnt and measures it.
        facts: the content of ``environment.json``.
    """

    prepare: Callable[[], P]
    learn: Callable[[P, Run, bool], tuple[M, Outcome]]
    measure: Callable[[P, M, Run], None]
    facts: Callable[[P, Outcome, Stopwatch], dict[str, Any]]

    def run(
        self,
        out: str | os.PathLike[str],
        *,
        overwrite: bool,
        resume: bool,
        report: Callable[..., Path] | None,
    ) -> Run:
        """Take the course, and leave a run folder.

        Under ``torchrun`` all processes learn; everything else is done by the main one.

        Args:
            out: the folder.
            overwrite: replace a finished run.
            resume: go on with the unfinished one.
            report: writes a report of a folder and its ``events=``, at the end.

        Raises:
            RunError: ``out`` is taken, or there is nothing to resume.
        """
        run = Run(Path(out))
        if resume:
            Run.resume(out)
        elif is_main_process():
            Run.check_free(out, overwrite=overwrite)
        watch = Stopwatch()
        found = self.prepare()
        watch.lap("features")
        if is_main_process() and not resume:
            Run.start(out, overwrite=overwrite)
            run.write_config(found.recipe)
        learnt, outcome = self.learn(found, run, resume)
        watch.lap("training")
        if not is_main_process():
            return run
        self.measure(found, learnt, run)
        watch.lap("evaluation")
        run.finish(self.facts(found, outcome, watch))
        if report is not None:
            report(run.path, events=found.events)
        return run


def refuse_folds(folds: int | None, task: str) -> None:
    """Refuse folds for a task that has none.

    Raises:
        UsageError: some were asked for.
    """
    if folds:
        raise UsageError(f"{task} has no folds; split the manifest (actionspace split).")
