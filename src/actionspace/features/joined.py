"""Several features of each video side by side, and features that a manifest lists file by file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from actionspace.errors import StoreError
from actionspace.events.columns import feature_files, is_absolute
from actionspace.features.foreign import Clock, ForeignFeatures, PerVideo
from actionspace.features.store import VideoFeatures

if TYPE_CHECKING:
    from actionspace.events.table import Events

log = logging.getLogger("actionspace")

SLACK = 2
"""Rows by which features of one video may differ in number: the last clips of a video are cut off
or filled up in many ways."""


class Source(Protocol):
    """What can be joined: a store, a directory of other people's features, or a join."""

    @property
    def rows(self) -> str: ...  # noqa: D102
    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def fingerprint(self) -> dict[str, Any]: ...  # noqa: D102
    def videos(self) -> list[str]: ...  # noqa: D102
    def skipped(self) -> dict[str, str]: ...  # noqa: D102
    def get(self, video: str | Path) -> VideoFeatures: ...  # noqa: D102
    def __contains__(self, video: object) -> bool: ...


class JoinedFeatures:
    """Features of several makes with their channels one after the other.

    A video has features here if it has them in every part. Row i of each part must be the same
    moment; the times are those of the first part. Parts that differ by up to two rows are cut to
    the shortest.
    """

    rows = "dense"
    n_views = 1

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = tuple(parts)
        self._cut: set[str] = set()

    def __repr__(self) -> str:
        return f"JoinedFeatures({', '.join(map(repr, self.parts))})"

    def __len__(self) -> int:
        return len(self.videos())

    def __contains__(self, video: object) -> bool:
        return all(video in part for part in self.parts)

    @property
    def dim(self) -> int:
        """Length of one feature vector: the sum over the parts."""
        return sum(self.dims)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of each part's vectors."""
        return tuple(part.dim for part in self.parts)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What is known of the parts."""
        parts = [part.fingerprint for part in self.parts]
        return {"format": "joined", "dim": self.dim, "parts": parts}

    def videos(self) -> list[str]:
        """Names of the videos that every part has, sorted."""
        return sorted(v for v in self.parts[0].videos() if v in self)

    def skipped(self) -> dict[str, str]:
        """Videos of which a part has no features, with its reason."""
        return {v: why for part in self.parts for v, why in part.skipped().items()}

    def get(self, video: str | Path) -> VideoFeatures:
        """Read one video's features ``[N, D]``.

        Raises:
            StoreError: a part lacks the video, or the parts do not lie on the same moments.
        """
        found = [part.get(video) for part in self.parts]
        lengths = [len(f) for f in found]
        rows = min(lengths)
        if max(lengths) - rows > SLACK:
            raise StoreError(
                f"'{video}' has {' and '.join(map(str, lengths))} rows in the features that are "
                f"joined; they were made at other strides, or of other videos."
            )
        if max(lengths) > rows and str(video) not in self._cut:
            self._cut.add(str(video))
            log.warning(f"'{video}': features of {lengths} rows are cut to {rows}.")
        self._check_times([f.times[:rows, 0] for f in found], video)
        features = np.concatenate([f.features[:rows].astype(np.float32) for f in found], axis=1)
        return VideoFeatures(features, found[0].times[:rows], found[0].meta)

    def _check_times(self, starts: list[np.ndarray], video: str | Path) -> None:
        """Refuse rows that begin more than half a row apart."""
        step = float(np.diff(starts[0]).mean()) if len(starts[0]) > 1 else np.inf
        for part, other in zip(self.parts[1:], starts[1:], strict=True):
            apart = float(np.abs(other - starts[0]).max())
            if apart > step / 2:
                raise StoreError(
                    f"'{video}': rows of {part!r} begin up to {apart:.2f} s beside those of "
                    f"{self.parts[0]!r}. Features are joined row by row: extract them on one grid."
                )


def listed_features(
    events: Events,
    *,
    stride: float | None = None,
    window: float | None = None,
    fps: PerVideo | None = None,
    duration: PerVideo | None = None,
    offset: float = 0.0,
    array: str | None = None,
    transpose: bool = False,
) -> ForeignFeatures | JoinedFeatures:
    """Return the features in the files of the manifest's ``features`` column.

    The files are found from the manifest's root; several of one video (``"a.npy;b.npy"``) are
    joined. Options as in :func:`.foreign.open_features`; without ``fps`` each video has its own.

    Raises:
        StoreError: the column is empty, a file is missing or lies outside the root, or videos have
            other numbers of files.
        UsageError: the options do not say when each row is.
    """
    of = {
        str(v): feature_files(f)
        for v, f in zip(events.videos["video"], events.videos["features"], strict=True)
        if feature_files(f)
    }
    if not of:
        raise StoreError("The manifest lists no features; give features=STORE or a directory.")
    counts = {len(files) for files in of.values()}
    if len(counts) > 1:
        odd = next(v for v, files in of.items() if len(files) < max(counts))
        raise StoreError(f"'{odd}' has fewer files in 'features' than other videos; list them all.")
    if fps is None and duration is None:
        known = events.videos[events.videos["fps"].notna()]
        fps = dict(zip(known["video"], known["fps"], strict=True))
    clock = Clock.of(events.root, stride, window, fps, duration, offset)
    parts = []
    for k in range(counts.pop()):
        files = {v: (_inside(events.root, listed[k], v), None) for v, listed in of.items()}
        parts.append(
            ForeignFeatures(events.root, dict(files), clock, array=array, transpose=transpose)
        )
    return parts[0] if len(parts) == 1 else JoinedFeatures(parts)


def _inside(root: Path, name: str, video: str) -> Path:
    path = root / name
    if is_absolute(name) or ".." in Path(name).parts:
        raise StoreError(
            f"The features '{name}' of '{video}' lie outside {root}; give the folder above both "
            f"as root=, or the folder of features as features=."
        )
    if not path.is_file():
        raise StoreError(f"The features {path} of '{video}' do not exist.")
    return path


def durations_of(events: Events) -> Mapping[str, float]:
    """Return the known durations in seconds, for features of a fixed number of rows."""
    known = events.videos[events.videos["duration"].notna()]
    return dict(zip(known["video"], known["duration"].astype(float), strict=True))
