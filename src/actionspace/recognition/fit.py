"""Train a classifier: by a direct solver or in the loop, evaluate it, leave a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError
from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding, adopt
from actionspace.recognition.probe import Probe, save_probes
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.recognition.task import Task
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.machine import is_main_process
from actionspace.training.places import places
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features


def train(
    recipe: RecognitionRecipe,
    *,
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    features: Features | str | os.PathLike[str] | None = None,
    encoder: Encoder | None = None,
    folds: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: bool = True,
) -> Run:
    """Train a head, with its encoder as the mode says, and leave a run folder.

    With ``mode="probe"`` the strength of the penalty is chosen on the validation split (where there
    is none, on grouped inner folds of the training split) and the head is refitted on training and
    validation data; of an attentive head learning rate and weight decay are chosen so, see
    :mod:`.attentive`. With ``mode="head"`` it learns from the training split in the loop, and from
    the validation split its temperature and thresholds; with ``lora``, ``full`` and ``layers`` the
    encoder learns with it. Then the test split is evaluated. With folds every group is tested once
    by a head (and encoder) that never saw it; the head that stays is fitted on everything. With
    ``mode="zero_shot"`` nothing is trained, see :mod:`.zero_shot`; data is not needed.

    Under ``torchrun`` all processes train in the loop, everything else is done by the main one.

    Args:
        recipe: all options.
        out: the run folder.
        data: manifest; None = ``recipe.data``.
        features: store to use instead of the encoder; None = ``recipe.features``.
        encoder: an encoder made already, in place of ``recipe.encoder``.
        folds: number of folds; None = ``recipe.folds``.
        overwrite: replace a finished run.
        resume: go on with the unfinished run in ``out``. A probe is fitted anew; features that
            are encoded already are not encoded again.
        report: write ``report.html``.

    Raises:
        UsageError: no data, or more folds than groups.
        DataError: no labels, one class only, test labels that are nowhere in training.
        RunError: ``out`` holds a finished run or something else; nothing to resume, or of another
            recipe or other data; the loss is not finite, memory is full.
        Interrupted: the loop was stopped; its state is saved.
        StoreError, VideoError, WeightsError: from encoding.
    """
    given = data if data is not None else recipe.data
    if recipe.mode == "zero_shot":
        from actionspace.recognition.zero_shot import zero_shot

        if folds is not None:
            raise UsageError("mode=zero_shot learns nothing, so there is nothing to fold.")
        how = {"overwrite": overwrite, "report": report}
        return zero_shot(recipe, out=out, data=given, features=features, encoder=encoder, **how)
    if given is None:
        raise UsageError("Give the labelled videos as data=MANIFEST (a CSV file or a folder).")
    run = Run(Path(out))
    looped = recipe.looped
    if not is_main_process() and not looped:
        return run  # there is nothing to share
    if resume and looped:
        Run.resume(out)
    elif is_main_process():
        Run.check_free(out, overwrite=overwrite)
    watch = Stopwatch()
    events = manifest.load(given, recipe.root)
    encoding = Encoding(recipe, features=features, encoder=encoder)
    if encoding.given is not None:
        recipe = adopt(recipe, encoding.given)
    recipe = recipe.model_copy(
        update={**places(given, features, recipe.root), "folds": folds or recipe.folds}
    )
    encoding.recipe = recipe
    task = Task(recipe, encoding, events, watch)
    task.prepare()
    if is_main_process() and not (resume and looped):
        Run.start(out, overwrite=overwrite)
        run.write_config(recipe)
    fits = task.fit(run, resume=resume)
    if not is_main_process():
        return run
    probes, predictions, metrics = task.test(fits)
    run.finish(_save(run, task, probes, predictions, metrics))
    if report:
        from actionspace.report.html import write_report

        write_report(run.path, events=task.events)
    return run


def _save(
    run: Run,
    task: Task,
    probes: Sequence[Probe],
    predictions: Predictions | None,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Write everything but ``environment.json``, whose content is returned."""
    about = task.encoding.describe()
    if predictions is not None:
        name = "folds" if task.recipe.folds else "test"
        write_predictions(predictions, run.predictions_dir / name)
    if metrics:
        run.write_metrics(metrics)
    if task.trials:
        run.write_trials(task.trials)
    save_probes(run, probes, {"encoder": about, "recipe": task.recipe.name})
    head = sum(probe.head.size for probe in probes)
    classes = {column: told.classes for column, told in task.heads.items()}
    return describe(
        device=task.encoding.device,
        stopwatch=task.watch,
        trainable_parameters=head,
        total_parameters=head + int(about.get("parameters") or 0),
        extra={
            **_loop_facts(task),
            "encoder": about,
            "data": {
                "videos": len(task.events.videos),
                "events": len(task.events),
                "classes": classes if len(classes) > 1 else task.targets.classes,
                "hash": manifest.content_hash(task.events, task.column),
            },
            "notes": task.notes,
            "skipped": task.skipped | (predictions.skipped if predictions else {}),
        },
    )


def _loop_facts(task: Task) -> dict[str, Any]:
    """Return what the loop knows better; a frozen encoder it may not have seen."""
    if task.outcome is None:
        return {}
    facts = dict(task.outcome.facts)
    if not task.recipe.adapts:
        facts = {k: v for k, v in facts.items() if not k.endswith("_parameters")}
    return facts | {"training_notes": task.outcome.notes}
