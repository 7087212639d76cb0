"""Who learns, who chooses and who is tested when frozen encoders are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import DataError, UsageError
from actionspace.heads.folds import group_folds
from actionspace.metrics.inputs import Bools, Ints, as_targets
from actionspace.recognition import data as manifest

if TYPE_CHECKING:
    from actionspace.events.table import Events

FOLDS = 5
INNER_FOLDS = 5


@dataclass(frozen=True)
class Trial:
    """One fit and its test; masks over events ``[E]``.

    Attributes:
        learn: events the head is fitted on in the end.
        validation: those of them that its options are chosen on; none = grouped inner folds.
        test: events it is tested on.
    """

    learn: Bools
    validation: Bools
    test: Bools


@dataclass(frozen=True)
class Plan:
    """What is asked of every encoder and head alike.

    Attributes:
        classes: the C names.
        truth: class numbers of all events ``[E]``; -1 = not used.
        groups: what must not straddle a border ``[E]``.
        trials: together they test every event at most once.
        how: the protocol in words.
        notes: what the reader should know.
    """

    classes: tuple[str, ...]
    truth: Ints
    groups: np.ndarray
    trials: tuple[Trial, ...]
    how: str
    notes: tuple[str, ...]

    @property
    def tested(self) -> Bools:
        """The events that some trial tests ``[E]``."""
        tested: Bools = np.any([trial.test for trial in self.trials], axis=0)
        return tested


def make_plan(events: Events, column: str, folds: int | None, seed: int) -> Plan:
    """Return the plan for a manifest: its splits, or grouped folds.

    Args:
        events: the manifest.
        column: head column with the classes; one label per event.
        folds: number of folds; None = the manifest's splits, where there are none 5 folds (fewer
            where there are fewer groups).
        seed: of the folds.

    Raises:
        DataError: no labels, one class, several labels of one event, splits without test.
        UsageError: more folds than groups.
    """
    manifest.check_column(events, column)
    targets = manifest.targets(events, column, multi_label=False)
    groups = manifest.event_groups(events)
    splits = events.videos["split"]
    if folds is None and splits.notna().any():
        trials, how, notes = _by_split(events, targets.values)
    else:
        trials, how, notes = _by_folds(events, targets.values, folds, seed)
    return Plan(tuple(targets.classes), targets.values, groups, trials, how, notes)


def _by_split(events: Events, truth: Ints) -> tuple[tuple[Trial, ...], str, tuple[str, ...]]:
    split_of = dict(zip(events.videos["video"], events.videos["split"], strict=True))
    split = np.array([split_of[video] for video in events.rows["video"]], dtype=object)
    part = {name: (split == name) & (truth >= 0) for name in ("train", "val", "test")}
    for name in ("train", "test"):
        if not part[name].any():
            have = ", ".join(sorted({str(s) for s in events.videos["split"].dropna()}))
            raise DataError(
                f"No labelled event has the split '{name}'; there is: {have}. Give --folds 5 to "
                "test every video once instead."
            )
    validation = part["val"]
    how = "tested on the test split; options chosen on " + (
        "the validation split" if validation.any() else "grouped inner folds of the training split"
    )
    trial = Trial(part["train"] | validation, validation, part["test"])
    return (trial,), how, _unlearnt(truth, (trial,), events)


def _by_folds(
    events: Events, truth: Ints, folds: int | None, seed: int
) -> tuple[tuple[Trial, ...], str, tuple[str, ...]]:
    from actionspace.events.splits import folds as deal

    if folds is None:
        folds = min(FOLDS, len(set(manifest.video_groups(events).values())))
        if folds < 2:
            raise UsageError("All videos are of one group, so nothing can be tested apart from it.")
    fold_of_video, notes = deal(events, folds, seed=seed)
    of = dict(zip(events.videos["video"], fold_of_video, strict=True))
    fold = np.array([of[video] for video in events.rows["video"]])
    used = truth >= 0
    nobody = np.zeros(len(truth), bool)
    trials = tuple(
        Trial(used & (fold != k), nobody, used & (fold == k))
        for k in range(folds)
        if (used & (fold == k)).any()
    )
    how = f"{folds} grouped folds; options chosen on grouped inner folds of what is learnt from"
    return trials, how, tuple(notes)


def _unlearnt(truth: Ints, trials: Sequence[Trial], events: Events) -> tuple[str, ...]:
    missing = set(truth[trials[0].test]) - set(truth[trials[0].learn])
    if not missing:
        return ()
    names = ", ".join(np.array(events.classes(events.heads[0]))[sorted(missing)])
    return (f"Tested but nowhere in training, so always missed: {names}.",)


def inner_splits(
    labels: Ints, groups: np.ndarray, validation: Bools, classes: int, seed: int
) -> list[Bools]:
    """Return masks of the rows to fit on while a head's options are chosen; none = no choice.

    Args:
        labels: class numbers of the training rows ``[R]``.
        groups: of the rows ``[R]``.
        validation: rows to choose on ``[R]``; none = grouped inner folds.
        classes: number of classes.
        seed: of the folds.
    """
    if validation.any():
        return [~validation]
    fold = group_folds(groups, as_targets(labels, len(labels), classes), INNER_FOLDS, seed)
    return [fold != k for k in range(int(fold.max()) + 1)] if fold.any() else []


def few_labels(
    plan: Plan, trial: int, shots: Sequence[int], draws: int, seed: int
) -> Iterator[tuple[int, int, Bools]]:
    """Yield the number of labels' position in ``shots``, the draw, and the events kept ``[E]``.

    Every class keeps that many events drawn at random, or all where it has fewer. A draw's smaller
    sets lie in its larger ones, and all encoders and heads get the same.
    """
    members = [
        np.flatnonzero(plan.trials[trial].learn & (plan.truth == c))
        for c in range(len(plan.classes))
    ]
    for draw in range(draws):
        random = np.random.default_rng([seed, trial, draw])
        shuffled = [random.permutation(found) for found in members]
        for at, n in enumerate(shots):
            kept = np.zeros(len(plan.truth), bool)
            kept[np.concatenate([found[:n] for found in shuffled])] = True
            yield at, draw, kept


def scarce(plan: Plan, shots: int) -> tuple[str, ...]:
    """Return the classes of which some trial has fewer labels than ``shots``."""
    fewest = [
        min(int((trial.learn & (plan.truth == c)).sum()) for trial in plan.trials)
        for c in range(len(plan.classes))
    ]
    return tuple(name for name, n in zip(plan.classes, fewest, strict=True) if n < shots)
