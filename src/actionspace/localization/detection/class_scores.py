"""Classes for proposals: scores of whole videos that somebody else's classifier gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from actionspace.errors import DataError
from actionspace.events.fusion import fuse_video_scores
from actionspace.events.labels import join_labels
from actionspace.localization.options import SuppressionConfig
from actionspace.paths import read_json

if TYPE_CHECKING:
    import pandas as pd


def with_video_classes(
    proposals: pd.DataFrame, config: SuppressionConfig, classes: Sequence[str], column: str
) -> pd.DataFrame:
    """Return proposals once for each of the likeliest classes of their video.

    The file holds ``{"results": {video: [score per class]}}``, and the names of the classes as
    ``class`` or ``classes`` if they are not those of the manifest. Videos are found by their name
    without folder, ending and a leading ``v_``.

    Args:
        proposals: detections, as of :func:`.detector.detections_frame`.
        config: the file, how many proposals and classes are kept.
        classes: names of the manifest's classes, by number.
        column: the head column that gets the label.

    Raises:
        DataError: the file is missing or of another layout, or lacks a video.
    """
    assert config.class_scores is not None
    path = Path(config.class_scores)
    content = read_json(path)
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise DataError(f"{path} holds no 'results' with a list of class scores per video.")
    names = content.get("class") or content.get("classes") or list(classes)
    by_stem = {_stem(name): scores for name, scores in results.items()}
    scores = {
        video: results.get(video, by_stem.get(_stem(video)))
        for video in proposals["video"].unique()
    }
    found = fuse_video_scores(
        proposals,
        {video: one for video, one in scores.items() if one is not None},
        [join_labels([str(name)]) for name in names],
        segments=config.class_scores_segments,
        best=config.class_scores_best,
    )
    return found.rename(columns={"label": column}).assign(
        id=found["video"] + "#" + found.groupby("video").cumcount().astype(str)
    )


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return (path.stem if path.suffix else path.name).removeprefix("v_")
