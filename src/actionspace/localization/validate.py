"""Whether levels, strides, windows, ranges and lengths of a network go with what it is to learn.

The typed options refuse what no network could be built from. Here they are held against the
training videos: an event that no level learns, or no window holds, is never found, and nothing else
says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actionspace.datasets.finding import Finding
from actionspace.errors import ActionspaceError, ConfigError
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import UNBOUNDED, ModelConfig
from actionspace.localization.network.padding import padded_length
from actionspace.localization.options import SamplingConfig

if TYPE_CHECKING:
    from actionspace.localization.prepare import Prepared

MANY = 0.01
"""Share of the events above which it is no chance that they are never learnt."""
PADDING = 2.0
"""Multiple of a usual video's rows to which padding is worth a word."""


@dataclass(frozen=True)
class ConfigReport:
    """What is wrong with a configuration.

    Attributes:
        errors: what cannot work, in sentences.
        warnings: what may not do what it seems to.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    def require(self) -> None:
        """Raise if there are errors.

        Raises:
            ConfigError: with all of them.
        """
        if self.errors:
            raise ConfigError("\n".join(self.errors))

    def __str__(self) -> str:
        told = [f"error: {e}" for e in self.errors] + [f"warning: {w}" for w in self.warnings]
        return "\n".join(told) or "nothing is wrong"


def check_lengths(
    model: ModelConfig,
    loss: LossConfig,
    sampling: SamplingConfig,
    videos: Sequence[int],
    segments: np.ndarray,
    where: str | None = None,
) -> list[Finding]:
    """Return what does not go with the training videos.

    Args:
        model, loss, sampling: of the recipe.
        videos: rows of each training video.
        segments: float ``[N, 2]``, begin and end of the training events in rows.
        where: the file or name that findings give.
    """
    if model.head == "points" or not len(segments):  # moments have no extent
        found = list(_padding(model, videos))
    else:
        found = [
            *_unlearnt(model, loss, segments),
            *_cut(model, sampling, segments),
            *_padding(model, videos),
        ]
    return [Finding(f.severity, f.code, f.message, where) for f in found]


def check_prepared(found: Prepared, most: int | None = None) -> list[Finding]:
    """Return what does not go with the training videos of a training before it begins.

    Args:
        found: the training.
        most: training videos that are looked at; None = all.
    """
    samples = found.samples("train", windows=True)
    places = np.arange(len(samples))
    if most is not None and len(places) > most:
        places = np.linspace(0, len(samples) - 1, most).astype(int)
    videos, segments = [], [np.zeros((0, 2), np.float32)]
    for i in places:
        try:
            sample = samples.outline(int(i))
        except ActionspaceError:  # whoever reads it to learn from it says so
            continue
        videos.append(len(sample))
        segments.append(sample.segments.numpy())
    recipe = found.recipe
    spans = np.concatenate(segments)
    return check_lengths(recipe.model, recipe.loss, recipe.sampling, videos, spans)


def learnt_by(model: ModelConfig, loss: LossConfig, segments: np.ndarray) -> np.ndarray:
    """Return which level learns which event in a video of its own, bool ``[L, N]``.

    The rule is that of :func:`.learning.assign.assign`: a cell strictly inside, near the centre,
    whose distance to the farther end the level learns; in float32, as there.
    """
    begin, end = (segments[:, i, None].astype(np.float32) for i in (0, 1))
    found = []
    for stride, (low, high) in zip(model.strides, model.level_ranges, strict=True):
        first, last = begin, end
        if loss.center_sampling == "radius":
            centre, reach = (begin + end) / 2, stride * loss.center_radius
            first, last = np.maximum(centre - reach, begin), np.minimum(centre + reach, end)
        # The first cells, the last ones and those in the middle have all distances there are.
        cells = [np.floor(t / stride) + np.arange(-1, 3) for t in (first, (begin + end) / 2, last)]
        time = (np.concatenate(cells, axis=1) * stride).astype(np.float32)
        inside = (time >= 0) & (time > first) & (time < last)
        farther = np.maximum(time - begin, end - time)
        found.append((inside & (low <= farther) & (farther <= high)).any(axis=1))
    return np.asarray(np.stack(found))


def _unlearnt(model: ModelConfig, loss: LossConfig, segments: np.ndarray) -> Iterator[Finding]:
    learnt = learnt_by(model, loss, segments)
    lost = np.logical_not(learnt.any(axis=0))
    lengths = (segments[:, 1] - segments[:, 0]).astype(np.float64)
    if lost.any():
        lows, highs = zip(*model.level_ranges, strict=True)
        long = lost & (lengths / 2 > max(highs))
        short = lost & ~long & ((lengths <= model.strides[0]) | (lengths < min(lows)))
        between = lost & ~long & ~short
        causes = [
            (long, f"too long: the last range ends at {max(highs):g}; let it end at "
             f"{UNBOUNDED:g}"),
            (short, "too short: no row lies in them, or below the first range; make rows denser "
             "(a smaller hop or stride), or let ranges begin at 0"),
            (between, "between two ranges, or shorter than the cells of the level that would "
             "learn them; let each range begin where the one before it ends"),
        ]  # fmt: skip
        told = [
            f"{int(which.sum())} ({_rows(lengths[which].min())} to {_rows(lengths[which].max())} "
            f"rows) are {why}"
            for which, why in causes
            if which.any()
        ]
        few = lost.mean() < MANY
        yield Finding(
            "error" if lost.all() else "note" if few else "warning",
            "events-unlearnt",
            f"{int(lost.sum())} of {len(lost)} training events are learnt by no level: "
            f"{'; '.join(told)}. Or say auto.lengths=true.",
        )
    idle = np.flatnonzero(np.logical_not(learnt.any(axis=1)))
    if len(idle) and not lost.all():
        ranges = ", ".join(f"{a:g} to {b:g}" for a, b in (model.level_ranges[i] for i in idle))
        yield Finding(
            "note",
            "levels-idle",
            f"No training event lies in the range of {len(idle)} of {len(learnt)} levels "
            f"({ranges} rows): they learn that nothing happens. auto.lengths=true chooses as many "
            "as there is use for.",
        )


def _cut(model: ModelConfig, sampling: SamplingConfig, segments: np.ndarray) -> Iterator[Finding]:
    lengths = segments[:, 1] - segments[:, 0]
    needed = lengths if sampling.whole else lengths * sampling.threshold
    lost = needed > model.max_length
    if lost.any():
        share = 1.0 if sampling.whole else sampling.threshold
        yield Finding(
            "error" if lost.all() else "warning",
            "events-too-long",
            f"{int(lost.sum())} of {len(lost)} training events are never learnt: {share:.0%} of "
            f"each must lie in a training window of {model.max_length} rows, and they last up to "
            f"{_rows(float(lengths.max()))}. Raise model.max_length (a multiple of {model.unit}) "
            "or lower sampling.threshold.",
        )


def _padding(model: ModelConfig, videos: Sequence[int]) -> Iterator[Finding]:
    if not len(videos):
        return
    usual = max(float(np.median(videos)), 1.0)
    least = padded_length(model, min(int(usual), model.longest))
    if least > PADDING * usual:
        why = "a whole number of cells and attention windows in all levels. Take fewer levels or "
        why += "narrower model.windows"
        if model.backbone == "sgp":
            why = "model.max_length, as always with backbone sgp. Make it smaller"
        yield Finding(
            "warning",
            "windows-padded",
            f"Half of the training videos have at most {usual:.0f} rows and are padded to "
            f"{least}, {why}, or say auto.lengths=true.",
        )
    if longer := sum(rows > model.longest for rows in videos):
        yield Finding(
            "note",
            "videos-cut",
            f"{longer} of {len(videos)} training videos are longer than the {model.longest} rows "
            "that the network sees at once. Such videos are predicted in windows that overlap; "
            "model.buffer_factor makes them longer.",
        )


def _rows(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
