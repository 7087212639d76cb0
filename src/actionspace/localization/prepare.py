"""What a training learns from: a manifest with splits, its features, its classes, its lengths."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, DataError, did_you_mean
from actionspace.events.uncounted import uncounted_time
from actionspace.localization.auto import choose_lengths, choose_ranges
from actionspace.localization.auto_bins import check_bins, choose_widths
from actionspace.localization.data.check import disagreement
from actionspace.localization.data.samples import FeatureSamples, RowOptions, load
from actionspace.localization.data.truncate import Truncation
from actionspace.localization.encode import Encoding, adopt
from actionspace.localization.measure import points_of
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.padding import padded_length
from actionspace.localization.network.switches import without_effect
from actionspace.localization.point_options import event_notes
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.training.splits import with_splits

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.joined import Source

log = logging.getLogger("actionspace")


@dataclass
class Prepared:
    """One training before it begins.

    Attributes:
        recipe: all options; lengths are chosen.
        encoding: where features come from.
        events: the manifest, with splits.
        source: the features of its videos.
        classes: names in the order of their numbers.
        notes: what the user should know, in sentences.
    """

    recipe: LocalizationRecipe
    encoding: Encoding
    events: Events
    source: Source
    classes: list[str]
    notes: list[str] = field(default_factory=list)

    def say(self, note: str) -> None:
        """Log a sentence and keep it."""
        log.info(note)
        self.notes.append(note)

    def has(self, split: str) -> bool:
        """Whether a split has events."""
        if split not in set(self.events.videos["split"]):
            return False
        return bool(len(labelled(self.events.select(split=split), self.recipe.column)))

    @property
    def empty(self) -> list[int]:
        """Numbers of the classes that no training event has."""
        have = set(self.events.select(split="train").classes(self.recipe.column))
        if len(self.classes) == 1:
            return []
        return [i for i, name in enumerate(self.classes) if name not in have]

    def samples(self, split: str, *, windows: bool = False) -> FeatureSamples:
        """Return the videos of a split, whole or as random training windows."""
        recipe, events = self.recipe, self.events.select(split=split)
        config, how = recipe.model, recipe.sampling
        train = None
        if windows:
            train = Truncation(
                config.max_length,
                how.threshold,
                how.crop_ratio,
                how.whole,
                how.tries,
                how.enlarged,
                moments=points_of(recipe) is not None,
            )
        return FeatureSamples(
            events if windows else bare(events),
            self.source,
            self.classes,
            lambda rows: padded_length(config, rows),
            column=recipe.column,
            rows=row_options(recipe),
            train=train,
            inside=how.inside and points_of(recipe) is None,
            at=points_of(recipe),
            seed=recipe.training.seed,
        )


def row_options(recipe: LocalizationRecipe) -> RowOptions:
    """Return which rows of the features are used."""
    return RowOptions(recipe.files.every, recipe.files.length)


def bare(events: Events) -> Events:
    """Return the videos without their events."""
    return replace(events, rows=events.rows.iloc[:0])


def labelled(events: Events, column: str) -> Any:
    """Return the rows that are events of a head column."""
    rows = events.rows
    return rows[(rows["status"] == "event") & rows[column].notna()]


def read_manifest(
    recipe: LocalizationRecipe, given: str | os.PathLike[str] | Events
) -> tuple[Events, Source | None]:
    """Return the manifest, and features if its function gives some.

    Raises:
        DataError: no column of labels, no event, or one that is not an interval of time.
    """
    events, own = load(given, recipe.root)
    column = recipe.column
    if column not in events.heads:
        hint = did_you_mean(column, events.heads) or f" There is: {', '.join(events.heads)}."
        raise DataError(f"The manifest has no label column '{column}'.{hint} Say column=NAME.")
    rows = labelled(events, column)
    if not len(rows):
        raise DataError(f"The manifest has no events with a label in '{column}'.")
    if rows["start"].isna().all():
        raise DataError(
            "No event of the manifest has a start and an end: these are labels of whole clips. "
            "Localization learns from untrimmed videos; for clips train a recognition recipe, "
            "e.g. linear_probe."
        )
    return events, own


def prepare(
    recipe: LocalizationRecipe, encoding: Encoding, events: Events, own: Source | None
) -> Prepared:
    """Make splits, find or make the features, name the classes, choose the lengths.

    Raises:
        DataError: nothing can be learnt: no training event; an event ends before it starts.
        StoreError: features are missing or damaged.
    """
    from actionspace.datasets.class_order import class_order

    said: list[str] = []

    def say(note: str) -> None:
        log.info(note)
        said.append(note)

    events = with_splits(events, recipe.split, say)
    source = encoding.source(events, own)
    recipe = adopt(recipe, source)
    classes = list(recipe.classes or class_order(events, recipe.column))
    found = Prepared(recipe, encoding, events, source, classes, said)
    _check(found)
    if recipe.auto.lengths or recipe.auto.ranges:
        model, notes = _choose(found)
        for note in notes:
            found.say(note)
        found.recipe = recipe.model_copy(update={"model": model})
    if found.recipe.model.head == "boundaries":
        _fit_bins(found)
    for note in without_effect(found.recipe.model):
        found.say(note)
    return found


def _check(found: Prepared) -> None:
    why = disagreement(found.events, found.source)
    if why is not None:
        raise DataError(f"The {why}")
    if not found.has("train"):
        raise DataError(
            "No training video has an event, so there is nothing to learn. The split 'train' has "
            f"{len(found.events.select(split='train').videos)} videos."
        )
    learnt = labelled(found.events.select(split="train"), found.recipe.column)
    for note in event_notes(found.recipe, learnt):
        found.say(note)
    if found.recipe.suppression.class_scores is None:
        found.recipe.constraints.check(found.classes)
    found.recipe.suppression.numbered_sigma(found.classes)
    column = found.recipe.column
    known = set(found.events.select(split="train").classes(column))
    if len(found.classes) > 1:
        for split in filter(found.has, ("val", "test")):
            unseen = sorted(set(found.events.select(split=split).classes(column)) - known)
            if unseen:
                found.say(
                    f"No training event of: {', '.join(unseen)}. They cannot be found in {split}, "
                    "where they count as missed."
                )
    late = _beyond(found.events)
    if late:
        found.say(
            f"Events that begin before or end after their video: {len(late)}, the first is "
            f"{late[0]}. If they are many, times or durations are wrong: run `actionspace check` "
            "on the manifest."
        )
    if unknown := uncounted_time(found.events):
        found.say(
            f"In {len(unknown)} videos there is time of which nobody knows what happens, events to "
            "ignore or what lies outside of labelled spans: it is neither learnt nor measured."
        )


def _beyond(events: Events) -> list[str]:
    """Return the events that lie more than a second beyond the known limits of their video."""
    lasting = dict(zip(events.videos["video"], events.videos["duration"], strict=True))
    ends = events.rows["video"].map(lasting).astype(float)
    beyond = (events.rows["end"] > ends + 1.0) | (events.rows["start"] < -1.0)
    rows = events.rows[beyond & (events.rows["status"] == "event")]
    pairs = zip(rows["id"], rows["video"], strict=True)
    return [f"{name} of {video}" for name, video in pairs]


def _fit_bins(found: Prepared) -> None:
    """Choose the bins of boundary distributions, or see that they reach far enough."""
    recipe = found.recipe
    longest = max(_training_rows(found)[1])
    if not recipe.auto.boundaries:
        check_bins(recipe.model, recipe.loss, longest)
        return
    model, note = choose_widths(recipe.model, recipe.loss, longest)
    found.say(note)
    found.recipe = recipe.model_copy(update={"model": model})


def _choose(found: Prepared) -> tuple[ModelConfig, Sequence[str]]:
    """Return the model with lengths that suit the training split, and why."""
    recipe = found.recipe
    if not recipe.auto.lengths:
        return choose_ranges(recipe.model, recipe.auto, _training_rows(found)[1])
    return choose_lengths(recipe.model, recipe.auto, *_training_rows(found))


def _training_rows(found: Prepared) -> tuple[list[int], list[float], float]:
    """Return the rows of each training video and event, and the seconds between two.

    Raises:
        DataError: there are none.
    """
    samples = found.samples("train", windows=True)
    videos, lengths, step = [], [], 0.0
    for i in range(len(samples)):
        try:
            sample = samples.outline(i)
        except ActionspaceError as e:  # the loop leaves it out, or stops, as its policy says
            found.say(f"{samples.name(i)} did not count for the lengths: {e}")
            continue
        videos.append(len(sample))
        step = sample.grid.step
        lengths += (sample.segments[:, 1] - sample.segments[:, 0]).tolist()
    if not lengths:
        raise DataError("No training video with events has features that can be read.")
    return videos, lengths, step
