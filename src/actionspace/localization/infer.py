"""From features to predictions: every detection of every video, with its score."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actionspace.errors import StoreError
from actionspace.localization.calibration import calibrated
from actionspace.localization.data.sample import Sample
from actionspace.localization.data.samples import FeatureSamples
from actionspace.localization.detection.class_scores import with_video_classes
from actionspace.localization.detection.detector import Detector, Found, detections_frame
from actionspace.localization.measure import heads_of, points_of, proposals_of
from actionspace.localization.network.create import Network
from actionspace.localization.network.padding import padded_length
from actionspace.localization.prepare import bare, labelled, row_options
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.progress import bar
from actionspace.training.predictions import ROW_COLUMNS, Predictions, predicted_events

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.joined import Source

log = logging.getLogger("actionspace")

AT_ONCE = 4  # batches whose videos are in memory together, so that those of a length go together


def infer(
    network: Network,
    features: Source,
    events: Events,
    recipe: LocalizationRecipe,
    classes: Sequence[str],
) -> Predictions:
    """Detect events in every video of a manifest.

    Memory is bounded: a few batches of videos are read at a time, and long videos go through the
    network in windows.

    Args:
        network: in evaluation mode, on its device.
        features: of the videos.
        events: the videos, with the truth where it is known.
        recipe: rows, windows, suppression.
        classes: names in the order of their numbers.

    Raises:
        StoreError: a video has no features and no reason for that, or its features are damaged
            and ``rows.policy`` is ``raise``.
    """
    if recipe.suppression.class_scores is None:
        recipe.constraints.check(classes)
    samples = FeatureSamples(
        _of_column(bare(events), recipe.column),
        features,
        classes,
        lambda rows: padded_length(recipe.model, rows),
        column=recipe.column,
        rows=row_options(recipe),
    )
    detector = Detector.of(recipe, network, classes)
    skipped = dict(samples.left_out)
    found: dict[str, Found] = {}
    durations: dict[str, float] = {}
    most = AT_ONCE * recipe.predict.batch_size
    for some in _chunks(samples, recipe, skipped, most, most * recipe.model.max_length):
        for sample, one in zip(some, detector(some), strict=True):
            found[sample.video], durations[sample.video] = one, sample.duration
    names = [v for v in samples.videos if v in found]
    frame = detections_frame(names, [found[v].as_array() for v in names], classes, recipe.column)
    labels = list(classes)
    if recipe.suppression.class_scores is not None:
        frame, labels = _with_classes(frame, events, recipe)
    frame = recipe.constraints.applied(frame, recipe.column)
    how = recipe.predict
    frame = frame.assign(score=calibrated(frame["score"], how.temperature, how.offset))
    return Predictions(
        events=predicted_events(
            frame, _videos(events, durations), events.root, heads_of(recipe.column)
        ),
        scores={recipe.column: frame["score"].to_numpy(np.float32)},
        labels={
            "task": "localization",
            "heads": {recipe.column: {"classes": labels, "multi_label": True}},
            "untrimmed": names,
            "skipped": skipped,
            "evaluation": recipe.evaluation.model_dump(mode="json"),
            "proposals": proposals_of(recipe),
            "points": points_of(recipe),
        },
        rows=pd.DataFrame(columns=list(ROW_COLUMNS)),
        truth=_truth(events, recipe.column),
    )


def _chunks(
    samples: FeatureSamples,
    recipe: LocalizationRecipe,
    skipped: dict[str, str],
    videos: int,
    rows: int,
) -> Iterator[list[Sample]]:
    """Yield some videos at a time; those that cannot be read are written to ``skipped``."""
    some: list[Sample] = []
    for index in bar(range(len(samples)), what="detect", unit="video"):
        try:
            some.append(samples.whole(index))
        except StoreError as e:
            if recipe.rows.policy == "raise":
                raise
            log.warning(f"Left out: {samples.name(index)} ({e})")
            skipped[samples.name(index)] = str(e)
        if len(some) == videos or sum(map(len, some)) >= rows:
            yield some
            some = []
    if some:
        yield some


def _of_column(events: Events, column: str) -> Events:
    """Return videos in a table that has the head column, without any event."""
    from actionspace.events.table import Events

    return Events.from_frames([], events.videos, events.root, heads_of(column))


def _with_classes(
    frame: pd.DataFrame, events: Events, recipe: LocalizationRecipe
) -> tuple[pd.DataFrame, list[str]]:
    from actionspace.datasets.class_order import class_order
    from actionspace.events.labels import label_order, split_labels

    column = recipe.column
    known = class_order(events, column) if column in events.heads else []
    frame = with_video_classes(frame, recipe.suppression, known, column)
    told = [name for text in frame[column].unique() for name in split_labels(text)]
    return frame, known if set(told) <= set(known) else label_order([*known, *told])


def _videos(events: Events, durations: dict[str, float]) -> pd.DataFrame:
    """Return the videos table with the durations that the features tell."""
    videos = events.videos
    told = videos["video"].map(durations).astype(float)
    return videos.assign(duration=videos["duration"].where(videos["duration"].notna(), told))


def _truth(events: Events, column: str) -> Any:
    known = column in events.heads and len(labelled(events, column))
    return events.rows if known else None
