"""Train in the loop: a head on clips decoded on the fly or on cached views, or its encoder too."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from actionspace.errors import DataError
from actionspace.heads.linear import LinearHead
from actionspace.recognition import data as manifest
from actionspace.recognition.adapt import adapt
from actionspace.recognition.adapted import save_encoder
from actionspace.recognition.clip_samples import ClipSamples
from actionspace.recognition.head import Fits, Fitted, as_fitted, calibrate
from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer
from actionspace.recognition.head_task import HeadTask, Truth, Validation
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.recognition.rows import Rows, join
from actionspace.recognition.view_table import ViewTable
from actionspace.training.augment.augment import Augment
from actionspace.training.augment.numbered import Numbered
from actionspace.training.loop import Outcome, fit
from actionspace.training.machine import is_main_process
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


@dataclass(frozen=True)
class Trained:
    """A head as it came out of the loop.

    Attributes:
        head: the classifier, not calibrated.
        untaught: numbers of the classes that none of its training samples was of.
    """

    head: LinearHead
    untaught: np.ndarray

    def judge(self, rows: Rows) -> np.ndarray:
        """Return logits ``[R, C]`` of rows it has not seen, to calibrate on.

        They are NaN for rows of a class it was not taught: of those no score can be right.
        """
        logits = self.head.scores(rows.features)
        if not self.head.multi_label:
            logits[np.isin(rows.targets, self.untaught)] = np.nan
        return logits


def train_heads(task: Task, run: Run, *, resume: bool) -> tuple[Fits, Outcome]:
    """Train the head that stays, and with folds one for each; all processes come here together.

    Temperature and thresholds are set on the validation split; with folds on what each fold's head
    says of the videos it has not seen. Where the encoder is trained as well, it is left in the run
    (and in its folds), and the task goes on with it.

    Args:
        task: the recognition task, prepared.
        run: where state and records go, those of folds in ``folds/``.
        resume: go on from where they are.

    Raises:
        DataError: features are not finite; nothing can be learnt from.
        RunError, Interrupted: see :func:`actionspace.training.loop.fit`.
    """
    recipe, folds = task.recipe, range(task.recipe.folds or 0)
    validates = not folds and task.has_labels("val")
    with main_first(task.encoding.device, recipe.training.timeout):
        learnt = None if task.from_clips else _encoded(task, "train")
        judged = None
        if recipe.adapts:
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
        return Fits(as_fitted(final.head)), trainer.outcome()
    if recipe.adapts:
        task.take_adapted(run)
        judged = _encoded(task, "val") if validates else None
    if folds:
        fits = _calibrate_folds(task, each, final, judged)
    elif judged is None:
        fits = Fits(as_fitted(final.head))
    else:
        held_out = final.judge(judged.rows)
        fits = Fits(calibrate(final.head, judged.rows, held_out, scale=recipe.head.calibrate))
    outcome = trainer.outcome()
    for note in (outcome.progress.stopped_early, *fits.final.notes):
        if note:
            task.say(note)
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


def _calibrate_folds(
    task: Task, each: list[Trained], final: Trained, judged: Encoded | None
) -> Fits:
    """Calibrate every head on what the folds' heads say of rows they have not seen.

    A fold's own head leaves out the videos it is tested on.

    Args:
        task: with the folds' encoders, if they have their own.
        each: the head of each fold.
        final: the head that stays.
        judged: rows of all videos; None = each fold's encoder sees them in its own way.
    """
    parts: list[Rows] = []
    for fold in range(len(each)):
        if judged is None:
            parts.append(task.held_out_rows(fold))
        else:
            parts.append(judged.rows.where(~_of(judged.rows, task.learnt(fold))))
    rows = parts[0] if len(parts) == 1 else join(parts)
    held_out = np.concatenate([t.judge(part) for t, part in zip(each, parts, strict=True)])
    scale = task.recipe.head.calibrate
    fitted: list[Fitted] = []
    for fold, trained in enumerate(each):
        mask = _of(rows, task.learnt(fold))
        fitted.append(calibrate(trained.head, rows.where(mask), held_out[mask], scale=scale))
    return Fits(calibrate(final.head, rows, held_out, scale=scale), fitted)


def _of(rows: Rows, videos: set[str]) -> np.ndarray:
    """Return a mask ``[R]`` of the rows of some videos."""
    return np.isin(rows.videos, list(videos))


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

    def train(self, run: Run, fold: int | None = None) -> Trained:
        """Train the head of a fold, or the one that stays."""
        task, recipe, told = self.task, self.task.recipe, self.task.targets
        resume = self.resume and run.has_state
        if fold is not None and not resume and is_main_process():
            Run.start(run.path)
        samples, truth = self._samples(None if fold is None else task.learnt(fold))
        about = task.encoding.describe()
        model = HeadModel(
            LinearLayer(about["dim"], len(told.classes), recipe.head, seed=recipe.training.seed),
            HeadLoss(truth, len(told.classes), recipe.head),
            self._encoder(),
            frozen=not recipe.adapts,
            precision=recipe.clips.precision,
            stochastic_depth=recipe.clips.stochastic_depth,
        )
        untaught = self._untaught(truth, fold)
        identity = {
            "recipe": deciding(recipe),
            "data": manifest.content_hash(task.with_gaps, task.column),
            "classes": told.classes,
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
        if recipe.adapts and is_main_process():
            assert model.encoder is not None
            save_encoder(run.path, model.encoder, recipe.mode)
        return Trained(model.head.as_head(told.classes, told.multi_label), untaught)

    def _encoder(self) -> Encoder | None:
        """Return the encoder that clips go through, its own copy where it is trained."""
        task = self.task
        if not task.from_clips:
            return None
        encoder = task.encoding.encoder
        if task.recipe.adapts:
            encoder = copy.deepcopy(encoder)
            adapt(encoder, task.recipe)
        return encoder

    def outcome(self) -> Outcome:
        """Return what the last training came to, with the facts of those of folds."""
        *folds, final = self.outcomes
        skipped = {name: why for one in self.outcomes for name, why in one.skipped.items()}
        facts = final.facts | ({"folds": [one.facts for one in folds]} if folds else {})
        return replace(final, facts=facts, skipped=skipped)

    def _samples(self, videos: set[str] | None) -> tuple[ClipSamples | ViewTable, np.ndarray]:
        """Return what is learnt from, and what it is: int64 ``[N]`` or bool ``[N, C]``."""
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
        told = task.targets
        truth = manifest.targets(events, task.column, told.classes, told.multi_label)
        return samples, truth.values[samples.owner]

    def _clips(self, events: Events, views: Views, *, evaluate: bool = False) -> ClipSamples:
        task = self.task
        limit = task.recipe.clips.time_limit
        return ClipSamples(
            events, views, task.column, task.targets, evaluate=evaluate, time_limit=limit
        )

    def _validation(self) -> Validation | None:
        task, average = self.task, self.task.recipe.evaluation.average
        told = task.targets
        if self.judged is not None:
            table = ViewTable(self.judged.events, self.judged.rows, take="all")
            return Validation(table, self.judged.rows, told.classes, average)
        if not (self.validates and task.recipe.adapts):
            return None
        events, views = task.part("val"), task.encoding.views("val")
        clips = self._clips(events, views, evaluate=True)
        truth = manifest.targets(events, task.column, told.classes, told.multi_label)
        owner = clips.owner
        weight = np.full(len(owner), 1 / views.n_views)
        return Validation(clips, Truth(truth.values[owner], weight, owner), told.classes, average)

    def _untaught(self, truth: np.ndarray, fold: int | None) -> np.ndarray:
        """Return the numbers of the classes that no sample is of, and name them."""
        told = self.task.targets
        every = np.arange(len(told.classes))
        taught = truth.any(axis=0) if told.multi_label else np.isin(every, truth)
        if not taught.all():
            names = ", ".join(told.classes[i] for i in every[~taught])
            where = "" if fold is None else f"Fold {fold}: "
            self.task.say(f"{where}No training event of: {names}. The head cannot learn to tell.")
        return every[~taught]


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
