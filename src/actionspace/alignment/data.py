"""Videos as frames that can be asked for one by one: rows of features, or pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from actionspace.errors import DataError, StoreError, VideoError, did_you_mean
from actionspace.events.frames import to_frames

if TYPE_CHECKING:
    from actionspace.alignment.recipe import AlignmentRecipe
    from actionspace.events.table import Events
    from actionspace.features.joined import Source

log = logging.getLogger("actionspace")

#: Bytes of features that are kept in memory.
KEPT = 1 << 30


class Videos(Protocol):
    """What alignment learns from and embeds: videos of numbered frames (or rows of features)."""

    names: list[str]
    """The videos."""

    def times(self, index: int) -> np.ndarray:
        """Return the seconds that each frame covers, float64 ``[N, 2]``."""

    def read(self, index: int, frames: np.ndarray) -> Tensor:
        """Return frames by number: float32 ``[n, D]``, or uint8 pictures ``[n, H, W, 3]``.

        Raises:
            ActionspaceError: they cannot be had.
        """

    def stream(self, index: int, blocks: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the frames of each block as :meth:`read` does, in one go through the video.

        Args:
            index: which video.
            blocks: numbers of frames, in rising order over all blocks.

        Raises:
            ActionspaceError: they cannot be had.
        """


class FeatureVideos:
    """Rows of features as the frames of videos. Up to a gibibyte of them is kept in memory.

    Args:
        events: the manifest.
        source: the features of its videos.

    Raises:
        StoreError: a video has neither features nor a reason for having none.
    """

    def __init__(self, events: Events, source: Source) -> None:
        self._source, self._kept, self._bytes = source, dict[int, Any](), 0
        names = [str(v) for v in events.videos["video"]]
        skipped = source.skipped()
        self.names = [name for name in names if name in source]
        unknown = [name for name in names if name not in source and name not in skipped]
        if unknown:
            raise StoreError(
                f"{len(unknown)} of {len(names)} videos have no features in {source!r}; the first "
                f"is '{unknown[0]}'.{did_you_mean(unknown[0], source.videos())} Extract them, or "
                "leave them out of the manifest."
            )

    def times(self, index: int) -> np.ndarray:
        """Return the seconds that each row covers, float64 ``[N, 2]``."""
        return np.asarray(self._video(index)[1], np.float64)

    def read(self, index: int, frames: np.ndarray) -> Tensor:
        """Return rows by number, float32 ``[n, D]``.

        Raises:
            StoreError: the features are damaged, or not finite.
        """
        return torch.from_numpy(self._video(index)[0][frames])

    def stream(self, index: int, blocks: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the rows of each block, float32 ``[n, D]``.

        Raises:
            StoreError: the features are damaged, or not finite.
        """
        rows = self._video(index)[0]
        for block in blocks:
            yield torch.from_numpy(rows[block])

    def _video(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index in self._kept:
            return self._kept[index]  # type: ignore[no-any-return]
        name = self.names[index]
        found = self._source.get(name)
        rows = np.asarray(found.features, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._source.dim or not len(rows):
            raise StoreError(
                f"The features of '{name}' have shape {list(rows.shape)}; expected [rows, "
                f"{self._source.dim}], one view of each row and at least one row."
            )
        if not np.isfinite(rows).all():
            raise StoreError(f"The features of '{name}' hold values that are not finite.")
        if self._bytes + rows.nbytes <= KEPT:
            self._bytes += rows.nbytes
            self._kept[index] = rows, found.times
        return rows, found.times


class PictureVideos:
    """Frames of video files, decoded when they are asked for.

    Args:
        events: the manifest.
        short_side: shorter side of the frames, pixels; None = as they are.
    """

    def __init__(self, events: Events, short_side: int | None = None) -> None:
        from actionspace.video.index import FrameIndex

        self._root, self._short_side = events.root, short_side
        self._indices: dict[int, FrameIndex] = {}
        self.names = [str(v) for v in events.videos["video"]]
        if events.videos["crop"].notna().any():
            log.warning("The manifest's crop column is not used by networks of pictures.")

    def times(self, index: int) -> np.ndarray:
        """Return the seconds that each frame covers, float64 ``[N, 2]``.

        Raises:
            VideoError: the file cannot be opened.
        """
        return np.asarray(self._index(index).times)

    def read(self, index: int, frames: np.ndarray) -> Tensor:
        """Return pictures by number, uint8 ``[n, H, W, 3]``; each is decoded once.

        Raises:
            VideoError: the file is damaged.
        """
        return next(self.stream(index, [frames]))

    def stream(self, index: int, blocks: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the pictures of each block, uint8 ``[n, H, W, 3]``; one block is held at a time.

        Raises:
            VideoError: the file is damaged.
        """
        from actionspace.video.clips import ClipRequest, iter_clips
        from actionspace.video.transform import FrameTransform

        known = self._index(index)
        requests = [ClipRequest(k, np.asarray(block, np.int64)) for k, block in enumerate(blocks)]
        transform = FrameTransform(short_side=self._short_side)
        given = 0
        for clip in iter_clips(known.path, requests, transform, index=known):
            given += 1
            yield torch.from_numpy(clip.frames)
        if given < len(requests):
            raise VideoError(f"{known.path} does not give all frames that were asked for.")

    def _index(self, index: int) -> Any:
        from actionspace.video.index import frame_index

        if index not in self._indices:
            self._indices[index] = frame_index(Path(self._root) / self.names[index])
        return self._indices[index]


def labels_of(
    events: Events, column: str, classes: Sequence[str], video: str, times: np.ndarray
) -> np.ndarray:
    """Return the phase of each frame, int64 ``[N]``; -1 where none is.

    Args:
        events: the manifest.
        column: head column of the phases.
        classes: phases in the order of their numbers.
        video: which video.
        times: seconds that each frame covers, ``[N, 2]``.

    Raises:
        DataError: a phase is none of the classes.
    """
    found = np.full(len(times), -1, np.int64)
    if column not in events.heads:
        return found
    rows = events.rows
    rows = rows[(rows["video"] == video) & (rows["status"] == "event") & rows[column].notna()]
    if not len(rows):
        return found
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(rows[column]) - set(numbers))
    if unknown:
        raise DataError(
            f"{video}: the phase '{unknown[0]}' is none of the classes."
            f"{did_you_mean(str(unknown[0]), classes)}"
        )
    names = to_frames(rows.assign(label=rows[column]), times, background="")
    for number, name in enumerate(classes):
        found[names == name] = number
    return found


