"""Train a network of alignment, measure its embeddings, leave a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from actionspace.alignment.encode import Given
from actionspace.alignment.prepare import Prepared, prepare, read_videos
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.errors import UsageError
from actionspace.report.html import write_report
from actionspace.training.course import Course, refuse_folds
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.machine import launched_processes
from actionspace.training.places import places
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.alignment.network.model import AlignmentNetwork
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.joined import Source
    from actionspace.training.loop import Outcome

#: Options that do not decide what is learnt: a resumed training may have others. The loop looks
#: after those of ``training`` itself.
FREE = {
    *("name", "description", "dataset", "published", "training", "evaluation", "device"),
    *("data", "root", "features", "weights", "rows"),
}


def train(
    recipe: AlignmentRecipe,
    *,
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    features: Given | Source | None = None,
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
        data: manifest, or a folder of videos; None = ``recipe.data``.
        features: what to use instead of the recipe's features or encoder.
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
        raise UsageError("Give the videos as data=MANIFEST, or data=FOLDER if they have no labels.")
    refuse_folds(folds, "Alignment")

    def prepared() -> Prepared:
        events = read_videos(recipe, given)
        placed = recipe.model_copy(update=places(given, features, recipe.root))
        return _prepared(placed, events, features, encoder)

    course = Course(prepared, _loop, _measure, _facts)
    chosen = write_report if report else None
    return course.run(out, overwrite=overwrite, resume=resume, report=chosen)


def _prepared(recipe: AlignmentRecipe, events: Events, features: Any, encoder: Any) -> Prepared:
    from actionspace.training.environment import pick_device
    from actionspace.training.turns import main_first

    with main_first(pick_device(recipe.device), recipe.training.timeout):
        return prepare(recipe, events, features=features, encoder=encoder)


def _loop(found: Prepared, run: Run, resume: bool) -> tuple[AlignmentNetwork, Outcome]:
    from actionspace.alignment.task import AlignmentTask
    from actionspace.training.loop import fit

    recipe = found.recipe
    network = new_network(found)
    val = found.validation()
    if val is None and recipe.training.early_stop is not None:
        found.say("Without two videos to validate on, training.early_stop has nothing to go by.")
    samples = found.training_samples()
    _refuse_lonely(recipe, launched_processes())
    task = AlignmentTask(recipe, network, samples, val)
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
    return network.eval(), outcome


def _refuse_lonely(recipe: AlignmentRecipe, processes: int) -> None:
    """Refuse so many processes that none has two videos to compare.

    Raises:
        UsageError: the loss compares videos, and each process would have one.
    """
    if recipe.compares and recipe.training.batch_size * recipe.views < 2 * processes:
        raise UsageError(
            f"The loss {recipe.loss.name} compares videos within each process, and "
            f"training.batch_size={recipe.training.batch_size} on {processes} processes leaves "
            f"each of them one; say training.batch_size={2 * processes} or more."
        )


def new_network(found: Prepared) -> AlignmentNetwork:
    """Return the network as it is before training, the same for the same seed."""
    import torch

    from actionspace.alignment.network.create import create_network

    recipe = found.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        network = create_network(
            recipe.network,
            dim=found.encoded.source.dim if found.encoded is not None else None,
            classes=len(found.phases) if recipe.loss.name == "classification" else 0,
            weights=recipe.weights if found.encoded is None else None,
        )
    network.freeze_idle()
    return network


def _measure(found: Prepared, network: AlignmentNetwork, run: Run) -> None:
    """Save what was learnt, and measure it."""
    from actionspace.alignment.saved import save_labels, save_network
    from actionspace.alignment.score import score

    save_network(run, network)
    save_labels(run, found.recipe, found.phases, found.encoder)
    if not found.recipe.evaluation.after_training:
        return
    if found.held is None:
        found.say("The manifest has no test and no val split, so nothing was measured.")
        return
    score(found, network, found.held, run)


def _identity(found: Prepared, samples: int) -> dict[str, Any]:
    from actionspace.paths import sha256_json

    videos = found.events.videos[["video", "split"]].astype(object).to_numpy().tolist()
    source = found.encoded.source if found.encoded is not None else None
    return {
        "recipe": found.recipe.model_dump(mode="json", exclude=FREE),
        "videos": sha256_json(videos),
        "phases": found.phases,
        "features": dict(source.fingerprint) if source is not None else {},
        "samples": samples,
    }


def _facts(found: Prepared, outcome: Outcome, watch: Stopwatch) -> dict[str, Any]:
    """Return ``environment.json``."""
    from actionspace.training.environment import pick_device

    facts = outcome.facts
    source = found.encoded.source if found.encoded is not None else None
    return describe(
        device=pick_device(found.recipe.device),
        stopwatch=watch,
        trainable_parameters=int(facts.get("trainable_parameters") or 0),
        total_parameters=int(facts.get("total_parameters") or 0),
        extra={
            **facts,
            "training_notes": outcome.notes,
            "encoder": found.encoder,
            "data": {"videos": len(found.events.videos), "phases": found.phases},
            "notes": found.notes,
            "skipped": (source.skipped() if source is not None else {}) | outcome.skipped,
        },
    )
