"""Feature rows with the targets and groups of their events, ready for fitting a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import DataError
from actionspace.features.bags import bags
from actionspace.recognition import data as manifest
from actionspace.recognition.columns import JointTargets

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features


@dataclass(frozen=True)
class Rows:
    """R feature rows (every view of every row of every labelled event).

    Attributes:
        features: float32 ``[R, D]``, or tokens ``[R, L, D]``.
        targets: int64 class numbers ``[R]``, or bool ``[R, C]`` with several labels; of several
            columns a table, see :class:`~.columns.JointTargets`.
        weight: float64 ``[R]``: one over the rows of the event, so that events count alike.
        event: int64 ``[R]``: number of the event, for averaging over it.
        groups: str ``[R]``: what must not straddle the border of held-out data.
        videos: str ``[R]``.
        missing: videos without features, with the reason.
        seconds: duration of each video, as far as known.
    """

    features: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    event: np.ndarray
    groups: np.ndarray
    videos: np.ndarray
    missing: dict[str, str]
    seconds: dict[str, float]

    @classmethod
    def gather(
        cls,
        events: Events,
        source: Features,
        column: manifest.Column,
        targets: manifest.Targets | JointTargets,
        *,
        tokens: bool = False,
    ) -> Rows:
        """Read the rows of the labelled events of a manifest, with ``tokens`` as they are stored.

        Raises:
            DataError: not one event has features; the reasons are named.
        """
        bag = bags(events, source, column, tokens=tokens)
        if not len(bag.owner):
            why = "; ".join(f"{v}: {r}" for v, r in list(bag.missing.items())[:3])
            raise DataError(f"No labelled event has features. {why}")
        return cls(
            features=bag.features,
            targets=targets.of(events, column)[bag.owner],
            weight=bag.weight,
            event=bag.owner,
            groups=manifest.event_groups(events)[bag.owner],
            videos=events.rows["video"].to_numpy(dtype=object)[bag.owner],
            missing=bag.missing,
            seconds={v: s for v in events.rows["video"].unique() if (s := _seconds(source, v)) > 0},
        )

    def of_videos(self, videos: set[str]) -> Rows:
        """Return the rows of some videos."""
        return self.where(np.fromiter((v in videos for v in self.videos), bool, len(self.videos)))

    def where(self, keep: np.ndarray) -> Rows:
        """Return the rows that a mask ``[R]`` keeps."""
        return replace(
            self,
            features=self.features[keep],
            targets=self.targets[keep],
            weight=self.weight[keep],
            event=self.event[keep],
            groups=self.groups[keep],
            videos=self.videos[keep],
        )


def join(many: Sequence[Rows]) -> Rows:
    """Join rows of different events (numbers of events are kept apart)."""
    if len(many) == 1:
        return many[0]
    offset, events = 0, []
    for rows in many:
        events.append(rows.event + offset)
        offset += int(rows.event.max(initial=-1)) + 1
    return Rows(
        features=np.concatenate([r.features for r in many]),
        targets=np.concatenate([r.targets for r in many]),
        weight=np.concatenate([r.weight for r in many]),
        event=np.concatenate(events),
        groups=np.concatenate([r.groups for r in many]),
        videos=np.concatenate([r.videos for r in many]),
        missing={v: why for r in many for v, why in r.missing.items()},
        seconds={v: s for r in many for v, s in r.seconds.items()},
    )


def _seconds(source: Features, video: str) -> float:
    return float(source.get(video).meta.get("duration") or 0.0) if video in source else 0.0
