"""What a training learns from: a manifest or a folder, its splits, its features, its phases."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.alignment.data import (
    Videos,
    kinds_of,
    labels_of,
    phases_of,
    recipe_videos,
)
from actionspace.alignment.encode import Encoded, Given, adopt, encode
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.samples import ViewSamples, WholeVideos
from actionspace.errors import ActionspaceError, DataError, UsageError
from actionspace.training.splits import with_splits

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.joined import Source

log = logging.getLogger("actionspace")


@dataclass
class Prepared:
    """One training before it begins.

    Attributes:
        recipe: all options; what follows from others is filled in.
        events: the manifest, with splits.
        encoded: the features of its videos; None for a network of pictures.
        phases: names in the order of their numbers; none = no labels.
        notes: what the user should know, in sentences.
    """

    recipe: AlignmentRecipe
    events: Events
    encoded: Encoded | None
    phases: list[str]
    notes: list[str] = field(default_factory=list)

    def say(self, note: str) -> None:
        """Log a sentence and keep it."""
        log.info(note)
        self.notes.append(note)

    @property
    def encoder(self) -> dict[str, Any]:
        """What a run says of its features; empty for a network of pictures."""
        return self.encoded.describe() if self.encoded is not None else {}

    def count(self, split: str) -> int:
        """Return the number of videos of a split."""
        return int((self.events.videos["split"] == split).sum())

    @property
    def held(self) -> str | None:
        """The split that is measured on: ``test``, or ``val`` without it, or none."""
        return next((split for split in ("test", "val") if self.count(split)), None)

    def videos(self, split: str) -> Videos:
        """Return the videos of a split."""
        source = self.encoded.source if self.encoded is not None else None
        return recipe_videos(self.recipe, self.events.select(split=split), source)

    def training_samples(self) -> ViewSamples:
        """Return views of the training videos.

        Raises:
            DataError: there is none that can be read; the loss needs labels and there are none.
        """
        recipe, videos = self.recipe, self.videos("train")
        if recipe.label_share < 1:
            videos.names = videos.names[: max(1, int(recipe.label_share * len(videos.names)))]
        if not videos.names:
            raise DataError("No training video can be read, so there is nothing to learn from.")
        groups = self._groups(videos)
        sampling = recipe.sampling.drawn(recipe.network.contexts)
        labels = self._labels(videos) if recipe.loss.name == "classification" else None
        return ViewSamples(videos, labels, sampling, recipe.views, recipe.training.seed, groups)

    def validation(self) -> WholeVideos | None:
        """Return the videos that tau is measured on while training, if there are two."""
        if not self.count("val"):
            return None
        videos = self.videos("val")
        return WholeVideos(videos) if len(videos.names) > 1 else None

    def _groups(self, videos: Videos) -> np.ndarray | None:
        """Return the group of each video, and leave out those that have no other with them."""
        by = self.recipe.sampling.batch_by
        if by is None:
            return None
        kinds = kinds_of(self.events, by, videos.names, "sampling.batch_by")
        counts = Counter(kinds.values())
        kept = [name for name in videos.names if counts[kinds.get(name, "")] > 1]
        if not kept:
            raise DataError(
                f"sampling.batch_by={by}: no two training videos share a value of this column, so "
                "there is nothing to compare. Leave it empty, or give more videos."
            )
        if left := len(videos.names) - len(kept):
            self.say(f"{left} training videos share their '{by}' with no other and are left out.")
        videos.names = kept
        known = sorted(counts)
        return np.array([known.index(kinds[name]) for name in kept], np.int64)

    def _labels(self, videos: Videos) -> list[np.ndarray]:
        found = [
            labels_of(self.events, self.recipe.column, self.phases, name, _times(videos, i))
            for i, name in enumerate(videos.names)
        ]
        if not any((labels >= 0).any() for labels in found):
            raise DataError(
                f"The loss 'classification' learns phases, and no training video has any in the "
                f"column '{self.recipe.column}'. Say column=NAME, or take loss.name=scl, which "
                "needs no labels."
            )
        return found


def _times(videos: Videos, index: int) -> np.ndarray:
    try:
        return videos.times(index)
    except ActionspaceError:
        return np.zeros((0, 2))  # the loader leaves the video out, or says what is wrong


def read_videos(recipe: AlignmentRecipe, given: str | os.PathLike[str] | Events) -> Events:
    """Return the manifest, or the videos of a folder or a glob, which need no labels.

    Raises:
        UsageError: nothing is there.
    """
    from actionspace.training.inputs import resolve

    return resolve(given, recipe.root)


def prepare(
    recipe: AlignmentRecipe,
    events: Events,
    *,
    features: Given | Source | None = None,
    encoder: Encoder | None = None,
    expect: Mapping[str, Any] | None = None,
) -> Prepared:
    """Make splits, find or make the features, name the phases.

    Args:
        recipe: all options.
        events: the manifest.
        features: what to use instead of the recipe's features or encoder.
        encoder: an encoder made already.
        expect: the ``encoder`` entry of a run's labels; features of another make are refused.

    Raises:
        DataError: no training video.
        StoreError: features are missing or damaged.
        UsageError: features were given to a network of pictures.
    """
    said: list[str] = []

    def say(note: str) -> None:
        log.info(note)
        said.append(note)

    events = with_splits(events, recipe.split, say)
    if not (events.videos["split"] == "train").any():
        raise DataError(
            f"{len(events.videos)} videos gave no training split; give more videos, or a manifest "
            "with a split column."
        )
    encoded = None
    if recipe.network.input == "features":
        encoded = encode(recipe, events, features=features, encoder=encoder, expect=expect)
        recipe = adopt(recipe, encoded.source)
    elif features is not None or encoder is not None:
        raise UsageError(
            "This recipe's network takes pictures (network.input=frames), so neither features nor "
            "an encoder is of use. Say network.input=features, or train another recipe (align)."
        )
    recipe = recipe.model_copy(update={"network": recipe.make})
    found = Prepared(recipe, events, encoded, phases_of(events, recipe), said)
    if not found.phases:
        found.say(
            f"The manifest has no column '{recipe.column}' with phases: Kendall's tau alone is "
            "measured."
        )
    if encoded is not None and (skipped := encoded.source.skipped()):
        names = ", ".join(list(skipped)[:10])
        found.say(f"{len(skipped)} videos gave no features and are left out: {names}.")
    _tell_of_lengths(found)
    return found


def _tell_of_lengths(found: Prepared) -> None:
    """Say how many training videos are shorter than what is drawn from them.

    Raises:
        DataError: none of them has two rows, so that there is no order in time to learn.
    """
    if found.recipe.network.input == "frames":
        return
    videos, frames = found.videos("train"), found.recipe.sampling.frames
    lengths = [len(_times(videos, i)) for i in range(len(videos.names))]
    if lengths and max(lengths) < 2:
        raise DataError(
            f"No training video has more than one row of features, so there is nothing to align. "
            f"Take clips of fewer frames and closer rows (rows.frames=, rows.hop=; now "
            f"{found.recipe.rows.frames or 'as the encoder has them'} and "
            f"{found.recipe.rows.hop or 'half of that'}), or longer videos."
        )
    short = [n for n, length in zip(videos.names, lengths, strict=True) if 0 < length < frames]
    if short:
        found.say(
            f"{len(short)} of {len(videos.names)} training videos have fewer rows than "
            f"sampling.frames={frames} ({Path(short[0]).name} first): the rest of such a sample "
            "is padding, which is masked."
        )
