"""What a training learns from: a manifest with splits, its features, its classes, its windows."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.anticipation.encode import Encoded, adopt, encode
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.anticipation.rows import KEPT, Rows
from actionspace.anticipation.samples import Questions
from actionspace.anticipation.timeline import Asked, asked, usable
from actionspace.anticipation.window import slot_count
from actionspace.errors import ActionspaceError, DataError
from actionspace.training.splits import with_splits

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events

log = logging.getLogger("actionspace")


@dataclass
class Prepared:
    """One training, or evaluation, before it begins.

    Attributes:
        recipe: all options; what follows from features is filled in.
        events: the manifest, with splits.
        encoded: the features of its videos; None where labels alone are given.
        classes: per column the names in the order of their numbers.
        stores: rows of each of the features.
        steps: seconds between the slots of each.
        notes: what the user should know, in sentences.
    """

    recipe: AnticipationRecipe
    events: Events
    encoded: Encoded | None
    classes: dict[str, list[str]]
    stores: tuple[Rows, ...] = ()
    steps: tuple[float, ...] = ()
    notes: list[str] = field(default_factory=list)

    def say(self, note: str) -> None:
        """Log a sentence and keep it."""
        log.info(note)
        self.notes.append(note)

    @property
    def encoder(self) -> dict[str, Any]:
        """What a run says of its features; empty where labels alone are given."""
        return self.encoded.describe() if self.encoded is not None else {}

    @property
    def skipped(self) -> dict[str, str]:
        """Videos without features, with the reason."""
        return {v: why for store in self.stores for v, why in store.source.skipped().items()}

    @property
    def slots(self) -> tuple[int, ...]:
        """Rows of a window of each store."""
        return tuple(slot_count(self.recipe.window.seconds, step) for step in self.steps)

    def count(self, split: str) -> int:
        """Return the number of events of a split that have a label."""
        if not (self.events.videos["split"] == split).any():
            return 0
        return int(usable(self.events.select(split=split), list(self.classes)).sum())

    @property
    def held(self) -> str | None:
        """The split that is measured on: ``test``, or ``val`` without it, or none."""
        return next((split for split in ("test", "val") if self.count(split)), None)

    def asked(self, split: str | None) -> Asked:
        """Return the events of a split (None = of all videos) as questions."""
        events = self.events if split is None else self.events.select(split=split)
        return asked(events, self.classes, self.recipe.history.by)

    def questions(self, asked: Asked, horizon: float | None = None) -> Questions:
        """Return events with what is observed before each; at random horizons for training."""
        return Questions(asked, self.stores, self.recipe, self.steps, horizon)


def read_manifest(recipe: AnticipationRecipe, given: str | os.PathLike[str] | Events) -> Events:
    """Return the manifest.

    Raises:
        DataError: no column of labels, or no event with times.
    """
    from actionspace.training.inputs import resolve

    events = resolve(given, recipe.root)
    if not usable(events, recipe.columns).any():
        raise DataError(
            f"The manifest has no event with a start, an end and a label in "
            f"'{', '.join(recipe.columns)}': anticipation needs to know when events begin. Labels "
            "of whole clips are for recognition (linear_probe)."
        )
    return events


def prepare(
    recipe: AnticipationRecipe,
    events: Events,
    *,
    features: Any = None,
    encoder: Encoder | None = None,
    expect: Mapping[str, Any] | None = None,
    classes: Mapping[str, list[str]] | None = None,
    split: bool = True,
) -> Prepared:
    """Make splits, find or make the features, name the classes, choose the windows' steps.

    Args:
        recipe: all options.
        events: the manifest.
        features: what to use instead of the recipe's features or encoder.
        encoder: an encoder made already.
        expect: the ``encoder`` entry of a run's labels; features of another make are refused.
        classes: those of a run; None = the classes that training events have.
        split: make splits where the manifest has none.

    Raises:
        DataError: no training event; fewer than two classes.
        StoreError: features are missing or damaged.
    """
    said: list[str] = []

    def say(note: str) -> None:
        log.info(note)
        said.append(note)

    if split:
        events = with_splits(events, recipe.split, say)
    encoded = None
    if recipe.sees:
        encoded = encode(recipe, events, features=features, encoder=encoder, expect=expect)
        recipe = adopt(recipe, encoded.sources)
    elif features is not None or encoder is not None:
        say("input=labels: features are not looked at.")
    names = dict(classes) if classes is not None else _classes(recipe, events)
    found = Prepared(recipe, events, encoded, names, notes=said)
    if encoded is not None:
        share = KEPT // len(encoded.sources)
        found.stores = tuple(Rows(source, share) for source in encoded.sources)
        found.steps = tuple(_step(recipe, store) for store in found.stores)
        if lost := found.skipped:
            found.say(f"{len(lost)} videos gave no features and are left out: {_some(lost)}.")
    return found


def _classes(recipe: AnticipationRecipe, events: Events) -> dict[str, list[str]]:
    """Return the classes that training events have, in the order that ``prepare`` wrote."""
    from actionspace.datasets.class_order import class_order

    train = events.select(split="train")
    found = {}
    for column in recipe.columns:
        have = set(train.classes(column))
        found[column] = [name for name in class_order(events, column) if name in have]
        if len(found[column]) < 2:
            told = f"only '{found[column][0]}'" if found[column] else "no class"
            raise DataError(
                f"The training events have {told} in '{column}'; there is nothing to choose from."
            )
    return found


def _step(recipe: AnticipationRecipe, store: Rows) -> float:
    """Return the seconds between slots: the recipe's, or those between rows of the features."""
    if recipe.window.step is not None:
        return recipe.window.step
    for video in store.source.videos():
        try:
            apart = store.apart(video)
        except ActionspaceError:
            continue
        if apart > 0:
            return apart
    raise DataError(
        "No video has two rows of features, so there is no step between them. Take clips of fewer "
        "frames and closer rows (rows.frames=, rows.hop=), or say window.step=SECONDS."
    )


def _some(names: Mapping[str, str]) -> str:
    return ", ".join(list(names)[:10])


def tell_of_windows(found: Prepared, questions: Questions) -> dict[str, int]:
    """Return how many windows begin before their video, and how many hold no row at all.

    ``unreadable`` are events of videos without features.
    """
    from actionspace.anticipation.window import observed

    counts = {"events": len(questions), "padded": 0, "empty": 0, "unreadable": 0}
    if not found.stores:
        return counts
    seconds, step = found.recipe.window.seconds, found.steps[0]
    for index, video in enumerate(questions.asked.videos):
        try:
            _, times = found.stores[0].get(str(video))
        except ActionspaceError:
            counts["unreadable"] += 1
            continue
        slots = observed(times, questions.until(index, 0)[0], seconds, step)
        counts["padded"] += slots.padded
        counts["empty"] += not np.any(slots.known)
    return counts
