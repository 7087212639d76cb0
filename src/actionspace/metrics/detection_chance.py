"""What detections reach that were placed at random: the figure beside which others are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from actionspace.metrics.detection import evaluate_detections
from actionspace.metrics.detection_matching import Instances
from actionspace.metrics.inputs import Floats
from actionspace.metrics.uncounted import count

EACH = 200  # segments per video, as many as detections are kept
_MOST, _SEGMENTS = 20, 100_000  # draws; segments of all of them, about


def chance(
    truth: Instances,
    durations: Floats,
    thresholds: Sequence[float],
    *,
    recalls: Sequence[int] = (1, 5),
    like: Instances | None = None,
    uncounted: Mapping[int, Floats] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return the measures of segments at random places with random scores, 200 in each video.

    Each has the length and the class of a random annotated event. The mean over several draws is
    returned, fewer where there are many videos.

    Args:
        truth: annotations.
        durations: of the videos in seconds, by number; NaN = as long as the others are.
        thresholds: temporal IoU.
        recalls: the ``k`` of Recall@kx.
        like: whose lengths and classes they have, None = those of ``truth``.
        uncounted: time that does not count, see :mod:`.uncounted`.
        seed: of the draws.
    """
    like = truth if like is None else like
    rng = np.random.default_rng(seed)
    known = durations[np.isfinite(durations)]
    end = np.where(np.isfinite(durations), durations, known.mean() if len(known) else 0.0)
    np.maximum.at(end, truth.video, truth.spans[:, 1])
    video = np.repeat(np.arange(len(end)), EACH)
    lengths = like.spans[:, 1] - like.spans[:, 0]
    found = []
    for _ in range(int(np.clip(_SEGMENTS // len(video), 1, _MOST))):
        pick = rng.integers(0, len(like), len(video))
        start = rng.uniform(0, np.maximum(end[video] - lengths[pick], 0))
        spans = np.stack([start, start + lengths[pick]], axis=1)
        guess = Instances(video, spans, like.labels[pick], rng.uniform(size=len(video)))
        guess = guess.at(count(guess, truth, uncounted or {}))
        found.append(evaluate_detections(truth, guess, thresholds, recalls=recalls).metrics())
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}
