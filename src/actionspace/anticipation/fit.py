"""Train a network of anticipation, measure it with its baselines beside, leave a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from actionspace.anticipation.prepare import Prepared, prepare, read_manifest
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.errors import DataError, UsageError
from actionspace.report.html import write_report
from actionspace.training.course import Course, refuse_folds
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.places import places
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.anticipation.network.model import AnticipationNetwork
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.training.loop import Outcome

#: Options that do not decide what is learnt: a resumed training may have others. The loop looks
#: after those of ``training`` itself.
FREE = {
    *("name", "description", "dataset", "published", "training", "evaluation", "predict", "device"),
    *("data", "root", "features", "weights", "rows"),
}


def train(
    recipe: AnticipationRecipe,
    *,
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    features: Any = None,
    encoder: Encoder | None = None,
    folds: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: bool = True,
) -> Run:
    """Train on the training split, measure the test split (or ``val``), and leave a run folder.

    Features are those given, those that the recipe or the manifest names, or are made by the
    encoder (once; they are kept in the cache). Under ``torchrun`` all processes train, everything
    else is done by the main one.

    Args:
        recipe: all options.
        out: the run folder.
        data: manifest; None = ``recipe.data``.
        features: what to use instead of the recipe's features or encoder; one or several.
        encoder: an encoder made already, in place of ``recipe.encoder``.
        folds: not possible here.
        overwrite: replace a finished run.
        resume: go on with the unfinished run in ``out``.
        report: write ``report.html``.

    Raises:
        UsageError: no data; folds were asked for.
        DataError: nothing to learn from.
        StoreError: features are missing or damaged.
        RunError: ``out`` is taken; nothing to resume, or of another recipe or other data; the loss
            is not finite, memory is full.
        Interrupted: the loop was stopped; its state is saved.
    """
    given = data if data is not None else recipe.data
    if given is None:
        raise UsageError("Give the annotated videos as data=MANIFEST (a CSV file or a folder).")
    refuse_folds(folds, "Anticipation")

    def prepared() -> Prepared:
        events = read_manifest(recipe, given)
        placed = recipe.model_copy(update=places(given, features, recipe.root))
        return _prepared(placed, events, features, encoder)

    course = Course(prepared, _loop, _measure, _facts)
    chosen = write_report if report else None
    return course.run(out, overwrite=overwrite, resume=resume, report=chosen)


def _prepared(recipe: AnticipationRecipe, events: Events, features: Any, encoder: Any) -> Prepared:
    from actionspace.training.environment import pick_device
    from actionspace.training.turns import main_first

    with main_first(pick_device(recipe.device), recipe.training.timeout):
        return prepare(recipe, events, features=features, encoder=encoder)


def _loop(found: Prepared, run: Run, resume: bool) -> tuple[AnticipationNetwork, Outcome]:
    from actionspace.anticipation.task import AnticipationTask
    from actionspace.training.loop import fit

    recipe = found.recipe
    train = found.questions(found.asked("train"))
    if not len(train):
        raise DataError("No training video has an event, so there is nothing to learn.")
    val = None
    if found.count("val"):
        val = found.questions(found.asked("val"), recipe.horizon.report)
    elif recipe.training.early_stop is not None:
        found.say("Without a validation split training.early_stop has nothing to go by.")
    network = new_network(found)
    outcome = fit(
        AnticipationTask(recipe, network, train, val),
        recipe.training,
        run,
        identity=_identity(found, len(train)),
        device=recipe.device,
        resume=resume,
    )
    if outcome.progress.stopped_early:
        found.say(outcome.progress.stopped_early)
    return network.eval(), outcome


def new_network(found: Prepared) -> AnticipationNetwork:
    """Return the network as it is before training, the same for the same seed."""
    import torch

    from actionspace.anticipation.network.model import AnticipationNetwork

    recipe = found.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return AnticipationNetwork(
            recipe.network,
            found.classes,
            [store.dim for store in found.stores],
            found.slots,
            past=recipe.knows,
        )


def _measure(found: Prepared, network: AnticipationNetwork, run: Run) -> None:
    """Save what was learnt, and measure it."""
    from actionspace.anticipation.evaluate import measure_run
    from actionspace.anticipation.saved import save_run

    training = found.asked("train").timelines
    save_run(run, found.recipe, network, found.classes, found.encoder, found.steps, training)
    if found.held is None:
        found.say("The manifest has no test and no val split with events: nothing was measured.")
        return
    metrics = measure_run(run, found, network, training, found.held)
    for note in metrics["notes"]:
        found.say(note)
    run.write_metrics(metrics)


def _identity(found: Prepared, samples: int) -> dict[str, Any]:
    from actionspace.paths import sha256_json

    rows = found.events.rows[["video", "start", "end", *found.classes]].astype(object)
    videos = found.events.videos[["video", "split"]].astype(object)
    sources = found.encoded.sources if found.encoded is not None else ()
    return {
        "recipe": found.recipe.model_dump(mode="json", exclude=FREE),
        "data": sha256_json([rows.to_numpy().tolist(), videos.to_numpy().tolist()]),
        "classes": found.classes,
        "features": [dict(source.fingerprint) for source in sources],
        "samples": samples,
    }


def _facts(found: Prepared, outcome: Outcome, watch: Stopwatch) -> dict[str, Any]:
    """Return ``environment.json``."""
    from actionspace.training.environment import pick_device

    facts = outcome.facts
    return describe(
        device=pick_device(found.recipe.device),
        stopwatch=watch,
        trainable_parameters=int(facts.get("trainable_parameters") or 0),
        total_parameters=int(facts.get("total_parameters") or 0),
        extra={
            **facts,
            "training_notes": outcome.notes,
            "encoder": found.encoder,
            "data": {
                "videos": len(found.events.videos),
                "events": {split: found.count(split) for split in ("train", "val", "test")},
                "classes": found.classes,
            },
            "notes": found.notes,
            "skipped": found.skipped | outcome.skipped,
        },
    )
