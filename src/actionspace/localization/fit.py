"""Train a network of localization, evaluate it, leave a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError, UsageError
from actionspace.localization.encode import Encoding, Given
from actionspace.localization.prepare import Prepared, labelled, prepare, read_manifest
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.localization.validate import check_prepared
from actionspace.report.html import write_report
from actionspace.training.course import Course, refuse_folds
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.places import places
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.localization.task import LocalizationTask
    from actionspace.training.loop import Outcome

#: Options that do not decide what is learnt: a resumed training may have others. The loop looks
#: after those of ``training`` itself.
FREE = {
    *("name", "description", "dataset", "published", "training", "predict", "device"),
    *("data", "root", "features", "weights"),
}
#: Training videos that the network's lengths are held against before it begins.
LOOKED_AT = 50
FREE_ROWS = {"threads", "time_limit", "policy", "batch_size"}


def train(
    recipe: LocalizationRecipe,
    *,
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    features: Given | None = None,
    encoder: Encoder | None = None,
    folds: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: bool = True,
) -> Run:
    """Train on the training split, evaluate the test split, and leave a run folder.

    Features are those given, those that the recipe or the manifest names, or are made by the
    encoder (once; they are kept in the cache). Under ``torchrun`` all processes train, everything
    else is done by the main one.

    Args:
        recipe: all options.
        out: the run folder.
        data: manifest; None = ``recipe.data``.
        features: what to use instead of the recipe's features or encoder.
        encoder: an encoder made already, in place of ``recipe.encoder``.
        folds: not possible here.
        overwrite: replace a finished run.
        resume: go on with the unfinished run in ``out``.
        report: write ``report.html``.

    Raises:
        UsageError: no data; folds were asked for.
        DataError: nothing to learn from.
        StoreError: features are missing, damaged, or of several makes.
        RunError: ``out`` is taken; nothing to resume, or of another recipe or other data; the loss
            is not finite, memory is full.
        Interrupted: the loop was stopped; its state is saved.
    """
    given = data if data is not None else recipe.data
    if given is None:
        raise UsageError("Give the annotated videos as data=MANIFEST (a CSV file or a folder).")
    refuse_folds(folds, "Localization")

    def prepared() -> Prepared:
        events, own = read_manifest(recipe, given)
        encoding = Encoding(recipe, features=features, encoder=encoder)
        placed = recipe.model_copy(update=places(given, features, recipe.root))
        return _prepared(placed, encoding, events, own)

    course = Course(prepared, _loop, _test, _facts)
    chosen = write_report if report else None
    return course.run(out, overwrite=overwrite, resume=resume, report=chosen)


def _prepared(recipe: LocalizationRecipe, encoding: Encoding, events: Any, own: Any) -> Prepared:
    from actionspace.training.turns import main_first

    with main_first(encoding.device, recipe.training.timeout):
        found = prepare(recipe, encoding, events, own)
        for finding in check_prepared(found, LOOKED_AT):
            if finding.severity == "error":
                raise DataError(finding.message)
            found.say(finding.message)
        return found


def _loop(found: Prepared, run: Run, resume: bool) -> tuple[LocalizationTask, Outcome]:
    import torch

    from actionspace.localization.learning.steps import StepSamples
    from actionspace.localization.task import LocalizationTask, Localizer, Validation, WholeVideos
    from actionspace.training.loop import fit

    recipe, dim = found.recipe, found.source.dim
    empty = found.empty
    if empty:
        names = ", ".join(found.classes[i] for i in empty[:10])
        more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
        found.say(f"Classes without a training event: {names}{more}. They are never predicted.")
    if recipe.model.backbone == "sgp" and not recipe.model.sgp.init_std:
        found.say(
            "model.sgp.init_std is 0: five convolutions of each block start at zero and stay "
            "there, as in TriDet's models of THUMOS14 and EPIC-KITCHENS. They are left out of the "
            "work; with model.sgp.init_std=0.1 they learn."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = Localizer(recipe, dim, len(found.classes), empty)
    samples = found.samples("train", windows=True)
    val = None
    if found.has("val"):
        truth = found.events.select(split="val")
        val = Validation(WholeVideos(found.samples("val")), truth, found.classes)
    elif recipe.training.early_stop is not None:
        found.say("Without a validation split training.early_stop has nothing to go by.")
    steps = StepSamples(samples, recipe.training, recipe.model, recipe.loss)
    task = LocalizationTask(recipe, model, steps, val)
    outcome = fit(
        task,
        recipe.training,
        run,
        identity=_identity(found, len(samples)),
        device=recipe.device,
        resume=resume,
    )
    if outcome.progress.stopped_early:
        found.say(outcome.progress.stopped_early)
    return task, outcome


def _test(found: Prepared, task: LocalizationTask, run: Run) -> None:
    """Save what was learnt, choose the threshold, and evaluate the test split."""
    from actionspace.localization.detection.threshold import DEFAULT, best_threshold, measured_at
    from actionspace.localization.evaluate import measure_predictions
    from actionspace.localization.infer import infer
    from actionspace.localization.saved import save_labels, save_network
    from actionspace.training.predictions import write_predictions

    recipe, network = found.recipe, task.model.network.eval()
    save_network(run, network)
    about = found.encoding.describe()
    threshold = DEFAULT if recipe.predict.threshold is None else recipe.predict.threshold
    if recipe.predict.threshold is None and found.has("val"):
        judged = infer(
            network, found.source, found.events.select(split="val"), recipe, found.classes
        )
        chosen = best_threshold(judged, recipe)
        if chosen is not None:
            threshold = chosen
            found.say(
                f"Detections that score {threshold:.3f} or more are told: the best F1 score "
                f"{measured_at(recipe)} on the validation split."
            )
    save_labels(run, recipe, found.classes, about, threshold)
    if not found.has("test"):
        found.say("The manifest has no test split with events, so nothing was evaluated.")
        return
    events = found.events.select(split="test")
    predictions = infer(network, found.source, events, recipe, found.classes)
    predictions.labels.update(split="test", threshold=threshold, encoder=about)
    if predictions.skipped:
        names = ", ".join(list(predictions.skipped)[:10])
        found.say(
            f"{len(predictions.skipped)} test videos could not be read ({names}); their events "
            "count as missed."
        )
    write_predictions(predictions, run.predictions_dir / "test")
    run.write_metrics(measure_predictions(predictions, None, recipe, split="test"))


def _identity(found: Prepared, samples: int) -> dict[str, Any]:
    values = found.recipe.model_dump(mode="json", exclude=FREE)
    values["rows"] = {k: v for k, v in values["rows"].items() if k not in FREE_ROWS}
    return {
        "recipe": values,
        "data": content_hash(found.events, found.recipe.column),
        "classes": found.classes,
        "features": dict(found.source.fingerprint),
        "samples": samples,
    }


def content_hash(events: Events, column: str) -> str:
    """Return a hash of what was annotated: rows, labels and splits, not where files lie."""
    from actionspace.paths import sha256_json

    rows = events.rows[["video", "start", "end", column, "status"]].astype(object)
    videos = events.videos[["video", "split", "labelled"]]
    return sha256_json([rows.to_numpy().tolist(), videos.to_numpy().tolist()])


def _facts(found: Prepared, outcome: Outcome, watch: Stopwatch) -> dict[str, Any]:
    """Return ``environment.json``."""
    facts: Mapping[str, Any] = outcome.facts
    rows = labelled(found.events, found.recipe.column)
    return describe(
        device=found.encoding.device,
        stopwatch=watch,
        trainable_parameters=int(facts.get("trainable_parameters") or 0),
        total_parameters=int(facts.get("total_parameters") or 0),
        extra={
            **facts,
            "training_notes": outcome.notes,
            "encoder": found.encoding.describe(),
            "data": {
                "videos": len(found.events.videos),
                "events": len(rows),
                "classes": found.classes,
                "hash": content_hash(found.events, found.recipe.column),
            },
            "notes": found.notes,
            "skipped": found.source.skipped() | outcome.skipped,
        },
    )