def kinds_of(
    events: Events, by: str | None, videos: Sequence[str], option: str = "evaluation.by"
) -> dict[str, str]:
    """Return the kind of each video, of those that have one; "" where all are of one.

    Args:
        events: the manifest.
        by: label column of whole videos; None = all are of one kind.
        videos: which videos.
        option: that names the column, for messages.

    Raises:
        DataError: there is no such column, or a video has several values in it.
    """
    if by is None:
        return dict.fromkeys(videos, "")
    if by not in events.heads:
        raise DataError(
            f"{option}: the manifest has no label column '{by}'. There is: "
            f"{', '.join(events.heads) or 'none'}."
        )
    rows = events.rows[events.rows[by].notna()]
    found: dict[str, set[str]] = {}
    for video, kind in zip(rows["video"], rows[by], strict=True):
        found.setdefault(str(video), set()).add(str(kind))
    several = next((video for video, kinds in found.items() if len(kinds) > 1), None)
    if several is not None:
        raise DataError(
            f"{option}={by}: the video '{several}' has several values "
            f"({', '.join(sorted(found[several]))}); expected one for each video."
        )
    return {video: min(found[video]) for video in videos if video in found}


def phases_of(events: Events, recipe: AlignmentRecipe) -> list[str]:
    """Return the phases in the order of their numbers; none if the manifest has no such column.

    Numbered ones go by number; others as ``prepare`` wrote them, or by the times at which they
    begin, as shares of their videos' labelled time, on average.
    """
    from actionspace.datasets.class_order import class_order

    if recipe.classes is not None:
        return list(recipe.classes)
    if recipe.column not in events.heads:
        return []
    names = class_order(events, recipe.column)
    if all(name.isdigit() for name in names):
        return sorted(names, key=int)
    if names != sorted(events.classes(recipe.column)):
        return names
    rows = events.rows[events.rows[recipe.column].notna() & events.rows["start"].notna()]
    ends = rows.groupby("video")["end"].transform("max")
    begin = (rows["start"] / ends.clip(lower=1e-9)).groupby(rows[recipe.column].astype(str)).mean()
    return sorted(names, key=lambda name: (float(begin.get(name, 1.0)), name))


def recipe_videos(recipe: AlignmentRecipe, events: Events, source: Source | None) -> Videos:
    """Return the videos of a manifest as a recipe's network takes them."""
    if recipe.network.input == "frames":
        return PictureVideos(events, recipe.pictures.short_side)
    assert source is not None
    return FeatureVideos(events, source)
