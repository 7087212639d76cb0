"""Recognition as a task: from a manifest and features to a fitted head and its test."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import DataError, UsageError
from actionspace.recognition import data as manifest
from actionspace.recognition.background import make_probe
from actionspace.recognition.columns import JointTargets, together
from actionspace.recognition.encode import Encoding, Purpose
from actionspace.recognition.evaluate import measure_all, predict_split
from actionspace.recognition.head import Fits, Fitted, fit_head
from actionspace.recognition.infer import infer, pool
from actionspace.recognition.probe import Probe
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
        trials: one line per strength (or learning rate and decay) tried, for ``metrics.csv``.
        with_gaps: the manifest with annotated gaps as events of the background class.
        heads: its classes, per column that is learnt.
        outcome: what the training in the loop came to.
    """

    recipe: RecognitionRecipe
    encoding: Encoding
    events: Events
    watch: Stopwatch
    notes: list[str] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    with_gaps: Events = field(init=False)
    heads: dict[str, manifest.Targets] = field(init=False)
    outcome: Outcome | None = None
    _folds: list[Encoding] = field(default_factory=list)
    _rows: dict[Purpose, Rows] = field(default_factory=dict)
    _fold: np.ndarray = field(init=False)

    @property
    def column(self) -> manifest.Column:
        """Head column that is learnt, or several."""
        return self.recipe.head.column

    @property
    def targets(self) -> manifest.Targets | JointTargets:
        """The classes of the network's outputs."""
        return together(self.heads)

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

    def say_of(self, column: str, note: str) -> None:
        """Say something of one column; where there are several the sentence begins with it."""
        self.say(note if isinstance(self.column, str) else f"{column}: {note}")

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
        for column in config.columns:  # a second class may come with the gaps
            known = self.events.classes(column)
            manifest.targets(self.events, column, known, multi_label=config.multi_label)
        if not self.recipe.folds:
            self.events = manifest.with_splits(self.events, self.recipe.split, self.say)
            refit = not self.recipe.looped
            for column in config.columns:
                say = partial(self.say_of, column)
                refuse = self.recipe.evaluation.unseen == "refuse"
                manifest.check_split_classes(self.events, column, say, refit=refit, refuse=refuse)
        else:
            if self.events.videos["split"].notna().any():
                self.say(
                    "The manifest's splits are set aside: with folds every video is tested once."
                )
            self._make_folds(self.recipe.folds)
        self.with_gaps = self._add_gaps()
        self.heads = {
            column: manifest.targets(self.with_gaps, column, multi_label=config.multi_label)
            for column in config.columns
        }

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
        if any(label in self.events.classes(name) for name in self.recipe.head.columns):
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

    def rows_of(self, column: str, rows: Rows) -> Rows:
        """Return the rows of the events that have a label in one column, with those labels."""
        targets = self.targets
        if not isinstance(targets, JointTargets):
            return rows
        values, known = targets.split(rows.targets, column)
        part = replace(rows, targets=values)
        return part if known.all() else part.where(known)

    def held_out_rows(self, fold: int) -> Rows:
        """Return the rows of the labelled events of a fold, as the fold's own encoder sees them."""
        videos = self.with_gaps.videos["video"]
        part = self.with_gaps.select(videos=list(videos[self._fold == fold]))
        return self._gather(part, self.fold_encoding(fold), "val")

    def _gather(self, part: Events, encoding: Encoding, purpose: Purpose) -> Rows:
        source = encoding.source(part, purpose, tag="train")
        tokens = self.recipe.attends
        rows = Rows.gather(part, source, self.column, self.targets, tokens=tokens)
        for video, why in rows.missing.items():
            self.say(f"Left out: {video} ({why})")
        self.watch.lap("features")
        return rows

    def fit(self, run: Run, *, resume: bool = False) -> dict[str, Fits]:
        """Fit each column's head that stays, and with folds one for each that has not seen its
        videos.

        Args:
            run: where a training in the loop leaves its state and records.
            resume: go on from there.
        """
        if self.recipe.looped:
            from actionspace.recognition.head_training import train_heads

            trained, self.outcome = train_heads(self, run, resume=resume)
            self.watch.lap("fit")
            return trained
        train = self.rows("train")
        held = self.rows("val") if not self.recipe.folds and self.has_labels("val") else None
        fits: dict[str, Fits] = {}
        for column in self.heads:
            own = self.rows_of(column, train)
            val = None if held is None else self.rows_of(column, held)
            folds = [
                self._fit(column, own.of_videos(self.learnt(k)), None, k)
                for k in range(self.recipe.folds or 0)
            ]
            fits[column] = Fits(self._fit(column, own, val), folds)
        self.watch.lap("fit")
        return fits

    def test(
        self, fits: Mapping[str, Fits]
    ) -> tuple[tuple[Probe, ...], Predictions | None, dict[str, Any]]:
        """Evaluate the test split, or with folds each video by the heads that have not seen it."""
        probes = self._probes({column: found.final for column, found in fits.items()})
        if self.recipe.folds:
            return probes, *self._test_folds(fits, self.recipe.folds)
        if "test" not in set(self.events.videos["split"]):
            self.say("There is no test split, so nothing is evaluated.")
            return probes, None, {}
        predictions = predict_split(probes, self.encoding, self.events, "test")
        metrics: dict[str, Any] = {}
        if self.has_labels("test"):
            metrics = self._measure(predictions, "test")
        else:
            self.say("The test split has no labels, so nothing is evaluated.")
        self.watch.lap("evaluate")
        return probes, predictions, metrics

    def _test_folds(
        self, fits: Mapping[str, Fits], folds: int
    ) -> tuple[Predictions, dict[str, Any]]:
        videos = self.events.videos["video"]
        parts: list[Predictions] = []
        each: list[dict[str, Any]] = []
        for fold in range(folds):
            held_out = self.events.select(videos=list(videos[self._fold == fold]))
            average = self.recipe.evaluation.average
            probes = self._probes({column: found.folds[fold] for column, found in fits.items()})
            parts.append(infer(probes, self.fold_encoding(fold), held_out, average=average))
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

    def _fit(
        self, column: str, train: Rows, validation: Rows | None, fold: int | None = None
    ) -> Fitted:
        told = self.heads[column]
        where = "" if fold is None else f"Fold {fold}: "
        if not len(train.event):
            raise DataError(f"{where}No training event has a '{column}', so nothing can be learnt.")
        fitted = fit_head(
            train,
            validation if validation is not None and len(validation.event) else None,
            self.recipe.head,
            told.classes,
            told.multi_label,
            self.recipe.split.seed,
            self.encoding.device,
        )
        mark: dict[str, Any] = {} if fold is None else {"fold": fold}
        mark |= {} if isinstance(self.column, str) else {"head": column}
        self.trials += [mark | trial for trial in fitted.trials]
        for note in fitted.notes:
            self.say_of(column, where + note)
        return fitted

    def _probes(self, fits: Mapping[str, Fitted]) -> tuple[Probe, ...]:
        gaps, longest = len(self.with_gaps) > len(self.events), self._longest_clip()
        return tuple(
            make_probe(column, fitted, self.recipe.predict, gaps=gaps, clip_seconds=longest)
            for column, fitted in fits.items()
        )

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
        return measure_all(
            predictions,
            average=config.average,
            bootstrap=config.bootstrap if bootstrap is None else bootstrap,
            confidence=config.confidence,
            split=split,
            unseen=config.unseen,
        )


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the plain numbers of a fold, with how many events they are of."""
    plain = {k: v for k, v in metrics.items() if isinstance(v, (int, float))}
    return plain | {"rows": metrics["protocol"]["rows"]}
