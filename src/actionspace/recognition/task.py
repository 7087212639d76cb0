"""Recognition as a task: from a manifest and features to a fitted head and its test."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import DataError, UsageError
from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding, Purpose
from actionspace.recognition.evaluate import predict_split
from actionspace.recognition.head import Fits, Fitted, fit_head
from actionspace.recognition.infer import infer, pool
from actionspace.recognition.measure import measure
from actionspace.recognition.probe import Background, Probe
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.recognition.rows import Rows
from actionspace.training.environment import Stopwatch
from actionspace.training.predictions import Predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.loop import Outcome

log = logging.getLogger("actionspace")


@dataclass
class Task:
    """One training: the manifest, where features come from, and what was said on the way.

    Attributes:
        recipe: all options.
        encoding: where features come from.
        events: the manifest; :meth:`prepare` gives it splits.
        watch: times the parts.
        notes: what the user should know, in sentences.
        trials: one line per strength tried, for ``metrics.csv``.
        with_gaps: the manifest with annotated gaps as events of the background class.
        targets: its classes.
        outcome: what the training in the loop came to.
    """

    recipe: RecognitionRecipe
    encoding: Encoding
    events: Events
    watch: Stopwatch
    notes: list[str] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    with_gaps: Events = field(init=False)
    targets: manifest.Targets = field(init=False)
    outcome: Outcome | None = None
    _folds: list[Encoding] = field(default_factory=list)
    _rows: dict[Purpose, Rows] = field(default_factory=dict)
    _fold: np.ndarray = field(init=False)

    @property
    def column(self) -> str:
        """Head column that is learnt."""
        return self.recipe.head.column

    @property
    def from_clips(self) -> bool:
        """Whether the head learns from clips, so that training features are not wanted."""
        return self.recipe.looped and self.recipe.inputs == "clips"

    @property
    def skipped(self) -> dict[str, str]:
        """Videos and clips that could not be learnt from, with the reason."""
        videos = {v: why for rows in self._rows.values() for v, why in rows.missing.items()}
        return videos | (self.outcome.skipped if self.outcome else {})

    def say(self, note: str) -> None:
        """Log a sentence and keep it."""
        log.info(note)
        self.notes.append(note)

    def prepare(self) -> None:
        """Check labels, make splits, find the gaps. Nothing is encoded yet.

        Raises:
            UsageError: features were given, but clips are to be learnt from; too many folds.
            DataError: no labels, one class only, or splits that do not fit each other.
        """
        config = self.recipe.head
        if self.from_clips and self.encoding.given is not None:
            instead = "" if self.recipe.adapts else "Set inputs=features to learn from them, or "
            raise UsageError(
                f"mode={self.recipe.mode} with inputs=clips decodes the videos, but features= was "
                f"given. {instead}Leave features= out."
            )
        manifest.check_column(self.events, self.column)
        manifest.targets(self.events, self.column, multi_label=config.multi_label)
        if not self.recipe.folds:
            self.events = manifest.with_splits(self.events, self.recipe.split, self.say)
            refit = not self.recipe.looped
            manifest.check_split_classes(self.events, self.column, self.say, refit=refit)
        else:
            if self.events.videos["split"].notna().any():
                self.say(
                    "The manifest's splits are set aside: with folds every video is tested once."
                )
            self._make_folds(self.recipe.folds)
        self.with_gaps = self._add_gaps()
        self.targets = manifest.targets(self.with_gaps, self.column, multi_label=config.multi_label)

    def _make_folds(self, k: int) -> None:
        from actionspace.events.splits import folds

        config = self.recipe.split
        self._fold, notes = folds(self.events, k, by=config.by, seed=config.seed)
        for note in notes:
            self.say(note)

    def _add_gaps(self) -> Events:
        config = self.recipe.predict
        label = config.background_label
        if config.background not in ("auto", "trained"):
            return self.events
        if label in self.events.classes(self.column):
            self.say(f"The class '{label}' of the manifest is taken as nothing happening.")
            return self.events
        room: dict[str, tuple[float, float]] = {}
        for video, rows in self.events.by_video() if self._has_times() else ():
            if rows["start"].notna().all():
                name = str(video["video"])
                timing = manifest.timing(self.events, name)
                room[name] = (timing.duration, self.encoding.span_seconds(timing.fps) / 2)
        found = manifest.with_gaps(self.events, self.column, label, room)
        n = len(found) - len(self.events)
        if n:
            spans = self.events.videos["labelled"].notna().any()
            where = "labelled spans" if spans else "videos, which count as annotated throughout"
            self.say(f"Nothing happening is learnt from {n} gaps between the events of {where}.")
        elif config.background == "trained":
            raise DataError(
                "predict.background=trained needs time without events inside annotated spans; the "
                "manifest has none. Use threshold or auto."
            )
        return found

    def _has_times(self) -> bool:
        """Whether annotation was in time; where all events are whole clips there are no gaps, and
        a clip without a label is one nobody looked at.
        """
        spans = self.events.videos["labelled"].notna().any()
        return bool(spans or self.events.rows["start"].notna().any())

    def part(self, purpose: Purpose) -> Events:
        """Return the events of a split, gaps included; with folds those of every video."""
        videos = self.with_gaps.videos
        if not self.recipe.folds:
            videos = videos[videos["split"] == purpose]
        return self.with_gaps.select(videos=list(videos["video"]))

    def rows(self, purpose: Purpose) -> Rows:
        """Return the rows of the labelled events of :meth:`part`."""
        if purpose not in self._rows:
            if self.encoding.one_grid and not self.from_clips:  # one pass over all videos
                self.encoding.source(self.with_gaps, purpose)
            self._rows[purpose] = self._gather(self.part(purpose), self.encoding, purpose)
        return self._rows[purpose]

    def held_out_rows(self, fold: int) -> Rows:
        """Return the rows of the labelled events of a fold, as the fold's own encoder sees them."""
        videos = self.with_gaps.videos["video"]
        part = self.with_gaps.select(videos=list(videos[self._fold == fold]))
        return self._gather(part, self.fold_encoding(fold), "val")

    def _gather(self, part: Events, encoding: Encoding, purpose: Purpose) -> Rows:
        source = encoding.source(part, purpose, tag="train")
        rows = Rows.gather(part, source, self.column, self.targets)
        for video, why in rows.missing.items():
            self.say(f"Left out: {video} ({why})")
        self.watch.lap("features")
        return rows

    def fit(self, run: Run, *, resume: bool = False) -> Fits:
        """Fit the head that stays, and with folds one for each that has not seen its videos.

        Args:
            run: where a training in the loop leaves its state and records.
            resume: go on from there.
        """
        if self.recipe.looped:
            from actionspace.recognition.head_training import train_heads

            fits, self.outcome = train_heads(self, run, resume=resume)
            self.watch.lap("fit")
            return fits
        train = self.rows("train")
        if self.recipe.folds:
            every = range(self.recipe.folds)
            folds = [self._fit(train.of_videos(self.learnt(k)), None, k) for k in every]
            fits = Fits(self._fit(train, None), folds)
        else:
            fits = Fits(self._fit(train, self.rows("val") if self.has_labels("val") else None))
        self.watch.lap("fit")
        return fits

    def test(self, fits: Fits) -> tuple[Probe, Predictions | None, dict[str, Any]]:
        """Evaluate the test split, or with folds each video by the head that has not seen it."""
        probe = self._probe(fits.final)
        if self.recipe.folds:
            return probe, *self._test_folds(fits.folds)
        if "test" not in set(self.events.videos["split"]):
            self.say("There is no test split, so nothing is evaluated.")
            return probe, None, {}
        predictions = predict_split(probe, self.encoding, self.events, "test")
        metrics: dict[str, Any] = {}
        if self.has_labels("test"):
            metrics = self._measure(predictions, "test")
        else:
            self.say("The test split has no labels, so nothing is evaluated.")
        self.watch.lap("evaluate")
        return probe, predictions, metrics

    def _test_folds(self, fits: Sequence[Fitted]) -> tuple[Predictions, dict[str, Any]]:
        videos = self.events.videos["video"]
        parts: list[Predictions] = []
        each: list[dict[str, Any]] = []
        for fold, fitted in enumerate(fits):
            held_out = self.events.select(videos=list(videos[self._fold == fold]))
            average = self.recipe.evaluation.average
            probe, encoding = self._probe(fitted), self.fold_encoding(fold)
            parts.append(infer(probe, encoding, held_out, average=average))
            if parts[-1].truth is not None:
                each.append(_numbers(self._measure(parts[-1], f"fold {fold}", bootstrap=0)))
        predictions = pool(parts)
        predictions.labels["split"] = "folds"
        predictions.labels["evaluation"] = self.recipe.evaluation.model_dump()
        metrics = self._measure(predictions, "folds") | {"folds": each}
        self.watch.lap("evaluate")
        return predictions, metrics

    def fold_encoding(self, fold: int) -> Encoding:
        """Return where the features for the head of a fold come from."""
        return self._folds[fold] if self._folds else self.encoding

    def take_adapted(self, run: Run) -> None:
        """Go on with the encoders that the training left in a run, and in its folds."""
        base = self.encoding
        folds = range(self.recipe.folds or 0)
        self._folds = [base.adapted(run.path / "folds" / str(k)) for k in folds]
        self.encoding = base.adapted(run.path)

    def learnt(self, fold: int) -> set[str]:
        """Return the videos that the head of a fold learns from."""
        return set(self.events.videos["video"][self._fold != fold])

    def has_labels(self, split: str) -> bool:
        """Return whether the manifest has labelled events in a split."""
        if split not in set(self.events.videos["split"]):
            return False
        return bool(manifest.use(self.events.select(split=split), self.column).any())

    def _fit(self, train: Rows, validation: Rows | None, fold: int | None = None) -> Fitted:
        told = self.targets
        fitted = fit_head(
            train,
            validation,
            self.recipe.head,
            told.classes,
            told.multi_label,
            self.recipe.split.seed,
        )
        mark = {} if fold is None else {"fold": fold}
        self.trials += [mark | trial for trial in fitted.trials]
        for note in fitted.notes:
            self.say(note if fold is None else f"Fold {fold}: {note}")
        return fitted

    def _probe(self, fitted: Fitted) -> Probe:
        background = self._background(fitted)
        thresholds = fitted.class_thresholds
        if background.kind == "threshold" and not self.targets.multi_label:
            asked = self.recipe.predict.threshold
            thresholds = (fitted.threshold if asked is None else asked,)
        head = replace(fitted.head, thresholds=thresholds)
        return Probe(self.column, head, background, self._longest_clip())

    def _background(self, fitted: Fitted) -> Background:
        config = self.recipe.predict
        label = config.background_label
        if config.background == "none":
            return Background("none", label, "Something always happens (as asked).")
        if label in self.targets.classes and config.background != "threshold":
            gaps = len(self.with_gaps) > len(self.events)
            source = "annotated time without events" if gaps else "the events of that name"
            return Background("trained", label, f"Learnt as the class '{label}' from {source}.")
        if self.targets.multi_label:
            note = "Nothing happens where no class reaches its threshold."
        elif config.threshold is not None:
            note = f"Nothing happens below a probability of {config.threshold:.4g} (as asked)."
        elif not fitted.calibrated:
            note = f"Nothing happens below a probability of {fitted.threshold:.4g} (a guess)."
        else:
            note = (
                f"Nothing happens below a probability of {fitted.threshold:.4g}, which keeps 95 % "
                "of what was rightly recognised among events held out in training; there was no "
                "annotated time without events to learn from."
            )
        return Background("threshold", label, note)

    def _longest_clip(self) -> float:
        """Return the duration in seconds of the longest whole-video event, as far as known."""
        events = self.part("train") if self.from_clips else self.events
        whole = set(events.rows["video"][events.rows["start"].isna()])
        seconds = [d for rows in self._rows.values() for v, d in rows.seconds.items() if v in whole]
        if self.from_clips:
            seconds += [manifest.timing(events, video).duration for video in whole]
        return max((s for s in seconds if s == s), default=0.0)

    def _measure(
        self, predictions: Predictions, split: str, bootstrap: int | None = None
    ) -> dict[str, Any]:
        config = self.recipe.evaluation
        return measure(
            predictions,
            average=config.average,
            bootstrap=config.bootstrap if bootstrap is None else bootstrap,
            confidence=config.confidence,
            split=split,
        )


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the plain numbers of a fold, with how many events they are of."""
    plain = {k: v for k, v in metrics.items() if isinstance(v, (int, float))}
    return plain | {"rows": metrics["protocol"]["rows"]}
