"""From the features of videos to detections in seconds, however long the videos are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from actionspace.events.columns import UNCERTAINTY
from actionspace.events.nms_videos import Detections, NmsOptions, cut_to_video, suppress
from actionspace.localization.data.sample import Sample, collate
from actionspace.localization.detection import windows
from actionspace.localization.detection.decode import decode
from actionspace.localization.detection.peaks import apart, peaks
from actionspace.localization.detection.uncertainty import in_seconds
from actionspace.localization.network.create import Network
from actionspace.localization.network.padding import batches, padded_length
from actionspace.localization.options import SuppressionConfig
from actionspace.localization.recipe import LocalizationRecipe

if TYPE_CHECKING:
    import pandas as pd


#: Of the table of a video's detections.
COLUMNS = 4 + len(UNCERTAINTY)


@dataclass(frozen=True)
class Found:
    """The detections of one video, best first.

    Attributes:
        segments: float64 ``[N, 2]``, start and end in seconds.
        scores: float64 ``[N]``.
        labels: int64 ``[N]``.
        uncertainty: float64 ``[N, 6]``, see :func:`.uncertainty.in_seconds`; None = unknown.
    """

    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    uncertainty: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def as_array(self) -> np.ndarray:
        """Return start, end, score, label and the uncertainty (NaN = unknown) ``[N, 10]``."""
        known = self.uncertainty
        beside = np.full((len(self), len(UNCERTAINTY)), np.nan) if known is None else known
        return np.column_stack([self.segments, self.scores, self.labels, beside])


@dataclass(frozen=True)
class Detector:
    """A network, and how its candidates become detections.

    Attributes:
        network: in evaluation mode, on its device.
        suppression: thresholds and suppression.
        window: rows that the network sees at once.
        overlap: rows that the windows of a longer video share.
        batch_size: videos of ``max_length`` rows per forward pass.
        class_sigma: widths of suppression by class number, where they are others.
    """

    network: Network
    suppression: SuppressionConfig
    window: int
    overlap: int
    batch_size: int
    class_sigma: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, recipe: LocalizationRecipe, network: Network, classes: Sequence[str]) -> Detector:
        """Return the detector a recipe describes.

        Raises:
            UsageError: ``suppression.class_sigma`` names a class that is none of ``classes``.
        """
        window = min(recipe.predict.window or recipe.model.longest, recipe.model.longest)
        overlap = window // 4 if recipe.predict.overlap is None else recipe.predict.overlap
        how, size = recipe.suppression, recipe.predict.batch_size
        return cls(network, how, window, overlap, size, how.numbered_sigma(classes))

    def __call__(self, samples: Sequence[Sample]) -> list[Found]:
        """Return what happens in each video."""
        kept = self.candidates(samples)
        sizes = [len(self._plan(sample)) for sample in samples]
        if self.network.config.head == "points":
            how, most = self.suppression, self.suppression.max_segments
            steps = [sample.grid.step for sample in samples]
            alone = [apart(v, how, s, n * most) for v, s, n in zip(kept, steps, sizes, strict=True)]
            return [self._in_seconds(*pair) for pair in zip(samples, alone, strict=True)]
        for size in set(sizes):  # of a longer video more is kept
            which = [i for i, n in enumerate(sizes) if n == size]
            options = nms_options(self.suppression, self.class_sigma)
            options = replace(options, max_segments=size * options.max_segments)
            for i, found in zip(which, suppress([kept[i] for i in which], options), strict=True):
                kept[i] = found
        return [self._in_seconds(*pair) for pair in zip(samples, kept, strict=True)]

    @torch.no_grad()
    def candidates(self, samples: Sequence[Sample]) -> list[Detections]:
        """Return the candidates of each video in rows, before suppression."""
        config = self.network.config
        plans = [self._plan(sample) for sample in samples]
        pieces = [(i, span) for i, plan in enumerate(plans) for span in plan]
        found: dict[int, Detections] = {}
        for batch in batches(config, [b - a for _, (a, b) in pieces], self.batch_size):
            parts = [_part(samples[pieces[k][0]], pieces[k][1]) for k in batch]
            found |= zip(batch, self._decoded(parts), strict=True)
        out, k = [], 0
        for plan in plans:
            out.append(windows.merge(plan, [found[k + n] for n in range(len(plan))]))
            k += len(plan)
        return out

    def _plan(self, sample: Sample) -> list[windows.Rows]:
        return windows.plan(len(sample), self.window, self.overlap, self.network.config.strides[-1])

    def _decoded(self, parts: Sequence[Sample]) -> list[Detections]:
        config, how = self.network.config, self.suppression
        batch = collate(parts, lambda rows: padded_length(config, rows))
        device = next(self.network.parameters()).device
        said = self.network(batch.features.to(device), batch.mask.to(device))
        score, most, temperature = how.candidate_score, how.candidates, how.temperature
        if config.head == "points":
            return peaks(
                said,
                min_score=score,
                most=most,
                temperature=temperature,
                refine=how.peaks.refine,
                levels=how.peaks.levels,
            )
        return decode(
            said,
            min_score=score,
            most=most,
            min_length=how.min_length,
            temperature=temperature,
        )

    def _in_seconds(self, sample: Sample, found: Detections) -> Found:
        seconds = sample.grid.to_seconds(found.segments.cpu().double()).numpy()
        scores, labels = (t.cpu().numpy() for t in (found.scores, found.labels))
        cut = cut_to_video(Detections(seconds, scores, labels), sample.duration)
        uncertainty = None
        if found.spread is not None:
            spread = found.spread.cpu().numpy()
            uncertainty = in_seconds(seconds, spread, sample.grid.step, sample.duration)
        return Found(cut.segments, cut.scores.astype(np.float64), cut.labels, uncertainty)


def nms_options(config: SuppressionConfig, class_sigma: Mapping[int, float]) -> NmsOptions:
    """Return the options of suppression itself, with widths by class number."""
    names = NmsOptions.__dataclass_fields__.keys() - {"class_sigma"}
    options = {name: getattr(config, name) for name in names}
    return NmsOptions(class_sigma=class_sigma, **options)


def _part(sample: Sample, span: windows.Rows) -> Sample:
    return sample.cut(*span, sample.segments[:0], sample.labels[:0])


def detections_frame(
    videos: Sequence[str],
    tables: Sequence[np.ndarray],
    classes: Sequence[str],
    column: str,
) -> pd.DataFrame:
    """Return detections as rows of events: ``id``, ``video``, ``start``, ``end``, label, ``score``.

    Columns of uncertainty follow where it is known.

    Args:
        videos: names.
        tables: of each video, ``[N, 10]`` as of :meth:`Found.as_array`.
        classes: names in the order of their numbers.
        column: the head column that gets the label.
    """
    import pandas as pd

    from actionspace.events.labels import join_labels

    sizes = [len(table) for table in tables]
    rows = np.concatenate([*tables, np.zeros((0, COLUMNS))])
    names = np.array([join_labels([name]) for name in classes], dtype=object)
    known = ~np.isnan(rows[:, 4:]).all()
    beside = dict(zip(UNCERTAINTY, rows[:, 4:].T, strict=True)) if known else {}
    return pd.DataFrame(
        {
            "id": [f"{v}#{i}" for v, n in zip(videos, sizes, strict=True) for i in range(n)],
            "video": np.repeat(np.array(videos, dtype=object), sizes),
            "start": rows[:, 0],
            "end": rows[:, 1],
            column: names[rows[:, 3].astype(np.int64)],
            "score": rows[:, 2],
            **beside,
        }
    )
