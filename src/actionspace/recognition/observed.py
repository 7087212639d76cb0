"""Early recognition: how well an event is told from the part of it that has been seen.

Ryoo 2011, "Human Activity Prediction: Early Recognition of Ongoing Activities from Streaming
Videos": accuracy against the observed share of the event. Clips are cut from the observed part as
if it were the whole event, so no frame after it is looked at; rows of a dense grid, which reach
over borders, are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from actionspace.errors import DataError, UsageError
from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding
from actionspace.recognition.infer import infer
from actionspace.recognition.measure import measure
from actionspace.recognition.probe import Average, Probe

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features

CLIPS = 3
"""Clips per event of a run that was trained on a dense grid and so names no number of its own."""
TOLD = ("top1_accuracy", "top5_accuracy", "mean_class_accuracy", "map", "joint_score")
"""The measures that are told for each share."""


def parse_shares(text: str | float | Sequence[float]) -> list[float]:
    """Read shares of events: ``"0.1:1.0:0.1"`` (first, last, step), ``"0.2,0.5,1"`` or numbers.

    Raises:
        UsageError: it is none of these, or a share is not above 0 and at most 1.
    """
    what = f"observed={text!r}: "
    try:
        if isinstance(text, str) and ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            if not step > 0 or not all(map(math.isfinite, (first, last, step))):
                raise UsageError(f"{what}the step must be above 0.")
            count = math.floor((last - first) / step + 1e-6) + 1
            found = [round(first + i * step, 9) for i in range(min(count, 1000))]
        elif isinstance(text, str):
            found = [float(part) for part in text.split(",")]
        else:
            found = [float(v) for v in (text if isinstance(text, Sequence) else [text])]
    except ValueError:
        found = []
    if not found or not all(0 < share <= 1 for share in found):
        raise UsageError(
            f"{what}expected shares of an event above 0 and at most 1: FIRST:LAST:STEP, as "
            "0.1:1.0:0.1, or a list, as 0.2,0.5,1."
        )
    return sorted(set(found))


@dataclass(frozen=True)
class Observed:
    """What early recognition is measured on.

    Attributes:
        probes: the run's heads.
        encoding: its encoder and views.
        events: labelled events with their times in seconds.
        average: how the views of an event are averaged.
    """

    probes: Sequence[Probe]
    encoding: Encoding
    events: Events
    average: Average

    def curve(
        self, shares: Sequence[float], *, clips: int | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """Return the measures at each share: ``observed``, ``events``, and those of ``TOLD``.

        Every video is decoded once for all shares.

        Args:
            shares: of each event, from its start, above 0 and at most 1.
            clips: per event; None = as the run was tested, or three if it was on a dense grid.
            options: of :func:`~.measure.measure`.
        """
        recipe = self._recipe(clips)
        anchored = Encoding(recipe, encoder=self.encoding.encoder)
        parts = {share: observe(self.events, share) for share in shares}
        source = anchored.source(_together(self.events, parts), "test", tag="observed")
        return [
            {"observed": share, "clips": recipe.clips.test.clips}
            | self._measured(part, source, options)
            for share, part in parts.items()
        ]

    def _recipe(self, clips: int | None) -> Any:
        recipe = self.encoding.recipe
        own = recipe.clips.test.clips if recipe.clips.rows == "events" else CLIPS
        test = recipe.clips.test.model_copy(update={"clips": clips or own})
        views = recipe.clips.model_copy(update={"rows": "events", "hop": None, "test": test})
        return recipe.model_copy(update={"clips": views, "features": None})

    def _measured(self, part: Events, source: Features, options: dict[str, Any]) -> dict[str, Any]:
        given = Encoding(self.encoding.recipe, features=source)
        found = infer(self.probes, given, part, mode="clip", average=self.average)
        metrics = measure(found, average=self.average, **options)
        told = {*TOLD, *(f"{probe.column}_{name}" for probe in self.probes for name in TOLD)}
        names = [name for name in metrics if name.removesuffix("_ci") in told]
        return {"events": len(part)} | {name: metrics[name] for name in names}


def observed_curve(
    probes: Sequence[Probe],
    encoding: Encoding,
    events: Events,
    shares: str | float | Sequence[float],
    *,
    split: str,
    average: Average,
    clips: int | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Measure early recognition on the labelled events of a split; see :meth:`Observed.curve`.

    Raises:
        UsageError: shares that are none.
        DataError: the split has no labelled event that lasts.
    """
    wanted = parse_shares(shares)
    if events.videos["split"].notna().any():
        events = events.select(split=split)
    columns = tuple(probe.column for probe in probes)
    lasting = _lasting(events, columns)
    return Observed(probes, encoding, lasting, average).curve(wanted, clips=clips, **options)


def observe(events: Events, share: float) -> Events:
    """Return each event up to ``share`` of its length; times are in seconds and known."""
    rows = events.rows.copy()
    rows["end"] = rows["start"] + share * (rows["end"] - rows["start"])
    return replace(events, rows=rows)


def _lasting(events: Events, columns: tuple[str, ...]) -> Events:
    """Return the labelled events that last, with times; a whole video lasts as long as it does."""
    used = manifest.use(events, columns)
    rows = events.rows[used].reset_index(drop=True)
    seconds = {
        video: manifest.timing(events, video).duration
        for video in rows.loc[rows["end"].isna(), "video"].unique()
    }
    start = rows["start"].fillna(0.0)
    end = rows["end"].where(rows["end"].notna(), rows["video"].map(seconds).astype(float))
    rows = rows.assign(start=start, end=end)
    rows = rows[(end - start).to_numpy() > 0].reset_index(drop=True)
    if not len(rows):
        raise DataError(
            "No labelled event lasts: early recognition looks at the beginnings of events with a "
            "start and an end. (Moments, and videos that cannot be read, have none.)"
        )
    kept = events.videos["video"].isin(set(rows["video"]))
    return replace(events, rows=rows, videos=events.videos[kept].reset_index(drop=True))


def _together(events: Events, parts: dict[float, Events]) -> Events:
    """Return all observed parts as events of one manifest, so that videos are decoded once."""
    many = [
        part.rows.assign(id=[f"{name}@{share:g}" for name in part.rows["id"]])
        for share, part in parts.items()
    ]
    return replace(events, rows=pd.concat(many, ignore_index=True))
