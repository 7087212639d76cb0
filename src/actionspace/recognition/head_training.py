"""Train in the loop: a head on clips decoded on the fly or on cached views, or its encoder too."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from actionspace.errors import DataError, UsageError
from actionspace.recognition import data as manifest
from actionspace.recognition.adapt import adapt
from actionspace.recognition.adapted import save_encoder
from actionspace.recognition.clip_samples import ClipSamples
from actionspace.recognition.columns import JointTargets
from actionspace.recognition.head import Fits, as_fitted
from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer
from actionspace.recognition.head_task import HeadTask, Truth, Validation
from actionspace.recognition.held_out import (
    Trained,
    calibrate_folds,
    calibrate_one,
    held_out_rows,
)
from actionspace.recognition.joint_loss import JointLoss
from actionspace.recognition.joint_validation import JointValidation
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.recognition.rows import Rows
from actionspace.recognition.view_table import ViewTable
from actionspace.training.augment.augment import Augment
from actionspace.training.augment.numbered import Numbered
from actionspace.training.loop import Outcome, fit
from actionspace.training.machine import is_main_process, launched_processes
from actionspace.training.run import Run
from actionspace.training.turns import main_first

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.recognition.task import Task
    from actionspace.training.task import Samples
    from actionspace.video.views import Views

NAMED = 5  # events that a message names

#: Options that do not decide what is learnt: a resumed training may have others. The loop looks
#: after those of ``training`` itself.
FREE = {
    *("name", "description", "dataset", "published", "training", "predict", "device"),
    *("data", "root", "features", "feature_options", "weights"),
}
FREE_CLIPS = {"threads", "time_limit", "policy"}


@dataclass(frozen=True)
class Encoded:
    """Events, and feature rows of those that have a label (numbered as the events are)."""

    events: Events
    rows: Rows


def train_heads(task: Task, run: Run, *, resume: bool) -> tuple[dict[str, Fits], Outcome]:
    """Train the network that stays, and with folds one for each; all processes come here together.

    Where several columns are learnt it has a head for each, and so has what is returned.

    Temperature and thresholds are set on the validation split; with folds on what each fold's head
    says of the videos it has not seen. Where the encoder changes as well, it is left in the run
    (and in its folds), and the task goes on with it.

    Args:
        task: the recognition task, prepared.
        run: where state and records go, those of folds in ``folds/``.
        resume: go on from where they are.

    Raises:
        DataError: features are not finite; nothing can be learnt from.
        UsageError: statistics are to drift in several processes.
        RunError, Interrupted: see :func:`actionspace.training.loop.fit`.
    """
    recipe, folds = task.recipe, range(task.recipe.folds or 0)
    if recipe.clips.batch_norm_drift and launched_processes() > 1:
        raise UsageError(
            "clips.batch_norm_drift needs a single process: each of several would drift with the "
            "clips it happens to see. Start it without torchrun."
        )
    validates = not folds and task.has_labels("val")
    with main_first(task.encoding.device, recipe.training.timeout):
        learnt = None if task.from_clips else _encoded(task, "train")
        judged = None
        if recipe.changes_encoder:
            _ = task.encoding.encoder  # its weights are downloaded once
        elif folds or validates:
            judged = _encoded(task, "val")
    task.say(_describe_views(recipe))
    if not (folds or validates) and recipe.training.early_stop is not None:
        task.say("Without a validation split training.early_stop has nothing to go by.")
    trainer = _Trainer(task, learnt, None if folds else judged, validates, resume)
    each = [trainer.train(Run(run.path / "folds" / str(k)), k) for k in folds]
    final = trainer.train(run)
    if not is_main_process():  # nothing is left to do together
        return {name: Fits(as_fitted(one.head)) for name, one in final.items()}, trainer.outcome()
    if recipe.changes_encoder:
        task.take_adapted(run)
        judged = _encoded(task, "val") if validates else None
    rows = None if judged is None else judged.rows
    if folds:
        parts = held_out_rows(task, len(each), rows)
        fits = {
            name: calibrate_folds(task, name, [one[name] for one in each], final[name], parts)
            for name in final
        }
    else:
        fits = {name: calibrate_one(task, name, one, rows) for name, one in final.items()}
    outcome = trainer.outcome()
    if outcome.progress.stopped_early:
        task.say(outcome.progress.stopped_early)
    for name, found in fits.items():
        for note in found.final.notes:
            task.say_of(name, note)
    return fits, outcome


def _encoded(task: Task, purpose: Literal["train", "val"]) -> Encoded:
    """Return the events of a purpose with their rows.

    Raises:
        DataError: features are NaN or infinite; the message names the events.
    """
    events, rows = task.part(purpose), task.rows(purpose)
    bad = np.unique(rows.event[~np.isfinite(rows.features).all(axis=1)])
    if len(bad):
        names = ", ".join(manifest.event_name(events, int(i)) for i in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise DataError(
            f"Features are NaN or infinite: those of {names}{more}. Make the features of these "
            "videos again, or set the events' status to ignore."
        )
    return Encoded(events, rows)


@dataclass
class _Trainer:
    """Trains one head after another in the same way."""

    task: Task
    learnt: Encoded | None
    """Rows to learn from, None = clips."""
    judged: Encoded | None
    """What a head is judged by while it learns, None = clips if ``validates``."""
    validates: bool
    """Whether there is a validation split to judge by."""
    resume: bool
    outcomes: list[Outcome] = field(default_factory=list)

    def train(self, run: Run, fold: int | None = None) -> dict[str, Trained]:
        """Train the network of a fold, or the one that stays; return the head of each column."""
        task, recipe, told = self.task, self.task.recipe, self.task.targets
        resume = self.resume and run.has_state
        if fold is not None and not resume and is_main_process():
            Run.start(run.path)
        samples, truth = self._samples(None if fold is None else task.learnt(fold))
        about = task.encoding.describe()
        model = HeadModel(
            LinearLayer(about["dim"], len(told.classes), recipe.head, seed=recipe.training.seed),
            self._loss(truth),
            self._encoder(),
            frozen=not recipe.adapts,
            precision=recipe.clips.precision,
            stochastic_depth=recipe.clips.stochastic_depth,
            batch_norm_drift=recipe.clips.batch_norm_drift,
        )
        untaught = self._untaught(truth, fold)
        several = {name: one.classes for name, one in task.heads.items()}
        identity = {
            "recipe": deciding(recipe),
            "data": manifest.content_hash(task.with_gaps, task.column),
            "classes": several if len(several) > 1 else told.classes,
            "encoder": {name: about[name] for name in ("name", "weights_hash", "dim")},
            "samples": len(samples),
            "fold": fold,
        }
        augment: Augment | None = None
        batches: Samples = samples
        if recipe.augment.active and isinstance(samples, ClipSamples):
            augment = Augment(recipe.augment, told.classes, recipe.training.seed)
            batches = Numbered(samples)
        outcome = fit(
            HeadTask(model, batches, self._validation(), recipe.clips.batch_size, augment),
            recipe.training,
            run,
            identity=identity,
            device=recipe.device,
            resume=resume,
        )
        self.outcomes.append(outcome)
        if recipe.changes_encoder and is_main_process():
            assert model.encoder is not None
            save_encoder(run.path, model.encoder, recipe.mode)
        trained: dict[str, Trained] = {}
        for name, one in task.heads.items():
            part = told.part(name) if isinstance(told, JointTargets) else slice(None)
            head = model.head.as_head(one.classes, one.multi_label, part)
            trained[name] = Trained(head, untaught[name])
        return trained

    def _loss(self, truth: np.ndarray) -> HeadLoss | JointLoss:
        told, config = self.task.targets, self.task.recipe.head
        if isinstance(told, JointTargets):
            return JointLoss(truth, told, config)
        return HeadLoss(truth, len(told.classes), config)

    def _encoder(self) -> Encoder | None:
        """Return the encoder that clips go through, its own copy where it is trained."""
        task = self.task
        if not task.from_clips:
            return None
        encoder = task.encoding.encoder
        if task.recipe.changes_encoder:
            encoder = copy.deepcopy(encoder)
        if task.recipe.adapts:
            adapt(encoder, task.recipe)
        return encoder

    def outcome(self) -> Outcome:
        """Return what the last training came to, with the facts of those of folds."""
        *folds, final = self.outcomes
        skipped = {name: why for one in self.outcomes for name, why in one.skipped.items()}
        facts = final.facts | ({"folds": [one.facts for one in folds]} if folds else {})
        return replace(final, facts=facts, skipped=skipped)

    def _samples(self, videos: set[str] | None) -> tuple[ClipSamples | ViewTable, np.ndarray]:
        """Return what is learnt from, and what it is, as :class:`Rows` have it."""
        task, recipe = self.task, self.task.recipe
        samples: ClipSamples | ViewTable
        if self.learnt is not None:
            events, rows = self.learnt.events, self.learnt.rows
            rows = rows if videos is None else rows.of_videos(videos)
            given = task.encoding.given
            stored = given.rows if given is not None else recipe.clips.rows
            seed = recipe.training.seed
            take: Literal["turn", "random"] = "turn" if stored == "events" else "random"
            samples = ViewTable(events, rows, take=take, seed=seed)
        else:
            events = task.part("train")
            events = events if videos is None else events.select(videos=list(videos))
            views = task.encoding.views("train")
            if views.augment:
                views = replace(views, augment=_views_seen(recipe))
            samples = self._clips(events, views)
        return samples, task.targets.of(events, task.column)[samples.owner]

    def _clips(self, events: Events, views: Views, *, evaluate: bool = False) -> ClipSamples:
        task = self.task
        limit = task.recipe.clips.time_limit
        return ClipSamples(
            events, views, task.column, task.targets, evaluate=evaluate, time_limit=limit
        )

    def _validation(self) -> Validation | JointValidation | None:
        task, average = self.task, self.task.recipe.evaluation.average
        told = task.targets
        samples: Samples
        rows: Rows | Truth
        if self.judged is not None:
            rows = self.judged.rows
            samples = ViewTable(self.judged.events, rows, take="all")
        elif self.validates and task.recipe.changes_encoder:
            events, views = task.part("val"), task.encoding.views("val")
            samples = clips = self._clips(events, views, evaluate=True)
            truth, owner = told.of(events, task.column), clips.owner
            rows = Truth(truth[owner], np.full(len(owner), 1 / views.n_views), owner)
        else:
            return None
        if isinstance(told, JointTargets):
            return JointValidation(samples, rows, told, average)
        return Validation(samples, rows, told.classes, average)

    def _untaught(self, truth: np.ndarray, fold: int | None) -> dict[str, np.ndarray]:
        """Return, per column, the numbers of the classes that no sample is of, and name them."""
        found: dict[str, np.ndarray] = {}
        for column, told in self.task.heads.items():
            own, joint = truth, self.task.targets
            if isinstance(joint, JointTargets):
                own, _ = joint.split(truth, column)
            every = np.arange(len(told.classes))
            taught = own.any(axis=0) if told.multi_label else np.isin(every, own)
            found[column] = every[~taught]
            if not taught.all():
                names = ", ".join(told.classes[i] for i in every[~taught])
                where = "" if fold is None else f"Fold {fold}: "
                note = f"{where}No training event of: {names}. The head cannot learn to tell."
                self.task.say_of(column, note)
        return found


def deciding(recipe: RecognitionRecipe) -> dict[str, Any]:
    """Return the options that decide what is learnt, as plain values."""
    values = recipe.model_dump(mode="json", exclude=FREE)
    values["clips"] = {k: v for k, v in values["clips"].items() if k not in FREE_CLIPS}
    values["evaluation"] = {"average": recipe.evaluation.average}
    return values


def _views_seen(recipe: RecognitionRecipe) -> int:
    """Return how many random views of an event there are: from clips, one for every epoch."""
    stored = recipe.clips.train.augment
    return stored if recipe.inputs == "features" else max(stored, recipe.training.epochs)


def _describe_views(recipe: RecognitionRecipe) -> str:
    if not recipe.clips.train.augment:
        return "Training events are cut the same way in each epoch (clips.train.augment=0)."
    if recipe.inputs == "clips":
        return "Each training event is seen in another random view in every epoch."
    return f"{_views_seen(recipe)} stored random views of each training event are taken in turn."
