"""The linear probe as a task: from a manifest and features to a fitted head and its test."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError
from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding, Purpose
from actionspace.recognition.evaluate import predict_split
from actionspace.recognition.head import Fitted, fit_head
from actionspace.recognition.infer import infer, pool
from actionspace.recognition.measure import measure
from actionspace.recognition.probe import Background, Probe
from actionspace.recognition.recipe import LinearProbeRecipe
from actionspace.recognition.rows import Rows
from actionspace.training.environment import Stopwatch
from actionspace.training.predictions import Predictions

if TYPE_CHECKING:
    from actionspace.events.table import Events

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
    """

    recipe: LinearProbeRecipe
    encoding: Encoding
    events: Events
    watch: Stopwatch
    notes: list[str] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    with_gaps: Events = field(init=False)
    targets: manifest.Targets = field(init=False)
    _rows: dict[Purpose, Rows] = field(default_factory=dict)

    @property
    def column(self) -> str:
        """Head column that is learnt."""
        return self.recipe.head.column

    @property
    def skipped(self) -> dict[str, str]:
        """Videos that could not be learnt from, with the reason."""
        return {v: why for rows in self._rows.values() for v, why in rows.missing.items()}

    def say(self, note: str) -> None:
        """Log a sentence and keep it."""
        log.info(note)
        self.notes.append(note)

    def prepare(self) -> None:
        """Check labels, make splits, find the gaps. Nothing is encoded yet.

        Raises:
            DataError: no labels, one class only, or splits that do not fit each other.
        """
        config = self.recipe.head
        manifest.check_column(self.events, self.column)
        manifest.targets(self.events, self.column, multi_label=config.multi_label)
        if not self.recipe.folds:
            self.events = manifest.with_splits(self.events, self.recipe.split, self.say)
            manifest.check_split_classes(self.events, self.column, self.say)
        elif self.events.videos["split"].notna().any():
            self.say("The manifest's splits are set aside: with folds every video is tested once.")
        self.with_gaps = self._add_gaps()
        self.targets = manifest.targets(self.with_gaps, self.column, multi_label=config.multi_label)

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

    def rows(self, purpose: Purpose) -> Rows:
        """Return the rows of the labelled events: of a split, or with folds of every video."""
        if purpose not in self._rows:
            if self.encoding.one_grid:  # one pass over all videos, not one per split
                self.encoding.source(self.with_gaps, purpose)
            videos = self.with_gaps.videos
            if not self.recipe.folds:
                videos = videos[videos["split"] == purpose]
            part = self.with_gaps.select(videos=list(videos["video"]))
            source = self.encoding.source(part, purpose, tag="train")
            rows = Rows.gather(part, source, self.column, self.targets)
            for video, why in rows.missing.items():
                self.say(f"Left out: {video} ({why})")
            self._rows[purpose] = rows
            self.watch.lap("features")
        return self._rows[purpose]

    def fit_and_test(self) -> tuple[Probe, Predictions | None, dict[str, Any]]:
        """Choose the strength on val, fit on train and val, evaluate test."""
        splits = set(self.events.videos["split"])
        train = self.rows("train")
        fitted = self._fit(train, self.rows("val") if self._has_labels("val") else None)
        self.watch.lap("fit")
        probe = self._probe(fitted)
        if "test" not in splits:
            self.say("There is no test split, so nothing is evaluated.")
            return probe, None, {}
        predictions = predict_split(probe, self.encoding, self.events, "test")
        metrics: dict[str, Any] = {}
        if self._has_labels("test"):
            metrics = self._measure(predictions, "test")
        else:
            self.say("The test split has no labels, so nothing is evaluated.")
        self.watch.lap("evaluate")
        return probe, predictions, metrics

    def cross_validate(self) -> tuple[Probe, Predictions, dict[str, Any]]:
        """Test each group once with a head that never saw it; then fit on everything."""
        from actionspace.events.splits import folds

        k, config = int(self.recipe.folds or 0), self.recipe.split
        number, notes = folds(self.events, k, by=config.by, seed=config.seed)
        for note in notes:
            self.say(note)
        rows = self.rows("train")
        videos = self.events.videos["video"].to_numpy(dtype=object)
        parts: list[Predictions] = []
        each: list[dict[str, Any]] = []
        for fold in range(k):
            tested = set(videos[number == fold])
            probe = self._probe(self._fit(rows.of_videos(set(videos) - tested), None, fold))
            self.watch.lap("fit")
            held_out = self.events.select(videos=[v for v in videos if v in tested])
            average = self.recipe.evaluation.average
            parts.append(infer(probe, self.encoding, held_out, average=average))
            if parts[-1].truth is not None:
                each.append(_numbers(self._measure(parts[-1], f"fold {fold}", bootstrap=0)))
            self.watch.lap("evaluate")
        predictions = pool(parts)
        predictions.labels["split"] = "folds"
        predictions.labels["evaluation"] = self.recipe.evaluation.model_dump()
        metrics = self._measure(predictions, "folds") | {"folds": each}
        self.watch.lap("evaluate")
        probe = self._probe(self._fit(rows, None))
        self.watch.lap("fit")
        return probe, predictions, metrics

    def _has_labels(self, split: str) -> bool:
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
        else:
            note = (
                f"Nothing happens below a probability of {fitted.threshold:.4g}, which keeps 95 % "
                "of what was rightly recognised among events held out in training; there was no "
                "annotated time without events to learn from."
            )
        return Background("threshold", label, note)

    def _longest_clip(self) -> float:
        """Return the duration in seconds of the longest whole-video event, as far as known."""
        whole = set(self.events.rows["video"][self.events.rows["start"].isna()])
        seconds = [d for rows in self._rows.values() for v, d in rows.seconds.items() if v in whole]
        return max(seconds, default=0.0)

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
